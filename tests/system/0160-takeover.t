#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A run that takes over cuts the older one off for good: what hung and comes back is told so, ends, and changes
# nothing.
# shellcheck disable=SC2317 # `ok` calls the functions
TIME_LIMIT=180
. "${0%/*}/lib.sh"
plan 24

# freeze: stops all ranks of the job that runs; frozen then has their numbers.
freeze()
{
	frozen=
	for rank in 0 1 2 3; do
		frozen="$frozen $(rank_pid "$rank")" || return 1
	done
	# shellcheck disable=SC2086 # a list of words
	kill -STOP $frozen
	frozen_job=$job_pid
}

# thaw: lets them go on. Succeeds when the job then ends by itself, and fails.
thaw()
{
	# shellcheck disable=SC2086 # a list of words
	kill -CONT $frozen || return 1
	wait_for 60 gone "$frozen_job" || { echo "it still runs"; return 1; }
	! wait "$frozen_job"
}

ok "the computation works without Holdfast" stencil_expected
ok "the server starts" start_server
for way in environment variable; do
	job_as=$way-old
	stencil_start "$way"
	ok "$way: epochs get complete" wait_for 60 epoch_reached "$way" 2
	ok "$way: all ranks hang" freeze
	epoch=$(newest_epoch "$way")

	job_as=$way-new
	case $way in
	environment) HOLDFAST_TAKEOVER=yes && export HOLDFAST_TAKEOVER ;;
	variable) job_options="--mca hook_holdfast_takeover 1" ;;
	esac
	stencil_start "$way"
	unset HOLDFAST_TAKEOVER job_options
	ok "$way: a run that takes over makes checkpoints" wait_for 60 epoch_reached "$way" $((epoch + 2))
	ok "$way: the older run comes back, and ends with a failure" thaw
	ok "$way: it is told why" said "$way-old" "another run has taken over, stopping"
	ok "$way: and by what" said "$way-old" "taken over by another process"
	is "$way: it has no result" "$(cat "$run_dir/$way-old.out")" ""
	ok "$way: the new run succeeds" job_wait
	is "$way: it had resumed from the newest complete epoch" "$(stencil_resumed "$way-new")" "$epoch"
	is "$way: to the right result" "$(stencil_result "$way-new")" "$expected"
done
unset job_as
is "nothing is left" "$("$pmuctl" -s "$server" jobs --json | tr -d ' \n')" "[]"
ok "the server stops without complaint" stop_server
done_testing
