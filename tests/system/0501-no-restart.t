#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# When a job is not started again, and with which exit code mpirun then ends.
TIME_LIMIT=300
. "${0%/*}/lib.sh"
[ -n "$(run_built mca_errmgr_holdfast.so)" ] || skip_all "this Open MPI has another launcher (0600-)"
plan 33
fail=$run_dir/fail # whose processes are this test's
cp "$(run_program fail)" "$fail" || bail "tests/system/fail has not been built"
tune_off="--mca hook_holdfast_enable 0"

# once NAME WORD...: sets status and said.
once()
{
	name=$1
	shift
	job_options="$tune_off $restarting ${more-}"
	job "$name" 3 "$fail" "$@"
	status=$?
	said=$(grep '^holdfast:' "$run_dir/$name.err")
}
never_again()
{
	echo "$said"
	case $said in
	*"is started again"*) return 1 ;;
	esac
}

once late late-exit3@1
is "an exit code after MPI_Finalize is mpirun's" "$status" 3
ok "and no failure" never_again
is "nor said" "$said" ""

# The world's job is finished, and its sets are gone, before MPI_Finalize.
world=$(run_program world) || bail "tests/system/world has not been built"
ok "a server for a protected job" start_server
job_options=$restarting
job finished 3 "$world" protect checkpoint detach crash
is "a failure after hf_detach(job, 1) is mpirun's exit code" "$?" 3
said=$(grep '^holdfast:' "$run_dir/finished.err")
ok "and no reason to begin again" never_again
is "once was enough" "$(grep -c '^attached' "$run_dir/finished.out")" 1
job_options="--mca errmgr_holdfast_max_restarts 1 $restarting"
job left 3 "$world" protect checkpoint leave crash
is "after hf_detach(job, 0) it is one" "$(grep -c '^attached' "$run_dir/left.out")" 2
ok "the server stops without complaint" stop_server
server=

once final exit75@1
is "code 75 asks for no restart" "$status" 75
ok "and gets none" never_again
ok "it is said" test -n "$said"

more="--mca errmgr_holdfast_max_restarts 2"
once loop "exit3@1,*"
is "after so many restarts the failure is final" "$status" 3
is "which is said each time" "$(echo "$said" | grep -c 'rank 1 on')" 3
ok "and at the end" test -n "$(echo "$said" | grep 'not started again after 2 restarts')"
once loop-kill "kill@1,*"
is "a signal has its code" "$status" 137
more="--mca errmgr_holdfast_max_restarts 0"
once none kill@1
is "none at all, where none are allowed" "$status" 137
more="--mca errmgr_holdfast_final_codes 3,x"
once codes exit3@1
is "a variable that cannot be read is told" "$(echo "$said" | grep -c "'3,x' is no list of exit codes")" 1
ok "and nothing is started again" never_again
more=

if have_test_points; then
	export HOLDFAST_TEST_RUNTIME=4.2.0
	once version kill@1
	unset HOLDFAST_TEST_RUNTIME
	is "another series of ORTE is left as it is" "$status" 137
	is "which is told in one line" "$said" "holdfast: this mpirun is ORTE 4.2.0, and its component of Holdfast knows \
4.1.x only: a failed job is not started again (holdfast-mpirun --loop works with any)"
	ok "and nothing is started again" never_again
else
	skip 3 "the build has no test points"
fi

more="--mca btl self,vader,tcp" # shared memory does not lead from one job to the other
once spawned spawn-kill@0
ok "a job that has spawned others is not started again" never_again
ok "which is said" test -n "$(echo "$said" | grep MPI_Comm_spawn)"

# ---- the user stops it ----

stopped_by()
{
	job_options="$tune_off $restarting"
	job_start "stop-$1" 3 "$fail" hang@0 --where
	wait_for 20 grep -q 'rank 2 on' "$run_dir/stop-$1.out" || return 1
	kill "-$1" "$job_pid"
	wait_for 30 gone "$job_pid" || { echo "mpirun hangs"; return 1; }
	job_wait
	status=$?
	said=$(grep '^holdfast:' "$run_dir/stop-$1.err") || :
}
for signal in INT TERM; do
	ok "SIG$signal ends mpirun" stopped_by $signal
	ok "with an error" test "$status" -ne 0
	ok "for good" never_again
	is "and all its ranks" "$(pgrep -f "$fail hang@0" | wc -l)" 0
done
is "nothing is left behind" "$(pgrep -f "$fail" | wc -l)" 0
done_testing
