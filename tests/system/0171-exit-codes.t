#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A job that cannot be attached tells its launcher by its exit code whether it is of use to start it again.
# shellcheck disable=SC2317 # `ok` calls the functions
TIME_LIMIT=180
. "${0%/*}/lib.sh"
plan 14
world=$(run_program world) || bail "world has not been built"

# exits CODE NAME [PROGRAM [ARGUMENT]...]: a job ends with this code, in MPI_Init.
exits()
{
	exit_code=$1
	shift
	job_start "$@" "$world" protect
	wait_for 60 gone "$job_pid" || { echo "it still runs after 60 s"; return 1; }
	job_wait
	set -- $? "$1"
	[ "$1" -eq "$exit_code" ] || { echo "exit status $1, not $exit_code"; return 1; }
	[ ! -s "$run_dir/$2.out" ]
}

cat >"$run_dir/wrong-on-1" <<-END
	#!/bin/sh
	[ "\$OMPI_COMM_WORLD_RANK" != 1 ] || export HOLDFAST_TIMEOUT=soon
	exec "\$@"
END
chmod +x "$run_dir/wrong-on-1"

ok "the server starts" start_server
HOLDFAST_LAUNCH=00112233445566778899aabbccddeeff HOLDFAST_INCARNATION=0
export HOLDFAST_LAUNCH HOLDFAST_INCARNATION
job_options="--mca hook_holdfast_window many"
ok "a wrong variable: 78" exits 78 all 2
unset job_options
ok "though it is wrong on another rank than the first" exits 78 one 2 "$run_dir/wrong-on-1"
ok "a job of another number of ranks is made" job other 1 "$world" protect checkpoint
ok "another number of ranks: 78" exits 78 other 2
job_options="--mca hook_holdfast_epoch 99"
ok "an epoch that is not there: 78, and no restart from another one" exits 78 other 1
unset job_options
HOLDFAST_INCARNATION=1
ok "in a later incarnation, too" exits 78 other 2
ok "the server stops without complaint" stop_server
ok "no server, in a later incarnation: 1, as it may come back" exits 1 away 2
HOLDFAST_INCARNATION=0
ok "no server at the first start: 78" exits 78 away 2
ok "and told why" said away "the server cannot be reached"

if have_test_points; then
	HOLDFAST_TEST_POINT=pmm.open.before-reply:kill:2
	export HOLDFAST_TEST_POINT
	ok "a server starts that dies when a second rank attaches" start_server
	unset HOLDFAST_TEST_POINT
	ok "a server that is lost in the first start: 78" exits 78 lost 3
	ok "and told why" said lost "cannot be reached"
else
	skip 3 "built without test points"
fi
done_testing
