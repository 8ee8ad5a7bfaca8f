#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The server's configuration file: errors name file and line; SIGHUP reads it again, and a bad one changes
# nothing.
# shellcheck disable=SC2317 # `ok` calls the functions
. "${0%/*}/lib.sh"
plan 23
world=$(run_program world) || bail "world has not been built"
conf=$run_dir/pmu-server.conf

# wrong NAME LINE TEXT: a file whose third line is this, the last one, is refused, with the text.
wrong()
{
	printf '# ours\n%b\n' "$2" >"$conf"
	ok "$1: the server does not start" refused "$pmu_server" --foreground --pool "$run_dir/pool" \
		--listen 127.0.0.1:0 --auth none --config "$conf"
	ok "$1: it names file and line" grep -qFe "$conf, line 3: $3" "$run_dir/refused.err"
}

wrong "unknown option" "\ncolour = red" "there is no option 'colour'; pmu-server --help lists them"
wrong "wrong size" "\nsize = many" "size: 'many' is not a size (4096, 64M, 8G)"
wrong "wrong level" "\nlog-level = loud" "log-level: 'loud' is not error, warning, info or debug"
wrong "no assignment" "\nsyslog" "write NAME = VALUE"
wrong "section" "[pool]\nsize = 8G" "there are no sections like [pool]"
rm "$conf"
ok "a missing file: the server does not start" refused "$pmu_server" --foreground --config "$conf" \
	--pool "$run_dir/pool" --listen 127.0.0.1:0 --auth none
ok "it is named" grep -qF "configuration file $conf: No such file or directory" "$run_dir/refused.err"

# A checkpoint of job $1: does the server log it at its log level?
logged()
{
	job "$1" 2 "$world" protect checkpoint detach || return 2
	grep -q "job $1 rank 1: epoch 1 is published" "$run_dir/server.log"
}

# reloaded TEXT: SIGHUP makes it say that, once more.
reloaded()
{
	times=$(grep -cF "$1" "$run_dir/server.log")
	kill -HUP "$server_pid"
	wait_for 20 said_more "$1" "$times"
}

said_more()
{
	[ "$(grep -cF "$1" "$run_dir/server.log")" -gt "$2" ]
}

echo "log-level = info" >"$conf"
ok "the server starts with a file" start_server --config "$conf"
ok "at level info, checkpoints are not logged" fails logged info
echo "log-level = debug" >"$conf"
ok "another level is in the file" reloaded "configuration read again"
ok "and in force" logged debug
is "a running server is what it was before" "$(sed -n 1p "$run_dir/ready")" "$server"
printf 'lease = 20\nlog-level = loud\n' >"$conf"
ok "a wrong one is refused" reloaded "the configuration is not read again: $conf, line 2: log-level: 'loud'"
ok "the level stays" logged still-debug
is "and so does all else" "$("$pmuctl" -s "$server" stat | awk '$1 == "server.lease_s" { print $2 }')" 10
rm "$conf"
ok "and where the file is gone" reloaded "the configuration is not read again: configuration file $conf"
ok "the level stays" logged debug-again
ok "the server stops without complaint" stop_server
done_testing
