# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
# lib.sh - what every system test starts with: `. "${0%/*}/lib.sh"`. See also run.sh.
#
# A test prints TAP: plan N, then N times one of ok, is, skip. It gets its own scratch directory $run_dir,
# and is ended after TIME_LIMIT seconds (set before sourcing this; default 120).

if [ -z "${HOLDFAST_TEST_TIMED-}" ]; then
	HOLDFAST_TEST_TIMED=yes
	export HOLDFAST_TEST_TIMED
	timeout --kill-after=20 "${TIME_LIMIT:-120}" /bin/sh "$0" "$@" &
	test_pid=$!
	trap 'kill -TERM $test_pid' HUP INT TERM
	wait $test_pid
	test_status=$?
	while kill -0 $test_pid 2>/dev/null; do # the wait was interrupted
		wait $test_pid
	done
	[ $test_status -ne 124 ] || echo "Bail out! not done after ${TIME_LIMIT:-120} seconds"
	exit $test_status
fi

set -u
test_number=0
test_failed=0
builddir=${top_builddir:-$(cd "${0%/*}/../.." && pwd)}
. "${0%/*}/run.sh"

plan()
{
	echo "1..$1"
	run_init || bail "the build tree lacks what this test runs"
}

# diagnose FILE...: as comments of the test's output.
diagnose()
{
	for test_file in "$@"; do
		[ ! -s "$test_file" ] || sed "s|^|# ${test_file##*/}: |" "$test_file" | tail -n 40
	done
}

# What a failed test leaves for its reader.
test_not_ok()
{
	echo "not ok $test_number - $test_name"
	test_failed=1
	diagnose "$run_dir/command.log" "$run_dir"/*.out "$run_dir"/*.err "$run_dir/server.log"
}

# ok NAME COMMAND [ARGUMENT]...: the command succeeds. It runs in this shell.
ok()
{
	test_number=$((test_number + 1)) test_name=$1
	shift
	if "$@" >"$run_dir/command.log" 2>&1; then
		echo "ok $test_number - $test_name"
	else
		echo "exit status $? of: $*" >>"$run_dir/command.log"
		test_not_ok
	fi
}

# is NAME GOT EXPECTED: two strings are the same.
is()
{
	test_number=$((test_number + 1)) test_name=$1
	if [ "$2" = "$3" ]; then
		echo "ok $test_number - $test_name"
	else
		printf 'got:      %s\nexpected: %s\n' "$2" "$3" >"$run_dir/command.log"
		test_not_ok
	fi
}

# skip COUNT REASON: the next COUNT tests cannot be made here.
skip()
{
	test_last=$((test_number + $1))
	while [ "$test_number" -lt "$test_last" ]; do
		test_number=$((test_number + 1))
		echo "ok $test_number # SKIP $2"
	done
}

# skip_all REASON, instead of plan.
skip_all()
{
	echo "1..0 # SKIP $1"
	exit 0
}

# bail REASON: nothing further makes sense.
bail()
{
	echo "Bail out! $(echo "$1" | tr '\n' ' ')"
	[ -z "${run_dir-}" ] || diagnose "$run_dir"/*.err "$run_dir/server.log"
	exit 1
}

fails()
{
	! "$@"
}

# The last command of a test.
done_testing()
{
	exit $test_failed
}

# Does the build have the named moments at which HOLDFAST_TEST_POINT stops it?
have_test_points()
{
	grep -q '^#define HOLDFAST_TEST_POINTS 1' "$builddir/config.h"
}

# The computation that the tests disturb, long enough to be hit in the middle (some 6 s): stencil_start JOB
# [OPTION]..., in the background, as job_start.
stencil_start()
{
	test_job=$1
	shift
	job_start "$test_job" 4 "$stencil" --nx 300 --ny 200 --steps 300 --every 10 --delay-ms 20 "$@"
}

# The line that it prints at its end.
stencil_result()
{
	grep '^stencil: steps=' "$run_dir/$1.out"
}

# The same computation without Holdfast: sets expected.
stencil_expected()
{
	expected=$(
		unset HOLDFAST_SERVER OMPI_MCA_mca_base_component_path PMIX_MCA_mca_base_component_path
		mpirun.openmpi --mca btl ^tcp --oversubscribe --bind-to none -n 2 \
			"$stencil" --nx 300 --ny 200 --steps 300 2>"$run_dir/expected.err" </dev/null
	)
	[ -n "$expected" ]
}
