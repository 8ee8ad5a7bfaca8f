# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2086,SC2154 # of lib.sh and of the scripts, and for them
# random-faults.sh - the test of 0190, 0191 and 0195: whatever happens to a job and its server, whenever, no complete epoch
# is lost, no run starts from zero, what is listed is sound, nothing hangs, and every result is right.
# HOLDFAST_TEST_ROUNDS faults (default 12), by HOLDFAST_TEST_SEED.
#
# Sourced by a script that has set `program` (its name: "NAME: resumed from epoch N" is what it says), and defines
# `computation_expected`, which sets expected, and `computation_start`: 4 ranks of the job `job` in the background, with
# $rank_program before the program. Its plan is faults_tests more.
rounds=${HOLDFAST_TEST_ROUNDS:-12}
seed=${HOLDFAST_TEST_SEED:-$(($(date +%s) % 30000))}
server_options=
faults='kill_rank kill_rank kill_rank kill_rank kill_mpirun kill_ni kill_server' # fault_NAME of each; the script may have others
pause=20     # tenths of a second, at most, from one to the next
relaunch=no  # may half of the runs be under an mpirun that starts failed jobs again?
lease=10
patience=60  # seconds that a run which nobody disturbs has to its end
faults_tests=5 # is for their plan

# number BELOW: the next pseudo-random number (the constants are those of ANSI C's rand).
number()
{
	seed=$(((seed * 1103515245 + 12345) % 2147483648))
	drawn=$((seed / 65536 % $1))
}

# doze TENTHS: up to that long.
doze()
{
	number "$1"
	sleep "$((drawn / 10)).$((drawn % 10))"
}

# pick WORD...: sets picked.
pick()
{
	number $#
	shift "$drawn"
	picked=$1
}

say()
{
	echo "# fault $round: $*" >&3
}

trouble()
{
	echo "fault $round: $*"
	tail -n 60 "$run_dir/job.err"
	return 1
}

# ---- what holds whatever happens ----

# What the server lists at the moment is sound, each byte of it, but for what was flipped here.
sets_check()
{
	"$pmuctl" -s "$server" verify job >"$run_dir/verify.out" 2>&1
	case $? in
	0 | 4) return 0 ;; # 4: there is none, the job was done
	3) [ -z "${flipped-}" ] || grep DAMAGED "$run_dir/verify.out" | grep -qv "epoch $flipped:" || return 0 ;;
	esac
	cat "$run_dir/verify.out"
	trouble "a set that is listed is damaged"
}

# The ranks' own output, which no killed mpirun loses; with `.before` that of the run before.
result()
{
	[ ! -e "$run_dir/result${1-}" ] || grep "^$program: steps=" "$run_dir/result${1-}" | sort -u
}

# Ranks that outlive their mpirun may get to the end, and give their checkpoints up, before those of the next run are there.
overtaken()
{
	[ -z "$former" ] || return 0
	former=$(result .before)
	[ -n "$former" ] || return 0
	[ "$former" = "$expected" ] || { trouble "wrong result: $former"; return 1; }
	say "ranks without an mpirun got to the end"
	complete=0 before='' flipped=''
}

# Sets now: the newest epoch that is listed, but for one that was flipped here.
newest_sound()
{
	now=$(newest_epoch job)
	[ "${now:-none}" != "${flipped:-}" ] || now=$older
}

# The job's newest complete epoch, by the server's own list, is at no instant older than $before, the newest that ever was:
# not while a checkpoint is being made either, when it would be noticed only by who dies just then. Sets before. A job
# that is done has none; one that passes over an epoch on purpose says so.
epochs_check()
{
	newest_sound
	overtaken || return 1
	if [ "${now:-0}" -ge "${before:-0}" ] || [ -n "$(result)" ] || said job "going back to epoch"; then
		before=$now
		return 0
	fi
	trouble "epoch $before was complete, now it is ${now:-none}"
}

