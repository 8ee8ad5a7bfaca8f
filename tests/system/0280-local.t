#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Ranks on the server's own node copy into its memory by themselves, without being told to; whoever of them, or of the
# server, dies or hangs meanwhile, the job goes on from its newest complete epoch, and computes the same.
# shellcheck disable=SC2317 # `ok` calls the functions
TIME_LIMIT=300
server_local=yes
. "${0%/*}/lib.sh"
plan 42

# all_local: every set so far was written so.
all_local()
{
	commits=$(stat_of count.commits) commits_local=$(stat_of count.commits_local)
	echo "$commits_local of $commits"
	[ "${commits_local:-0}" -gt 0 ] && [ "$commits_local" = "$commits" ]
}

none_local()
{
	echo "$(stat_of count.commits_local) of $(stat_of count.commits)"
	[ "$(stat_of count.commits)" -gt 0 ] && [ "$(stat_of count.commits_local)" = 0 ]
}

rank_hangs()
{
	stopped "$(rank_pid "$1")"
}

stencil_is_short
ok "the computation works without Holdfast" stencil_expected
ok "the server starts" start_server
ok "a job that names no data plane goes to its end" stencil_run plain
is "with the right result" "$(stencil_result plain)" "$expected"
ok "its ranks copied by themselves" all_local
HOLDFAST_NET=ofi
export HOLDFAST_NET
ok "one that names the fabric goes to its end" stencil_run fabric
ok "and its ranks did not" fails all_local
unset HOLDFAST_NET
ok "the server stops without complaint" stop_server

ok "a server that does not want it starts" start_server --local=no
ok "the job goes to its end all the same" stencil_run unwanted
ok "over the fabric" none_local
HOLDFAST_NET=local
export HOLDFAST_NET
ok "who insists on it is refused" stencil_refused insists
ok "and told why" said insists "the server offers no data plane on its own node"
ok "the server stops without complaint" stop_server
unset HOLDFAST_NET

ok "the server starts" start_server
if have_test_points; then
	# A rank that hangs in mid-write is taken over from, and comes back when others have used its slot.
	for mode in full incremental; do
		job_options="--mca hook_holdfast_mode $mode"
		point_on_rank 2 client.put.mid-write:stop:9
		job_as=$mode-old
		stencil_start "$mode" "$run_dir/pointed"
		old_job=$job_pid
		ok "$mode: a rank hangs in mid-write" wait_for 60 rank_hangs 2
		hung=$(rank_pid 2)
		epoch=$(newest_epoch "$mode")
		job_as=$mode-new
		job_options="$job_options --mca hook_holdfast_takeover 1"
		stencil_delay_ms=60
		stencil_start "$mode"
		stencil_delay_ms=0
		ok "$mode: a run that takes over makes checkpoints" wait_for 60 epoch_reached "$mode" $((epoch + 3))
		ok "$mode: the rank comes back" kill -CONT "$hung"
		ok "$mode: and its run ends" wait_for 60 gone "$old_job"
		wait "$old_job"
		ok "$mode: the new run goes to its end" job_wait
		is "$mode: from the newest complete epoch" "$(stencil_resumed "$mode-new")" "$epoch"
		is "$mode: with the right result" "$(stencil_result "$mode-new")" "$expected"
		unset job_as job_options
	done
else
	skip 14 "built without --enable-test-points"
fi

stencil_size='--nx 300 --ny 200 --steps 300' stencil_delay_ms=20
ok "the longer computation works without Holdfast" stencil_expected
stencil_start killed
ok "epochs get complete" wait_for 60 epoch_reached killed 2
# shellcheck disable=SC2046 # a list of words
ok "the network interface can be killed" kill -KILL $(ni_pids)
ok "epochs get complete afterwards" wait_for 60 epoch_reached killed 5
ok "the server can be killed" kill_server
ok "and starts again" start_server
ok "epochs get complete afterwards, too" wait_for 60 epoch_reached killed 8
ok "a rank can be killed" kill -KILL "$(rank_pid 1)"
ok "and the job with it" fails job_wait
epoch=$(newest_epoch killed)
ok "all that is listed is sound" "$pmuctl" -s "$server" verify killed
job_as=again
stencil_start killed
ok "the same command goes to its end" job_wait
is "from the newest complete epoch, to the right result" "$(stencil_resumed again) $(stencil_result again)" \
	"$epoch $expected"
ok "the server stops without complaint" stop_server
done_testing
