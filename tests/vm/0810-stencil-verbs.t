#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Jobs over libfabric's verbs provider: a rank is killed, all ranks and the server are, and the job resumes from the newest
# complete epoch, in mode incremental too; who hung while its job was taken over is cut off.
# shellcheck disable=SC2034 # variables for run.sh
TIME_LIMIT=500
. "${0%/*}/lib.sh"
plan 38

fabric_server()
{
	start_server --fabric verbs --fabric-listen "$rdma_address"
}

# hung_start JOB: rank 1 hangs in its third checkpoint, and so no rank gets any further.
hung_start()
{
	point_on_rank 1 client.put.after-begin:stop:3
	stencil_start "$1" "$run_dir/pointed"
	wait_for 120 epoch_reached "$1" 2
}

# resumes JOB TEXT, from $epoch: three tests.
resumes()
{
	stencil_start "$1"
	ok "$2: the same command succeeds" job_wait
	is "$2: it resumed from the newest complete epoch" "$(stencil_resumed "$1")" "$epoch"
	is "$2: its result is that of the undisturbed computation" "$(stencil_result "$1")" "$expected"
}

stencil_is_short
# The first session waits for a process of the server's to load libfabric's providers.
options='--mca hook_holdfast_timeout 60'
job_options=$options
ok "the soft-RoCE device comes up" rdma_up
ok "the computation works without Holdfast" stencil_expected
ok "the server starts" fabric_server
is "it says how" "$(stat_of server.net)" ofi/verbs

packets=$(packets_sent)
ok "killed rank: epochs get complete" hung_start killed
ok "killed rank: it can be killed" kill -KILL "$(rank_pid 2)"
ok "killed rank: mpirun reports the failure" fails job_wait
epoch=$(newest_epoch killed)
bytes=$(stat_of count.commit_bytes)
ok "killed rank: its sets are more than messages" test "$bytes" -gt 100000
# 4096 bytes a packet at most.
ok "killed rank: they went over the device" test $(($(packets_sent) - packets)) -ge $((bytes / 4096))
resumes killed "killed rank"

ok "all killed: epochs get complete" hung_start all
ok "all killed: job and server can be killed" job_kill
kill_server
ok "all killed: the server starts again" fabric_server
is "all killed: it has what was complete" "$(newest_epoch all)" 2
ok "all killed: each byte of it is sound" "$pmuctl" -s "$server" verify all
epoch=2
resumes all "all killed"

# A plate that is warm in one corner: most blocks stay as they are.
corner=$run_dir/corner.pgm
perl -e 'print "P5\n600 400\n255\n"; for my $y (0 .. 399) { print chr($y < 9 ? 255 : 0) x 9, "\0" x 591 }' >"$corner"
stencil_size="--input $corner --steps 60"
job_options="$options --mca hook_holdfast_mode incremental --mca hook_holdfast_tracker hash"
ok "increments: the computation works without Holdfast" stencil_expected
ok "increments: epochs get complete" hung_start plate
ok "increments: rank 0 can be killed" kill -KILL "$(rank_pid 0)"
ok "increments: mpirun reports the failure" fails job_wait
ok "increments: there are some" test "$("$pmuctl" -s "$server" show plate --all | grep -c ' increment ')" -ge 3
epoch=$(newest_epoch plate)
resumes plate "increments"

job_options=$options
job_as=old
ok "taken over: epochs get complete" hung_start taken
hung=$(for rank in 0 1 2 3; do rank_pid $rank; done)
old_job=$job_pid
ok "taken over: all ranks hang" eval 'kill -STOP $hung'
job_as=new job_options="$options --mca hook_holdfast_takeover 1"
point_on_rank 2 ckpt-put:stop:2
stencil_start taken "$run_dir/pointed"
ok "taken over: a new run makes a checkpoint" wait_for 120 epoch_reached taken 3
# shellcheck disable=SC2086 # a list of words
kill -CONT $hung
ok "taken over: the old run ends" wait_for 120 gone "$old_job"
new_job=$job_pid job_pid=$old_job
ok "taken over: with a failure" fails job_wait
ok "taken over: it is told why" said old "another run has taken over, stopping"
job_pid=$new_job
# shellcheck disable=SC2046 # a list of words
kill -CONT $(descendants "$job_pid")
ok "taken over: the new run succeeds" job_wait
is "taken over: it had resumed from the newest complete epoch" "$(stencil_resumed new)" 2
is "taken over: its result is that of the undisturbed computation" "$(stencil_result new)" "$expected"
ok "the server stops without complaint" stop_server
done_testing
