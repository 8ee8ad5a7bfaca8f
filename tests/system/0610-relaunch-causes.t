#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# mpirun of Open MPI 5.0 starts a job again whatever its ranks died of, and names the cause.
TIME_LIMIT=400
. "${0%/*}/lib.sh"
. "${0%/*}/prte.sh"
prte_plan 36
ok "the server starts" start_server

# again WHAT CAUSE [TIMES [RANK]]: the job comes back as often as it has to, and ends well.
again()
{
	again_what=$1 again_cause=$2
	shift 2
	ok "$again_what: the job ends with success" mishap "$again_what" "$@"
	ok "$again_what: the cause is told" said "$again_what" "$again_cause"
	is "$again_what: all ranks were there in the end" "$(ranks_of "$again_what" "${1:-1}")" 3
}

again kill "rank 1 on $(hostname) was killed by signal 9 (Killed)"
again segv "was killed by signal 11 (Segmentation fault)"
again abort "was killed by signal 6 (Aborted)"
again exit "rank 1 on $(hostname) exited with code 3" 2
again leave "exited without MPI_Finalize"
again mpi-abort "called MPI_Abort with code 7"
again mpi-abort-0 "rank 0 on $(hostname) called MPI_Abort with code 0" 1 0
again several "was killed by signal 9"
again init "exited with code 9" 2

# Each process is counted once, however often PRRTE tells of it: not always, without that.
job_options="$one_node --mca errmgr_holdfast_verbose 1 --mca errmgr_holdfast_max_restarts 9"
ok "ranks die together, again and again: the job ends with success" mishap several 8
is "none begins before all processes of the one before are gone" \
	"$(grep -c 'has ended: 3 of 3 processes are gone' "$run_dir/several.err")" 8

job_options="$one_node --mca errmgr_holdfast_start_timeout 15"
again stops "the job did not get under way within 15 s (start_timeout): the job is started again (restart 2)" 2
job_options="$job_options --mca errmgr_holdfast_max_restarts 1"
ok "a job that does not get under way once too often fails" fails mishap stops 2
ok "it is told" said stops "within 15 s (start_timeout): not started again after 1 restarts"
is "and nothing is left of it" "$(pgrep -f "$mishap stops" | wc -l)" 0
done_testing
