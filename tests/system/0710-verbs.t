#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# On an RDMA device: the data plane keeps its contract, with memory windows and without, and a job whose rank is killed
# resumes from what went over it.
TIME_LIMIT=900
. "${0%/*}/lib.sh"

# The IPv4 address of a device's network interface; that of the first where there are several.
rdma_address()
{
	for device_port in /sys/class/infiniband/*/ports/*; do
		interface=$(cat "$device_port/gid_attrs/ndevs/0" 2>/dev/null) || continue
		ip -4 -o addr show dev "$interface" | sed -n 's|.* inet \([0-9.]*\)/.*|\1|p'
	done | head -n 1
}

address=$(rdma_address)
[ -n "$address" ] || skip_all "there is no RDMA device with an IPv4 address"
plan 13

HOLDFAST_TEST_NET=verbs HOLDFAST_TEST_ADDRESS=$address
CK_TIMEOUT_MULTIPLIER=3 TEMP=$run_dir
export HOLDFAST_TEST_NET HOLDFAST_TEST_ADDRESS CK_TIMEOUT_MULTIPLIER TEMP
ok "the contract is kept" "$builddir/tests/unit/net"
ok "the contract is kept without memory windows" env HOLDFAST_VERBS_WINDOWS=no "$builddir/tests/unit/net"
ok "what is kept is forgotten in time" "$builddir/tests/unit/verbs"
ok "nothing is copied on the way" "$builddir/tests/unit/nocopy"

ok "the computation works without Holdfast" stencil_expected
ok "the server starts" start_server --net verbs --fabric-listen "$address"
stencil_start job
ok "epochs get complete" wait_for 120 epoch_reached job 3
is "the server says how" "$("$pmuctl" -s "$server" stat | sed -n 's/^server.net *//p')" verbs
ok "rank 2 can be killed" kill -KILL "$(rank_pid 2)"
ok "mpirun reports the failure" fails job_wait
epoch=$(newest_epoch job)

stencil_start job
ok "the same command succeeds" job_wait
is "it resumed from the newest complete epoch" \
	"$(sed -n 's/.*resumed from epoch \([0-9]*\).*/\1/p' "$run_dir/job.err")" "$epoch"
is "its result is that of the undisturbed computation" "$(stencil_result job)" "$expected"
done_testing
