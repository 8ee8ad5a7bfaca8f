#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Whatever a rank dies of, mpirun starts the job again, in the same run, and ends well.
TIME_LIMIT=400
. "${0%/*}/lib.sh"
[ -n "$(run_built mca_errmgr_holdfast.so)" ] || skip_all "this Open MPI has another launcher (0600-)"
plan 38
fail=$run_dir/fail # whose processes are this test's
cp "$(run_program fail)" "$fail" || bail "tests/system/fail has not been built"
tune_off="--mca hook_holdfast_enable 0"

# fails_and_goes_on NAME WORD...: 4 ranks, of which some fail. Sets status.
run_fail()
{
	name=$1
	shift
	job_options="$tune_off $restarting ${more-}"
	job "$name" 4 "$fail" "$@"
	status=$?
	last=$(grep -c "ends well" "$run_dir/$name.out")
	grep '^holdfast:' "$run_dir/$name.err" >"$run_dir/said" || :
}

again()
{
	run_fail "$@"
	[ "$status" -eq 0 ] || { echo "mpirun ended with $status"; return 1; }
	[ "$last" -eq 1 ] || { echo "$last incarnations ended well"; return 1; }
}

# said NUMBER TEXT: so many lines, one of them with this text.
said()
{
	cat "$run_dir/said"
	[ "$(wc -l <"$run_dir/said")" -eq "$1" ] && grep -q "$2" "$run_dir/said"
}

ok "without a failure, nothing is started again" again none
ok "and nothing is said" test ! -s "$run_dir/said"
ok "SIGKILL" again kill kill@1
ok "it is said in one line, who died of what" said 1 "rank 1 on .* was killed by signal 9"
is "the ranks are told" "$(sed -n 's/ on .* was/ was/p' "$run_dir/kill.out")" \
	"incarnation 1 of 4 ranks ends well, after: rank 1 was killed by signal 9 (Killed)"
ok "of rank 0 as well" again kill0 kill@0
ok "SIGSEGV" again segv segv@2
ok "abort()" again abort abort@3
ok "a code that is not 0" again exit3 exit3@1
ok "is said, too" said 1 "rank 1 on .* exited with code 3"
ok "exit without MPI_Finalize" again exit0 exit0@1
ok "is said, too" said 1 "without MPI_Finalize"
ok "MPI_Abort" again mpi-abort5 mpi-abort5@2
ok "is said, too" said 1 "rank 2 on .* called MPI_Abort with code 5"
ok "MPI_Abort with code 0, of rank 0" again mpi-abort0 mpi-abort0@0
ok "two ranks at once" again two kill@1 kill@2
ok "are one failure" said 1 "rank [12] on"
ok "all ranks at once" again all kill@0 kill@1 kill@2 kill@3
ok "one incarnation after another" again row kill@1 segv@0,1 exit3@3,2
ok "each of them is said" said 3 "restart 3"
ok "a failure before MPI_Init" again early early-kill@2
ok "a failure before MPI_Init, in the restart" again early1 kill@1 early-kill@2,1
ok "an exit before MPI_Init, in the restart" again early3 kill@1 early-exit3@0,1

more="--mca errmgr_holdfast_start_timeout 15"
ok "a restart that does not get under way" again stopped kill@1 early-stop@2,1
ok "is said, and is one itself" said 2 "did not get under way within 15 s (start_timeout): .* (restart 2)"
more="$more --mca errmgr_holdfast_max_restarts 1"
ok "if that is allowed" fails again stopped-last kill@1 early-stop@2,1
ok "else mpirun ends" said 2 "within 15 s (start_timeout): not started again after 1 restarts"
more=

# ---- several programs, placement, input ----

mpmd()
{
	job_options="$tune_off $restarting"
	job mpmd 2 "$fail" kill@1 : -n 2 "$fail" exit3@3,1
}
ok "several programs in one job" mpmd
is "all of them come back, twice" "$(sed 's/, after.*//' "$run_dir/mpmd.out")" "incarnation 2 of 4 ranks ends well"

fed()
{
	job_options="$tune_off $restarting"
	# shellcheck disable=SC2086 # a list of words
	printf 'one\ntwo\n' | TMPDIR=$run_dir timeout 60 mpirun.openmpi --tune "$tune" $job_options \
		--oversubscribe --bind-to none -n 2 "$fail" "$@" --echo >"$run_dir/fed.out" 2>"$run_dir/fed.err"
}
ok "a job with standard input" fed kill@1
is "reads the same again" "$(grep '^input' "$run_dir/fed.out" | sort | tr '\n' ';')" \
	"input of incarnation 0: one;input of incarnation 0: two;input of incarnation 1: one;input of incarnation 1: two;"
fed_none()
{
	job_options="$tune_off $restarting --mca errmgr_holdfast_stdin_max 0"
	# shellcheck disable=SC2086 # a list of words
	TMPDIR=$run_dir timeout 60 mpirun.openmpi --tune "$tune" $job_options --oversubscribe --bind-to none \
		-n 2 "$fail" kill@1 --echo >"$run_dir/fed.out" 2>"$run_dir/fed.err" </dev/null
}
ok "without any, too" fed_none
lines()
{
	run_fail lines kill@1 kill@2,1 segv@3,2 --where
	sort "$run_dir/lines.out" | grep -c '^incarnation [0-9]: rank [0-3] on'
}
is "no line of output is lost or doubled" "$(lines)" 16
one_slot()
{
	# shellcheck disable=SC2086 # a list of words
	TMPDIR=$run_dir timeout 60 mpirun.openmpi --tune "$tune" $tune_off $restarting --host localhost:4 \
		--bind-to none -n 4 "$fail" kill@1 kill@2,1 kill@0,2 kill@3,3 >"$run_dir/slots.out" \
		2>"$run_dir/slots.err" </dev/null
}
ok "slots are counted exactly: the job fits again and again" one_slot
is "to its end" "$(sed 's/, after.*//' "$run_dir/slots.out")" "incarnation 4 of 4 ranks ends well"

# ---- the switch ----

off()
{
	job_options="$tune_off"
	fails job off 4 "$fail" kill@1
}
ok "without the switch mpirun is what it was" off
ok "and we say nothing" fails grep -q holdfast "$run_dir/off.err"
is "and nothing is left behind" "$(pgrep -f "$fail" | wc -l)" 0
done_testing
