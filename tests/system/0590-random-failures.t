#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Ranks, daemons and nodes of a job on three nodes fail at random: each time the same mpirun ends well.
# HOLDFAST_TEST_ROUNDS failures (default 6), by HOLDFAST_TEST_SEED.
TIME_LIMIT=$((120 + ${HOLDFAST_TEST_ROUNDS:-6} * 60))
. "${0%/*}/nodes.sh"
. "${0%/*}/lib.sh"
. "${0%/*}/prte.sh"
rounds=${HOLDFAST_TEST_ROUNDS:-6}
seed=${HOLDFAST_TEST_SEED:-$(($(date +%s) % 30000))}
case $(ompi_info --version) in
*v4.*)
	plan 5
	daemon=orted
	;;
*)
	prte_plan 5
	daemon=prted
	;;
esac
echo "# HOLDFAST_TEST_SEED=$seed"
exec 3>&1

number()
{
	seed=$(((seed * 1103515245 + 12345) % 2147483648))
	drawn=$((seed / 65536 % $1))
}

# mpirun of either Open MPI; sets job_pid.
round_start()
{
	round_options="$nodes_options --mca errmgr_holdfast_start_timeout 40 --mca hook_holdfast_auth psk
		--mca hook_holdfast_key_file $run_dir/key"
	# shellcheck disable=SC2086,SC2154 # lists of words
	set -- 4 "$stencil" $stencil_size --every 10 --delay-ms "$stencil_delay_ms"
	if [ "$daemon" = orted ]; then
		# shellcheck disable=SC2086 # a list of words
		TMPDIR=$run_dir mpirun.openmpi --tune "$tune" $round_options $restarting \
			--mca hook_holdfast_server "$server" --bind-to none -n "$@" \
			>"$run_dir/round.out" 2>"$run_dir/round.err" </dev/null &
		job_pid=$!
		run_jobs="$run_jobs $job_pid"
	else
		job_options=$round_options job_placement=
		relaunch_start round "$@"
	fi
}

pmuctl_all()
{
	HOLDFAST_KEY_FILE=$run_dir/key HOLDFAST_AUTH=psk "$pmuctl" -s "$server" "$@"
}

# pids_of PROGRAM NODE
pids_of()
{
	node_pids "$2" | xargs -r -n 1 ps -o pid=,comm= -p | awk -v program="$1" '$2 == program { print $1 }'
}

ranks_there()
{
	[ -n "$(pids_of stencil 1)" ] && [ -n "$(pids_of stencil 2)" ]
}

# A rank, a daemon, or a whole node, after up to two seconds of work.
fail_something()
{
	wait_for 40 ranks_there || :
	number 20
	sleep "$((drawn / 10)).$((drawn % 10))"
	number 8
	node=$((drawn % 2 + 1)) kind=$drawn
	echo "# round $round: kind $kind, node $node" >&3
	case $kind in
	0 | 1 | 2 | 3 | 4) target=$(pids_of stencil "$node" | head -n 1) ;;
	5) target=$(pids_of "$daemon" "$node") ;;
	*) node_kill "$node"; return ;;
	esac
	[ -z "$target" ] || kill -KILL "$target" 2>/dev/null || :
}

round_check()
{
	wait_for 150 gone "$job_pid" || { echo "round $round: mpirun hangs"; return 1; }
	job_wait || { echo "round $round: mpirun failed"; return 1; }
	[ "$(stencil_result round)" = "$expected" ] || { echo "round $round: wrong result"; return 1; }
	left=$(node_pids | wc -l)
	[ "$left" -eq 0 ] || wait_for 20 nothing_left || { echo "round $round: $left processes are left"; return 1; }
	wait_for 20 no_session || { echo "round $round: a session is left"; return 1; }
}
nothing_left()
{
	[ -z "$(node_pids)" ]
}
# A job that is done goes with its last session.
no_session()
{
	[ "$(pmuctl_all jobs --json | grep -c '"name"')" -eq 0 ]
}

all_rounds()
{
	round=0
	while [ "$round" -lt "$rounds" ]; do
		round=$((round + 1))
		round_start
		fail_something
		round_check || { cat "$run_dir/round.err"; return 1; }
		for node in 1 2 3; do
			node_back "$node" || { echo "node$node cannot be reached"; return 1; }
		done
		grep -q 'is started again' "$run_dir/round.err" && restarts=$((restarts + 1))
	done
	[ "$round" -eq "$rounds" ]
}

nodes_up 3 || bail "the nodes cannot be made"
restarts=0
ok "the computation works without Holdfast" stencil_expected
(umask 077 && head -c 32 /dev/urandom | base64 >"$run_dir/key")
server=$nodes_address:0
ok "a server for all nodes" start_server --auth psk --key-file "$run_dir/key"
ok "$rounds failures: the same mpirun ends well, with the right result, and leaves nothing" all_rounds
ok "most of them were restarts" test "$restarts" -gt $((rounds / 2))
echo "# $restarts of $rounds rounds were restarts"
ok "the server stops without complaint" stop_server
done_testing
