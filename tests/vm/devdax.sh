# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154 # of lib.sh and of the scripts, and for them
# devdax.sh - the test of 0840 and 0841: verbs write into, and read from, a devdax device, which outlives its server.
# Sourced by a script that has set `vm`, and `flush`: what makes stores durable, as the server is to say.
TIME_LIMIT=400
. "${0%/*}/lib.sh"
plan 22

device_server()
{
	start_server --data "$device" --size 400M --net verbs --fabric-listen "$rdma_address" "$@"
}

stencil_is_short
device=$(nvdimm_mode 512 devdax)
ok "the memory module becomes a device" test -c "$device"
ok "the soft-RoCE device comes up" rdma_up
ok "the computation works without Holdfast" stencil_expected
ok "the server starts" device_server
is "it has the device" "$(stat_of pool.device)" "$device"
is "it knows what has to be flushed" "$(stat_of pool.flush)" "$flush"
is "no part of it is bad" "$(stat_of pool.bad_bytes)" 0

point_on_rank 2 ckpt-put:stop:4 # it gets no further, however slow this is
stencil_start job "$run_dir/pointed"
ok "epochs get complete" wait_for 120 epoch_reached job 3
ok "rank 2 can be killed" kill -KILL "$(rank_pid 2)"
ok "mpirun reports the failure" fails job_wait
epoch=$(newest_epoch job)
kill_server
ok "the server starts again, after kill -9" device_server
is "it has what was complete" "$(newest_epoch job)" "$epoch"
ok "each byte of it is sound" "$pmuctl" -s "$server" verify job

stencil_start job
ok "the same command succeeds" job_wait
is "it resumed from the newest complete epoch" "$(stencil_resumed job)" "$epoch"
is "its result is that of the undisturbed computation" "$(stencil_result job)" "$expected"
ok "the server stops without complaint" stop_server
ok "another pool is refused the device" refused "$pmu_server" --foreground --pool "$run_dir/other" --size 400M \
	--data "$device" --auth none --listen 127.0.0.1:0

block=$(nvdimm_mode 1024 fsdax)
ok "another memory module becomes a disk with a file system" nvdimm_mount "$block" /tmp/pmem
server=
ok "a pool there is served by libfabric" start_server --pool /tmp/pmem/pool --size 200M
is "it knows what has to be flushed" "$(stat_of pool.flush)" "$flush"
ok "the server stops without complaint" stop_server
done_testing
