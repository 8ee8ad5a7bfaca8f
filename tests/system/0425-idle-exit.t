#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A server that is told to ends by itself when nobody has been there for a while, and not before.
# shellcheck disable=SC2317 # `ok` calls the functions
. "${0%/*}/lib.sh"
plan 14
world=$(run_program world) || bail "world has not been built"
idle="there was no client for"

ended_well()
{
	wait_for 60 gone "$server_pid" && wait "$server_pid"
}

# Asks the server every half second, for longer than it may be idle. Fails when the server is gone; a
# machine that was too busy to ask in time proves nothing.
asked_again_and_again()
{
	asked=$(date +%s) until=$(($(date +%s) + 9)) late=no
	while [ "$(date +%s)" -lt "$until" ]; do
		[ $(($(date +%s) - asked)) -lt 4 ] || late=yes
		asked=$(date +%s)
		"$pmuctl" -s "$server" jobs >"$run_dir/asked.out" 2>&1 || [ "$late" = yes ] || return 1
		sleep 0.5
	done
}

ok "the server starts" start_server --idle-exit 1
ok "nobody comes: it ends by itself, without complaint" ended_well
ok "and says why" grep -q "$idle 1 s" "$run_dir/server.log"

stencil_delay_ms=50 # some 15 s
stencil_expected
: >"$run_dir/server.log"
ok "it starts again" start_server --idle-exit 8
ok "a job that takes much longer is not disturbed" stencil_run job
is "and comes to its result" "$(stencil_result job)" "$expected"
ok "after which the server ends by itself" ended_well
is "once" "$(grep -c "$idle" "$run_dir/server.log")" 1

ok "it starts with more patience" start_server --idle-exit 5
ok "what tools ask counts as activity" asked_again_and_again
ok "it ends by itself, nevertheless" ended_well

ok "without the option" start_server
ok "it has a job" job kept 2 "$world" protect checkpoint
ok "and stops when it is told to" stop_server
done_testing
