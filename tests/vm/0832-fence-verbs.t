#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A primary that was granted a range of a device, and hung, comes back after its region was taken over: all that it
# sends then is for nothing, and it learns that it was fenced. The new run has its own set in that very range by then.
# shellcheck disable=SC2034 # variables for run.sh
vm='--nvdimm 512M,mem-ctrl'
TIME_LIMIT=600
. "${0%/*}/lib.sh"
plan 20

# Half a megabyte a rank and field, which is 100 and more packets.
stencil_size='--nx 800 --ny 300 --steps 60' stencil_delay_ms=0
device=$(nvdimm_mode 512 devdax)
ok "the memory module becomes a device" test -c "$device"
ok "the soft-RoCE device comes up" rdma_up
ok "the computation works without Holdfast" stencil_expected
ok "the server starts" start_server --data "$device" --size 400M --net verbs --fabric-listen "$rdma_address"

# After the server's answer to its third BEGIN.
point_on_rank 1 client.put.after-begin:stop:3
job_as=old
stencil_start job "$run_dir/pointed"
old_job=$job_pid
ok "all other ranks have the third epoch" wait_for 200 commits_reach 11
old=$(rank_pid 1)
ok "rank 1 hangs before it writes" wait_for 60 stopped "$old"
is "two epochs are complete" "$(newest_epoch job)" 2

# The new run hangs, too, in its second checkpoint, so that all is quiet.
point_on_rank 2 ckpt-put:stop:2
job_as=new job_options='--mca hook_holdfast_takeover 1'
stencil_start job "$run_dir/pointed"
new_job=$job_pid
ok "the run that takes over makes a checkpoint" wait_for 200 commits_reach 18
ok "it is complete" test "$(newest_epoch job)" -gt 2
ok "and sound" "$pmuctl" -s "$server" verify job
shown=$("$pmuctl" -s "$server" show job --json)
before=$(packets_sent)
kill -CONT "$old"
ok "the old run ends" wait_for 120 gone "$old_job"
ok "with a failure" fails wait "$old_job"
ok "it is told why" said old "another run has taken over, stopping"
# Connection management takes a few; how many of its own got out is a race with the news of the fence.
ok "it has tried: there were packets" test $(($(packets_sent) - before)) -gt 16
is "all is listed as before" "$("$pmuctl" -s "$server" show job --json)" "$shown"
ok "each byte is sound" "$pmuctl" -s "$server" verify job

# shellcheck disable=SC2046 # a list of words
kill -CONT $(descendants "$new_job")
job_pid=$new_job
ok "the new run succeeds" job_wait
is "it had resumed from the newest complete epoch" "$(stencil_resumed new)" 2
is "its result is that of the undisturbed computation" "$(stencil_result new)" "$expected"
unset job_as
ok "the server stops without complaint" stop_server
done_testing
