# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2086,SC2154 # of lib.sh and of the scripts, and for them
# random-kills.sh - the test of 0190 and 0191: whatever of a job and its server is killed, whenever, no complete epoch is
# lost, no run starts from zero, what is listed is sound, and every result is right.
# HOLDFAST_TEST_ROUNDS kills (default 12) of a rank, mpirun, the NI or the PMM, by HOLDFAST_TEST_SEED.
#
# Sourced by a script that has set `program` (its name: "NAME: resumed from epoch N" is what it says), and defines
# `computation_expected`, which sets expected, and `computation_start`: 4 ranks of the job `job` in the background. Its
# plan is kills_tests more.
rounds=${HOLDFAST_TEST_ROUNDS:-12}
seed=${HOLDFAST_TEST_SEED:-$(($(date +%s) % 30000))}
server_options=
kills_tests=6 # is for their plan

# number BELOW: the next pseudo-random number (the constants are those of ANSI C's rand).
number()
{
	seed=$(((seed * 1103515245 + 12345) % 2147483648))
	drawn=$((seed / 65536 % $1))
}

# What the server lists at the moment is sound, each byte of it.
sets_check()
{
	"$pmuctl" -s "$server" verify job
	case $? in
	0 | 4) ;; # 4: there is none, the job was done
	*) echo "round $round: a set that is listed is damaged"; return 1 ;;
	esac
}

# Starts the job; remembers what it must not fall behind.
run_start()
{
	complete=$(newest_epoch job)
	complete=${complete:-0} server_killed=no
	computation_start
}

# Did the run that ended go on from where it should?
run_check()
{
	resumed=$(sed -n "s/^$program: resumed from epoch \([0-9]*\).*/\1/p" "$run_dir/job.err")
	if [ "${resumed:-0}" -lt "$complete" ] && grep -q "^$program:" "$run_dir/job.err"; then
		echo "round $round: epoch $complete was complete, it resumed from ${resumed:-zero}"
		cat "$run_dir/job.err"
		return 1
	fi
}

# A job that begins while the server is down waits for it a few seconds only: it says so and ends, and is started again.
server_was_away()
{
	[ "$server_killed" = yes ] || return 1
	grep -qE "MPI_Init: the job cannot be protected.* $server (cannot be reached|is lost)" "$run_dir/job.err" || return 1
	echo "# round $round: the job began without a server" >&3
	run_start
	wait_for 60 gone "$job_pid" && job_wait
}

run_finish()
{
	wait_for 60 gone "$job_pid" || { echo "round $round: the job hangs"; return 1; }
	job_wait || server_was_away || { echo "round $round: the undisturbed rest failed"; cat "$run_dir/job.err"; return 1; }
	run_check || return 1
	[ "$(grep "^$program: steps=" "$run_dir/job.out")" = "$expected" ] || { echo "round $round: wrong result"; return 1; }
	finished=$((finished + 1))
}

# Open MPI 4.1's mpirun now and then does not end, though none of its ranks is left, when one was killed while
# the job started. That is not ours to mend; a rank that is left would be.
launcher_left()
{
	for left in $(descendants "$job_pid"); do
		[ "$left" = "$job_pid" ] || gone "$left" || return 1
	done
	echo "# round $round: mpirun was left without ranks, and is killed" >&3
	kill -KILL "$job_pid"
}

# A kill that ends the run: mpirun must end by itself, and the next run goes on.
kill_run()
{
	kill -KILL "$1" 2>/dev/null || return 0 # it was done just now
	wait_for 30 gone "$job_pid" || launcher_left || { echo "round $round: mpirun hangs"; return 1; }
	job_wait
	run_check && sets_check || return 1
	run_start
}

kill_something()
{
	number 7
	echo "# round $round: target $drawn" >&3
	case $drawn in
	0 | 1 | 2 | 3)
		target=$(rank_pid "$drawn") || return 0 # between two runs
		kill_run "$target"
		;;
	4)
		kill_run "$job_pid"
		;;
	5)
		target=$(ni_pids | head -n 1)
		[ -z "$target" ] || kill -KILL "$target"
		;;
	6)
		kill_server
		server_killed=yes
		number 15
		sleep "$((drawn / 10)).$((drawn % 10))"
		start_server $server_options
		;;
	esac
}

all_rounds()
{
	finished=0 round=0
	run_start
	while [ "$round" -lt "$rounds" ]; do
		round=$((round + 1))
		number 20
		sleep "$((drawn / 10)).$((drawn % 10))"
		if gone "$job_pid"; then
			run_finish && run_start || return 1
		else
			kill_something || return 1
		fi
	done
	run_finish
}

kills_test()
{
	exec 3>&1
	echo "# seed $seed, $rounds rounds"
	ok "the server starts" start_server $server_options
	ok "the computation works undisturbed" computation_expected
	ok "$rounds kills lose nothing and change nothing" all_rounds
	ok "jobs got to their end" test "${finished:-0}" -ge 1
	is "nothing is left in the pool" "$("$pmuctl" -s "$server" jobs --json | tr -d ' \n')" "[]"
	ok "the server stops without complaint" stop_server
}
