#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A restarted job says where it goes on and after which failure. One that crashes by its own fault without any
# progress goes back to an older epoch, and is given up when there is none; bad luck and progress do not count.
# shellcheck disable=SC2317 # `ok` calls the functions
TIME_LIMIT=240
. "${0%/*}/lib.sh"
plan 55
world=$(run_program world) || bail "world has not been built"
HOLDFAST_LAUNCH=00112233445566778899aabbccddeeff
export HOLDFAST_LAUNCH

# incarnation N CRASHES JOB WORD...: as the launcher starts it for the n-th time; its output is in JOB-N.
incarnation()
{
	HOLDFAST_INCARNATION=$1 HOLDFAST_CRASHES=$2 job_as=$3-$1 test_job=$3
	export HOLDFAST_INCARNATION HOLDFAST_CRASHES
	unset HOLDFAST_RESTART HOLDFAST_RESTART_NS
	if [ "$1" -gt 0 ]; then
		HOLDFAST_RESTART="rank 1 on node7 was killed by signal 11 (Segmentation fault)"
		HOLDFAST_RESTART_NS=$(date +%s%N)
		export HOLDFAST_RESTART HOLDFAST_RESTART_NS
	fi
	shift 3
	job "$test_job" 2 "$world" "$@"
}

# crashes N CRASHES JOB WORD...: the same, and it ends as if it had crashed.
crashes()
{
	incarnation "$@" crash
	[ $? -eq 3 ]
}

announced()
{
	grep -cE "^holdfast: job ${1%-*}: $2[0-9]+\.[0-9]{2} s after rank 1 on node7 was killed by signal 11 \(Segmentation fault\) \(incarnation ${1##*-}\)${3-}\$" \
		"$run_dir/$1.err"
}

restored()
{
	sed -n 's/^restore: success, epoch //p' "$run_dir/$1.out" | uniq
}

ok "the server starts" start_server

ok "a job makes two checkpoints, and crashes" crashes 0 0 sick protect checkpoint checkpoint
ok "one rank's set of the first is damaged" set_flip 1 1 0
ok "it is started again, and crashes" crashes 1 1 sick protect restore
incarnation 2 2 sick protect restore
is "it is given up, as there is no sound older epoch" $? 70
ok "told that this is why" said sick-2 "epoch 1 is damaged (rank 1: "
ok "and that it is given up" said sick-2 "there is no older sound epoch to go back to"
ok "it is removed" "$pmuctl" -s "$server" rm sick

ok "a job makes two checkpoints, and crashes" crashes 0 0 loop protect restore checkpoint checkpoint
ok "of which nothing is said at the first start" fails said loop-0 "incarnation"
ok "it is started again, and crashes" crashes 1 1 loop protect restore
is "it says in one line where it goes on" "$(announced loop-1 'resumed from epoch 2, ')" 1
is "which is so" "$(restored loop-1)" 2
ok "without a word of a crash loop" fails said loop-1 "passed over"
ok "it is started again, and crashes" crashes 2 2 loop protect restore
ok "the epoch is passed over, loudly" said loop-2 "epoch 2 is passed over: the last 2 incarnations crashed"
is "once" "$(grep -c "passed over" "$run_dir/loop-2.err")" 1
ok "in favour of the older one" said loop-2 "(Segmentation fault)); going back to epoch 1"
is "from which it goes on" "$(restored loop-2) $(announced loop-2 'resumed from epoch 1, ')" "1 1"
ok "it is started again, and crashes" crashes 3 3 loop protect restore restore
is "from the older one once more" "$(restored loop-3) $(announced loop-3 'resumed from epoch 1, ')" "1 1"
incarnation 4 4 loop protect restore
is "it is given up" $? 70
ok "and told so" said loop-4 "given up: the last 4 incarnations crashed (the last of them: rank 1 on node7"
is "once" "$(grep -c "given up" "$run_dir/loop-4.err")" 1
ok "it is told how to look at it" said loop-4 "pmuctl show loop"
ok "and how to go on all the same" said loop-4 "then the same command goes on from epoch 2"
is "it did not begin at the beginning" "$(sed -n '/^restore/p' "$run_dir/loop-4.out")" ""
is "what is stored stays" "$(newest_epoch loop)" 2
HOLDFAST_LAUNCH=ffeeddccbbaa99887766554433221100
ok "a new launch runs" incarnation 0 0 loop protect restore
is "it goes on from the newest epoch" "$(restored loop-0)" 2

ok "a job makes a checkpoint, and crashes" crashes 0 0 progress protect checkpoint
ok "makes another, and crashes" crashes 1 1 progress protect restore checkpoint
ok "crashes" crashes 2 2 progress protect restore
is "from there" "$(restored progress-2)" 2
ok "crashes, makes a checkpoint from the older epoch" crashes 3 3 progress protect restore checkpoint
is "as it was passed over once more" "$(restored progress-3)" 1
ok "is started again, and crashes" crashes 4 4 progress protect restore
is "goes on from the new epoch" "$(restored progress-4) $(newest_epoch progress)" "3 3"

ok "a job makes a checkpoint, and is killed" crashes 0 0 killed protect checkpoint
for n in 1 2 3 4; do
	ok "it is killed for the $n. time" crashes $n 0 killed protect restore
	is "it goes on from its checkpoint" "$(restored "killed-$n")" 1
done
ok "crashes once, after that" crashes 5 1 killed protect restore
is "goes on from its checkpoint" "$(restored killed-5)" 1

ok "a job crashes before any checkpoint" crashes 0 0 empty protect
ok "once more" crashes 1 1 empty protect restore
is "it said that it starts from the beginning" \
	"$(announced empty-1 'starts from the beginning, ' ': it has no complete checkpoint')" 1
HOLDFAST_RESTART=
incarnation 2 2 empty protect restore
is "it is given up" $? 70
ok "and told so" said empty-2 "completed a checkpoint; there is no epoch to go back to"
ok "the server stops without complaint" stop_server
done_testing
