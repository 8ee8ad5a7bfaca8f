#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A rank of a protected job is killed: the same mpirun goes on from the last checkpoint to the same result.
TIME_LIMIT=300
. "${0%/*}/lib.sh"
[ -n "$(run_built mca_errmgr_holdfast.so)" ] || skip_all "this Open MPI has another launcher (0600-)"
plan 18
job_options="$restarting"

ok "the computation works without Holdfast" stencil_expected
ok "the server starts" start_server

# killed RANK EPOCH SIGNAL: kills it once that epoch is complete.
killed()
{
	wait_for 40 epoch_reached "$test_job" "$2" || { echo "epoch $2 did not come"; return 1; }
	target=$(rank_pid "$1") || return 1
	kill "-$3" "$target"
	wait_for 20 gone "$target"
}

once()
{
	stencil_start once
	killed 2 3 KILL || return 1
	job_wait
}
ok "a job of which a rank is killed ends well" once
is "with the right result" "$(stencil_result once)" "$expected"
ok "it did not begin anew" grep -q 'resumed from epoch [3-9]' "$run_dir/once.err"
is "nothing of it is left on the server" "$("$pmuctl" -s "$server" jobs --json | grep -c '"name"')" 0

again()
{
	stencil_start again
	for round in 1 2 3; do
		killed "$round" "$((round * 3))" "$1" || return 1
	done
	job_wait
}
ok "and one of which three are killed, one after the other" again KILL
is "with the right result" "$(stencil_result again)" "$expected"
is "it was started again each time" "$(grep -c 'is started again' "$run_dir/again.err")" 3
ok "and went on from the last checkpoint" test "$(stencil_resumed again | tail -n 1)" -ge 9

# A job without a name is this very mpirun's: its restarts find it.
unnamed()
{
	stencil_is_short
	stencil_delay_ms=60
	# shellcheck disable=SC2086 # a list of words
	env -u HOLDFAST_SERVER TMPDIR="$run_dir" mpirun.openmpi --tune "$tune" --mca hook_holdfast_server "$server" \
		$restarting --oversubscribe --bind-to none -n 4 "$stencil" $stencil_size --every 10 --delay-ms 60 \
		>"$run_dir/unnamed.out" 2>"$run_dir/unnamed.err" </dev/null &
	job_pid=$!
	run_jobs="$run_jobs $job_pid"
	wait_for 40 unnamed_complete || return 1
	kill -KILL "$(rank_pid 0)"
	job_wait
}
unnamed_complete()
{
	"$pmuctl" -s "$server" jobs --json | grep -q '"complete_epoch": *[1-9]'
}
ok "a job that has no name goes on as well" unnamed
ok "from its checkpoint" grep -q 'resumed from epoch' "$run_dir/unnamed.err"
is "and leaves nothing behind" "$("$pmuctl" -s "$server" jobs --json | grep -c '"name"')" 0

# ---- failures after the end ----

late()
{
	fail=$(run_program fail) || return 1
	job late 3 "$fail" late-exit3@1
	status=$?
}
late
is "an exit code after MPI_Finalize is mpirun's" "$status" 3
ok "and no restart" fails grep -q 'started again' "$run_dir/late.err"

# The server dies: the ranks cannot go on, and the restart finds the pool again.
server_killed()
{
	stencil_is_short
	stencil_delay_ms=60
	stencil_start moved
	wait_for 40 epoch_reached moved 2 || return 1
	kill_server
	start_server || return 1
	kill -KILL "$(rank_pid 3)"
	job_wait
}
stencil_is_short
ok "a short one" stencil_expected
ok "a server that was killed too is no matter" server_killed
is "with the right result" "$(stencil_result moved)" "$expected"
done_testing