# watch TENTHS: epochs_check, for up to that long, where there is a server to be asked.
watch()
{
	number "$1"
	looks=$((drawn + 1)) # each of them takes some hundredths of a second by itself
	while [ "$looks" -gt 0 ]; do
		looks=$((looks - 1))
		! server_answers || epochs_check || return 1
		sleep 0.05
	done
}

server_answers()
{
	"$pmuctl" -s "$server" stat >/dev/null 2>&1
}

# Starts the job; remembers what it must not fall behind.
run_start()
{
	# What they write from now on is not this run's.
	mv -f "$run_dir/result" "$run_dir/result.before" 2>/dev/null || : >"$run_dir/result.before"
	former=$(result .before)
	# Of a run that was killed after its result there may be left something, which is for nobody.
	[ -z "$former" ] || before='' flipped=''
	newest_sound
	[ "${now:-0}" -ge "${before:-0}" ] || now=$before
	complete=${now:-0} said_before=0 killed=no
	run_uptime
	run_since=$run_now
	job_options=$more_options restarts=no
	number 2
	if [ "$relaunch" = yes ] && [ "$drawn" = 1 ]; then
		restarts=yes
		job_options="$job_options $restarting --mca errmgr_holdfast_max_restarts 100000"
	fi
	computation_start
}
more_options=

# What the job said since the last kill.
said_since()
{
	tail -n "+$((said_before + 1))" "$run_dir/job.err"
}

# Had the run its result already when a rank of it was killed, under an mpirun that would have started it again?
was_done()
{
	[ "$killed" = yes ] && [ "$(result)" = "$expected" ] &&
		! said_since | grep -q "the job is started again"
}

# Did the run go on from where it should?
run_check()
{
	overtaken || return 1
	resumed=$(said_since | sed -n "s/^$program: resumed from epoch \([0-9]*\).*/\1/p" | head -n 1)
	[ "${resumed:-$complete}" -ge "$complete" ] ||
		{ trouble "epoch $complete was complete, it resumed from $resumed"; return 1; }
	[ -n "$resumed" ] || [ "$complete" -eq 0 ] || was_done ||
		! { result; said_since | grep -v "cannot restore"; } | grep -qE "^$program:|starts from the beginning" ||
		{ trouble "epoch $complete was complete, it began at the beginning"; return 1; }
	[ -z "$(result)" ] || [ "$(result)" = "$expected" ] || { trouble "wrong result: $(result)"; return 1; }
}

# For a while from here on.
server_is_away()
{
	run_uptime
	away_at=$run_now
}
away_at=-1000

# A job that begins while the server is down, or cannot be reached, waits for it a few seconds only, and one whose killed
# ranks the server has not missed yet is refused: it says so and ends, and is started again.
turned_away()
{
	[ "$away_at" -gt $((run_since - 2 * lease)) ] || return 1
	said_since | grep -qE "MPI_Init: the job cannot be protected.*($server (cannot be reached|is lost)|is running: rank|Too many open files|as many as it has descriptors for)" || return 1
	say "the job was turned away, and is started again"
	sleep $((lease + 1))
	run_start
	wait_for "$patience" gone "$job_pid" && job_wait
}

run_finish()
{
	wait_for "$patience" gone "$job_pid" || { trouble "the job hangs"; return 1; }
	cut_short=no
	if ! job_wait && [ -n "$(result)" ]; then
		cut_short=yes # a rank was killed when the result was out
	elif [ -z "$(result)" ] && ! turned_away; then
		trouble "the undisturbed rest failed"
		return 1
	fi
	run_check || return 1
	[ "$(result)" = "$expected" ] || { trouble "no result"; return 1; }
	finished=$((finished + 1))
}

# Open MPI 4.1's mpirun now and then does not end, though none of its ranks is left, when one was killed while
# the job started. That is not ours to mend; a rank that is left would be.
launcher_left()
{
	for left in $(descendants "$job_pid"); do
		[ "$left" = "$job_pid" ] || gone "$left" || return 1
	done
	say "mpirun was left without ranks, and is killed"
	kill -KILL "$job_pid"
}

