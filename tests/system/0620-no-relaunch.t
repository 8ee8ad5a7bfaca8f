#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# mpirun of Open MPI 5.0 does not start again what is done, what the user ended, what asks for no restart, and what
# fails too often; its exit code is what it would be without Holdfast.
TIME_LIMIT=300
. "${0%/*}/lib.sh"
. "${0%/*}/prte.sh"
prte_plan 27
ok "the server starts" start_server

is "exit code 3 after MPI_Finalize is the job's" "$(exit_code mishap late)" 3
is "and there is no restart" "$(restarts late)" 0

# shellcheck disable=SC2089,SC2090 # a list of words
job_options="$one_node --mca errmgr_holdfast_max_restarts 2"
is "a job that fails each time ends with its exit code" "$(exit_code mishap exit 9)" 3
is "after max_restarts" "$(restarts exit)" 2
ok "which is told" said exit "not started again after 2 restarts"
job_options="$one_node --mca errmgr_holdfast_max_restarts 0"
is "a killed rank without restarts: its signal" "$(exit_code mishap kill)" 137
unset job_options

is "an exit code that asks for no restart" "$(exit_code mishap requeue)" 75
is "gets none" "$(restarts requeue)" 0
job_options="--mca pml ob1 --mca btl self,sm,tcp" # shared memory does not lead from one job to the other
ok "a job that started others fails" fails mishap spawn
unset job_options
is "is not started again" "$(restarts spawn)" 0
ok "and told why" said spawn "it has called MPI_Comm_spawn"

if have_test_points; then
	export HOLDFAST_TEST_RUNTIME=3.1.0
	is "another series of PRRTE is left as it is" "$(exit_code mishap kill)" 137
	unset HOLDFAST_TEST_RUNTIME
	is "which is told in one line" "$(grep '^holdfast:' "$run_dir/kill.err")" \
		"holdfast: this mpirun is PRRTE 3.1.0, and its component of Holdfast knows 3.0.x only: a failed job is not \
started again (holdfast-mpirun --loop works with any)"
	is "and nothing is started again" "$(restarts kill)" 0
else
	skip 3 "the build has no test points"
fi

# stopped NAME SIGNAL: the user ends mpirun.
stopped()
{
	relaunch_start "$1" 3 "$mishap" sleeps
	ok "$1: the job runs" wait_for 30 test -s "$run_dir/$1.out"
	kill "-$2" "$job_pid"
	ok "$1: it ends soon" wait_for 30 gone "$job_pid"
	ok "$1: not with success" fails job_wait
	is "$1: there is no restart" "$(restarts "$1")" 0
}
stopped interrupted INT
stopped terminated TERM
relaunch_start between 3 "$mishap" waits
ok "between: a rank dies, and the job is to be started again" wait_for 30 said between "is started again"
kill -INT "$job_pid" # while what is left of it is being ended
ok "between: mpirun ends soon" wait_for 30 gone "$job_pid"
ok "between: not with success" fails job_wait

PRTE_MCA_errmgr_holdfast_enable=0
export PRTE_MCA_errmgr_holdfast_enable
is "switched off, it is inert" "$(exit_code mishap kill)" 137
done_testing
