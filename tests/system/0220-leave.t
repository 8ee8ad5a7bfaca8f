#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A job that is asked to leave, by a tool or a signal, makes a checkpoint and ends with 75; the next run goes on.
# shellcheck disable=SC2317 # `ok` calls the functions
TIME_LIMIT=300
. "${0%/*}/lib.sh"
plan 28
world=$(run_program world) || bail "world has not been built"
checkpoint=$(run_program holdfast-checkpoint) || bail "holdfast-checkpoint has not been built"
job_options="--mca hook_holdfast_interval 0"

start()
{
	# shellcheck disable=SC2086 # a list of words
	job_start "$1" 4 "$stencil" $stencil_size --delay-ms 60
	wait_for 60 attached "$1" 4
}

leave()
{
	case $1 in
	tool) epoch=$("$checkpoint" -s "$server" --timeout 60 --term tool) ;;
	signal) kill -USR2 "$job_pid" ;;
	esac
}

ok "the computation works without Holdfast" stencil_expected
ok "the server starts" start_server
for way in tool signal; do
	job_as=$way-first
	ok "$way: the job starts" start "$way"
	ok "$way: it is asked to leave" leave "$way"
	[ $way = signal ] || ok "$way: no rank is left when the tool says so" attached tool 0
	job_wait
	is "$way: mpirun's status says that it should be resubmitted" "$?" 75
	[ $way = signal ] || is "$way: the tool told the epoch" "$epoch" 1
	is "$way: which is complete" "$(newest_epoch "$way")" 1
	is "$way: one line says so" "$(grep -c "^holdfast: job $way: epoch 1 is complete; leaving, as asked, with exit code 75: run it again" "$run_dir/$way-first.err")" 1
	is "$way: there is no result" "$(cat "$run_dir/$way-first.out")" ""

	job_as=$way-second
	# shellcheck disable=SC2086 # a list of words
	job_start "$way" 4 "$stencil" $stencil_size
	ok "$way: it gets to its end" job_wait
	is "$way: it had gone on from there" "$(stencil_resumed "$way-second")" 1
	is "$way: to the right result" "$(stencil_result "$way-second")" "$expected"
done
unset job_as

job once 2 "$world" protect signal-leave checkpoint restore
is "who makes its checkpoints when it likes leaves as well" "$?" 75
ok "and not before it has one" epoch_reached once 1
HOLDFAST_SERVER=$server job_options="-x HOLDFAST_SERVER=$server" job part 2 "$world" part
is "who is but a part of what was started does not leave" "$?" 0
is "and says so" "$(grep -c "it cannot leave, as asked, for it has 1 of the 2 ranks" "$run_dir/part.err")" 2
job_options="--mca hook_holdfast_leave_signal none" job default 2 "$world" protect signal-leave checkpoint
is "without a signal to leave, that kills as ever" "$(newest_epoch default)" 0
ok "the server stops without complaint" stop_server
done_testing
