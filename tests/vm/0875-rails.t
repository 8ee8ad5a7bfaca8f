#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A server with two rails, on two soft-RoCE devices: the contract of the data plane holds over both at once; each job's
# transfers go over both, a killed rank's set is read back over both; where one is gone the other serves alone.
# shellcheck disable=SC2034 # variables for run.sh
vm='--nvdimm 512M,mem-ctrl'
TIME_LIMIT=900
. "${0%/*}/lib.sh"
plan 36

# units NAME [ENVIRONMENT]...: a unit test over both rails.
units()
{
	units_name=$1
	shift
	env CK_TIMEOUT_MULTIPLIER=3 HOLDFAST_TEST_NET=verbs HOLDFAST_TEST_ADDRESS="$rails" TEMP="$run_dir" "$@" \
		"$builddir/tests/unit/$units_name"
}

# over_both: since packets_mark, each of them has sent a quarter of all at least.
over_both()
{
	sent0=$(($(packets_sent rxe0) - before0)) sent1=$(($(packets_sent rxe1) - before1))
	echo "# packets: $sent0 and $sent1"
	[ $((sent0 + sent1)) -gt 1000 ] && [ $((4 * sent0)) -gt $((sent0 + sent1)) ] &&
		[ $((4 * sent1)) -gt $((sent0 + sent1)) ]
}

rails_server()
{
	start_server --data "$device" --size 400M --net verbs --fabric-listen "$rails" --persist flush "$@"
}

rails=10.7.0.1,10.8.0.1
device=$(nvdimm_mode 512 devdax)
ok "the memory module becomes a device" test -c "$device"
ok "a soft-RoCE device comes up" rdma_up
ok "and a second one on a network of its own" second_rdma_up
packets_mark
ok "what is promised of one connection holds over two rails" units net
ok "which are both used" over_both
ok "and without memory windows" units net HOLDFAST_VERBS_WINDOWS=no
ok "flush, read and seal, too" units persist HOLDFAST_TEST_DAX="$device"

stencil_size='--nx 800 --ny 300 --steps 60' stencil_delay_ms=0
ok "the computation works without Holdfast" stencil_expected
ok "a server starts on both devices" rails_server --overwrite-device
packets_mark
point_on_rank 2 ckpt-put:stop:4 # and so no rank gets any further
stencil_start job "$run_dir/pointed"
ok "epochs get complete" wait_for 200 epoch_reached job 3
ok "over both rails" over_both
ok "flushed by their ranks" test "$(stat_of count.commits_flush)" = "$(stat_of count.commits)"
ok "rank 2 can be killed" kill -KILL "$(rank_pid 2)"
ok "mpirun reports the failure" fails job_wait
epoch=$(newest_epoch job)
kill_server
ok "the server starts again, after kill -9" rails_server
is "it has what was complete" "$(newest_epoch job)" "$epoch"
ok "each byte of it is sound" "$pmuctl" -s "$server" verify job
packets_mark
stencil_start job
ok "the same command succeeds" job_wait
ok "over both rails" over_both
is "it resumed from the newest complete epoch" "$(stencil_resumed job)" "$epoch"
is "its result is that of the undisturbed computation" "$(stencil_result job)" "$expected"

ok "devices can be named, for one rail each" job_by rxe0,10.8.0.1 named
ok "and are used" over_both
ok "one that leads to one rail only is enough" job_by rxe1:1 one
ok "the other rail is told" said one "rail 1 of 2 is not used: over 'rxe1:1', as the variable fabric_device says"
ok "it went over that device alone" test "$(packets_sent rxe0)" -eq "$before0"

# Two more epochs of all four ranks at least.
job_options='--mca hook_holdfast_timeout 20 --mca hook_holdfast_reconnect 10'
point_on_rank 2 ckpt-put:stop:3
stencil_start lost "$run_dir/pointed"
ok "epochs get complete again" wait_for 200 epoch_reached lost 2
hung=$(rank_pid 2)
ok "rank 2 hangs" wait_for 60 stopped "$hung"
commits=$(stat_of count.commits)
ok "a rail goes down" ip link set card1 down
kill -CONT "$hung"
ok "the job comes to its end" wait_for 400 gone "$job_pid"
ok "without a failure" job_wait
ok "it says which rail it lacks" said lost "rail 2 of 2 is not used"
is "its result is that of the undisturbed computation" "$(stencil_result lost)" "$expected"
ok "it made checkpoints over the other" test "$(stat_of count.commits)" -ge $((commits + 8))
ok "the server stops" stop_server
job_options=
rails=10.7.0.1,192.0.2.1
ok "a server does not start with a rail that is not there" fails rails_server
done_testing
