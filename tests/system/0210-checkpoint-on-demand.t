#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A job that makes no checkpoints by itself makes one when a tool asks, which is told the epoch; who asks a job
# that is not there, does not run or does not answer is told that.
# shellcheck disable=SC2317 # `ok` calls the functions
TIME_LIMIT=240
. "${0%/*}/lib.sh"
plan 26
world=$(run_program world) || bail "world has not been built"
checkpoint=$(run_program holdfast-checkpoint) || bail "holdfast-checkpoint has not been built"

# ask [ARGUMENT]...: holdfast-checkpoint; its status is in ask_status, what it says in ask.out and ask.err.
ask()
{
	"$checkpoint" -s "$server" --timeout 60 "$@" >"$run_dir/ask.out" 2>"$run_dir/ask.err"
	ask_status=$?
}

asked()
{
	grep -qFe "$1" "$run_dir/ask.err"
}

ok "the computation works without Holdfast" stencil_expected
ok "the server starts" start_server
ask nobody
is "a job that is not there: the status" "$ask_status" 4
ok "and the reason" asked "there is no job 'nobody'"
job rest 2 "$world" protect checkpoint || bail "world fails"
ask rest
is "a job that is not running: the status" "$ask_status" 4
ok "and the reason" asked "job 'rest' is not running"

job_options="--mca hook_holdfast_interval 0"
# shellcheck disable=SC2086 # a list of words
job_start job 4 "$stencil" $stencil_size --delay-ms 60
ok "a job without an interval starts" wait_for 60 attached job 4
is "and makes no checkpoint" "$(newest_epoch job)" 0
ask job
is "asked, it makes one" "$ask_status" 0
is "of which just the epoch is told" "$(cat "$run_dir/ask.out" "$run_dir/ask.err")" 1
is "and it is complete" "$(newest_epoch job)" 1
is "pmuctl asks as well" "$("$pmuctl" -s "$server" checkpoint job)" "job job: epoch 2 is complete"
is "also for JSON" "$("$pmuctl" -s "$server" checkpoint job --json)" '{"epoch": 3, "left": false}'
is "three epochs for three wishes" "$(newest_epoch job)" 3
ok "signals reach the ranks through mpirun" kill -USR1 "$job_pid"
ok "and ask for a checkpoint, too" wait_for 60 epoch_reached job 4

rank=$(rank_pid 2)
kill -STOP "$rank"
ask --timeout 1 job
kill -CONT "$rank"
is "a job that does not answer: the status" "$ask_status" 1
ok "and what happens then" asked "after 1 s, job job has made no checkpoint"
ok "the wish stands" wait_for 60 epoch_reached job 5
ok "the job goes on to its end" job_wait
is "without a word" "$(grep -v "^mpirun.*: Forwarding signal" "$run_dir/job.err")" ""
is "to the right result" "$(stencil_result job)" "$expected"

"$checkpoint" >"$run_dir/usage.out" 2>"$run_dir/usage.err"
is "without a job: the status" "$?" 2
"$pmuctl" -s "$server" show --term rest >"$run_dir/usage.out" 2>"$run_dir/usage.err"
is "--term is checkpoint's" "$?" 2
"$checkpoint" -s 127.0.0.1:1 job >"$run_dir/usage.out" 2>"$run_dir/usage.err"
is "without a server: the status" "$?" 1
ok "the server stops without complaint" stop_server
done_testing
