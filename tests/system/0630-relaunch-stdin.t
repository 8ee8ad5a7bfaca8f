#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A job that mpirun of Open MPI 5.0 starts again reads its standard input again, from the beginning, or is refused;
# signals that mpirun forwards reach it.
TIME_LIMIT=240
. "${0%/*}/lib.sh"
. "${0%/*}/prte.sh"
prte_plan 12
ok "the server starts" start_server

# read_lines: how often which input was read.
read_lines()
{
	grep '^read' "$run_dir/reads.out" | sort | uniq -c | sed 's/^ *//; s/, sum.*//'
}

job_input=$run_dir/input
seq 1 3000 >"$job_input" # 13893 bytes
ok "a job that read a file ends with success" mishap reads 2
is "it read all of it three times" "$(read_lines)" "3 read 13893 bytes"
mkfifo "$run_dir/pipe"
cat "$job_input" >"$run_dir/pipe" &
job_input=$run_dir/pipe
ok "a job that read a pipe, too" mishap reads 2
is "all of it three times" "$(read_lines)" "3 read 13893 bytes"
job_input=/dev/null
ok "a job that read nothing, too" mishap reads 2
is "and ended each time" "$(read_lines)" "3 read 0 bytes"

job_input=$run_dir/input job_options="$one_node --mca errmgr_holdfast_stdin_max 10000"
is "a job that read more than is kept ends" "$(exit_code mishap reads)" 137
ok "and is told why" said reads "longer than the 10000 bytes"
unset job_options
job_input=/dev/null

relaunch_start waits 3 "$mishap" waits
ok "the second incarnation runs" wait_for 60 grep -q 'rank 0, incarnation 1' "$run_dir/waits.out"
# until it has got it: a rank may not be that far yet
signalled()
{
	kill -USR1 "$job_pid" 2>/dev/null
	sleep 1
	[ "$(grep -c 'got signal' "$run_dir/waits.out")" -eq 3 ] || gone "$job_pid"
}
ok "mpirun forwards a signal to it" wait_for 60 signalled
is "to all of its ranks" "$(grep -c 'got signal 10' "$run_dir/waits.out")" 3
done_testing
