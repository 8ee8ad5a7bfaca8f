#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A pool has one server: a second one is refused, told whom it would disturb, and disturbs nobody.
. "${0%/*}/lib.sh"
plan 10
world=$(run_program world) || bail "world has not been built"

ok "the server starts" start_server
ok "a job makes a checkpoint" job kept 2 "$world" protect checkpoint
ok "a second server on its pool does not start" refused "$pmu_server" --foreground --pool "$run_dir/pool" \
	--size 64M --listen 127.0.0.1:0 --auth none
ok "it names the first" grep -q "pool $run_dir/pool is in use by a server: process $server_pid\$" \
	"$run_dir/refused.err"
ok "on its address, neither" refused "$pmu_server" --foreground --pool "$run_dir/second" \
	--size 64M --listen "$server" --auth none
ok "it names the address" grep -q "cannot listen on $server: Address already in use" "$run_dir/refused.err"
ok "the first server goes on" job kept 2 "$world" protect restore checkpoint
is "as if nothing had been" "$(newest_epoch kept)" 2
kill_server
ok "when it is dead, another one starts" start_server
is "and has what it had" "$(newest_epoch kept)" 2
done_testing
