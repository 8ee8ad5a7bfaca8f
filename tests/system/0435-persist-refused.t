#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A persist method that would not be right here is refused at the start, with the reason. (tests/vm/0845-persist.t has
# those that work.)
# shellcheck disable=SC2317 # `ok` calls the functions
. "${0%/*}/lib.sh"
plan 10
world=$(run_program world) || bail "world has not been built"

# not_started TEXT [OPTION]...: the server refuses to, with that text.
not_started()
{
	refused_text=$1
	shift
	refused "$pmu_server" --foreground --pool "$run_dir/refused-pool" --size 64M --auth none --listen 127.0.0.1:0 \
		--ready-file "$run_dir/never" "$@" && grep -qFe "$refused_text" "$run_dir/refused.err" && [ ! -e "$run_dir/never" ]
}

ok "there is no such method" not_started "there is no method 'fluhs'; use server, flush or read" --persist fluhs
ok "libfabric cannot flush" not_started "--persist flush: the data plane 'ofi' of this build cannot" --persist flush
ok "nor is a read enough for it" not_started "--persist read: the data plane 'ofi' of this build cannot" --persist read
ok "a page cache is not reached by a read" not_started \
	"--persist read is for slots on persistent memory (fsdax, devdax)" --persist read --net verbs
ok "and the message says what to use" grep -q "use --persist server" "$run_dir/refused.err"
ok "the server starts with its own" start_server --persist server
ok "a checkpoint is made" job own 2 "$world" protect checkpoint detach
is "so it is said" "$(stat_of server.persist_method)" server
is "and counted" "$(stat_of count.commits_server) $(stat_of count.commits_flush) $(stat_of count.commits_read)" "2 0 0"
ok "a method of the ranks is none of the server's" not_started "there is no method 'store'; use server, flush or read" --persist store
done_testing