# The run was killed: mpirun must end by itself, and the next run goes on.
run_again()
{
	wait_for 30 gone "$job_pid" || launcher_left || { trouble "mpirun hangs"; return 1; }
	job_wait 2>/dev/null
	run_check && epochs_check && sets_check || return 1
	if [ -n "$(result)" ]; then # it was done just then
		before=
		finished=$((finished + 1))
	fi
	run_start
}

# ---- processes ----

# Has the job a newer epoch than the one that it went on from?
progressed()
{
	gone "$job_pid" && return
	newest=$(newest_epoch job)
	resumed=$(sed -n "s/^$program: resumed from epoch \([0-9]*\).*/\1/p" "$run_dir/job.err" | tail -n 1)
	[ "${newest:-0}" -gt "${resumed:-0}" ]
}

# ranks_kill RANK...: these, at the same time.
ranks_kill()
{
	doomed=
	for rank in "$@"; do
		doomed="$doomed $(rank_pid "$rank")"
	done
	[ -n "${doomed# }" ] || return 0 # between two runs
	if [ "$restarts" = yes ]; then
		# Two crashes from one epoch are one of the job's own, and it goes back to an older one.
		wait_for 40 progressed || { trouble "no epoch gets complete"; return 1; }
		epochs_check || return 1
		complete=${before:-0} said_before=$(wc -l <"$run_dir/job.err") killed=yes
	fi
	kill -KILL $doomed 2>/dev/null || return 0 # it was done just now
	[ "$restarts" = yes ] || run_again
}

fault_kill_rank()
{
	number 4
	ranks_kill "$drawn"
}

fault_kill_ranks()
{
	number 3
	ranks_kill $(seq 0 $((drawn + 1)))
}

fault_kill_mpirun()
{
	kill -KILL "$job_pid" 2>/dev/null || return 0
	run_again
}

fault_kill_all()
{
	job_kill
	run_again
}

fault_kill_ni()
{
	target=$(ni_pids | head -n 1)
	[ -z "$target" ] || kill -KILL "$target" 2>/dev/null || :
}

fault_kill_server()
{
	kill_server
	server_is_away
	doze 15
	start_server $server_options
}

fault_kill_server_and_all()
{
	pids=$(descendants "$job_pid")
	kill_server
	kill -KILL $pids 2>/dev/null
	wait_for 20 gone "$job_pid" || { trouble "mpirun hangs"; return 1; }
	start_server $server_options || return 1
	run_again
}

all_rounds()
{
	finished=0 round=0 before=
	run_start
	while [ "$round" -lt "$rounds" ]; do
		watch "$pause" || return 1
		if gone "$job_pid"; then
			run_finish && run_start || return 1
			continue
		fi
		round=$((round + 1))
		pick $faults
		fault=$picked
		epochs_check || return 1
		say "$fault, epoch ${before:-none}, $finished done"
		"fault_$fault" || { trouble "$fault"; return 1; }
		epochs_check || return 1
	done
	run_finish || return 1
	[ "$cut_short" = no ] || { run_start && run_finish; }
}

faults_test()
{
	exec 3>&1
	rank_program=$run_dir/rank
	cat >"$rank_program" <<-END
		#!/bin/sh
		[ "\$OMPI_COMM_WORLD_RANK" != 0 ] || exec >>"$run_dir/result"
		[ ! -e "$run_dir/rank.sh" ] || . "$run_dir/rank.sh"
		exec "\$@"
	END
	chmod +x "$rank_program"
	echo "# HOLDFAST_TEST_SEED=$seed, $rounds faults"
	ok "the server starts" start_server $server_options
	ok "the computation works undisturbed" computation_expected
	ok "$rounds faults lose nothing and change nothing" all_rounds
	is "nothing is left in the pool" "$("$pmuctl" -s "$server" jobs --json | tr -d ' \n')" "[]"
	ok "the server stops without complaint" stop_server
}
