#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# On a UNIX socket nobody can say that he is somebody else; and it works like any other address.
# shellcheck disable=SC2317 # `ok` calls the functions
. "${0%/*}/lib.sh"
plan 17
world=$(run_program world) || bail "world has not been built"
socket=unix:$run_dir/socket

ok "the server starts" start_server --listen "$socket"
is "its ready file has both addresses" "$(cat "$run_dir/ready")" "$server
$socket"
tcp=$server
server=$socket
ok "a job makes checkpoints" job kept 2 "$world" protect checkpoint
is "pmuctl sees them" "$(newest_epoch kept)" 1
ok "the job goes on" job kept 2 "$world" protect restore
ok "from there" grep -q "restore: success, epoch 1" "$run_dir/kept.out"
server=$tcp
is "by either address" "$(newest_epoch kept)" 1

# as_another COMMAND...: pmuctl of a user who has nothing here.
as_another()
{
	setpriv --reuid 12345 --regid 12345 --clear-groups "$run_dir/pmuctl" -s "$socket" "$@" \
		>"$run_dir/another.out" 2>"$run_dir/another.err"
}

if [ "$(id -u)" = 0 ]; then
	chmod 755 "$run_dir"
	cp "$pmuctl" "$run_dir/pmuctl"
	ok "another user may ask" as_another jobs --json
	is "but sees nobody's job" "$(tr -d ' \n' <"$run_dir/another.out")" "[]"
	as_another show kept
	is "nor finds it by its name" $? 4
	ok "nor by its owner" fails as_another --uid 0 show kept
	ok "and cannot remove it" fails as_another --uid 0 rm kept
	is "it is there" "$(newest_epoch kept)" 1
else
	skip 6 "only root can be another user"
fi

ok "a second server does not take the socket away" refused "$pmu_server" --foreground --auth none \
	--pool "$run_dir/second" --size 64M --listen "$socket"
kill_server
ok "one that a dead server left is taken over" start_server --listen "$socket"
ok "the server stops" stop_server
ok "and takes the socket along" fails test -e "$run_dir/socket"
done_testing
