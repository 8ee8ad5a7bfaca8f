#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Clients make their sets durable themselves, on a devdax device over verbs: by FLUSH, by a read, or, where that is not to
# be had, as the server does it.
# shellcheck disable=SC2034 # variables for run.sh
vm='--nvdimm 512M,mem-ctrl'
TIME_LIMIT=800
. "${0%/*}/lib.sh"
plan 46

# persist_server METHOD [OPTION]...
persist_server()
{
	persist_method=$1
	shift
	start_server --data "$device" --size 400M --net verbs --fabric-listen "$rdma_address" \
		--persist "$persist_method" "$@"
}

# commits_by METHOD: all of them were made durable so, and there are some.
commits_by()
{
	commits_reach 1 && [ "$(stat_of "count.commits_$1")" = "$(stat_of count.commits)" ]
}

# device_units [ENVIRONMENT]...: the unit test on the device.
device_units()
{
	env CK_TIMEOUT_MULTIPLIER=3 HOLDFAST_TEST_NET=verbs HOLDFAST_TEST_ADDRESS="$rdma_address" \
		HOLDFAST_TEST_DAX="$device" "$@" "$builddir/tests/unit/persist" >"$run_dir/units"
	units_status=$?
	cat "$run_dir/units"
	[ "$units_status" -eq 0 ] && grep -q '^ok .*a_seal_is_set_by_the_flush' "$run_dir/units"
}

stencil_size='--nx 120 --ny 80 --steps 60' stencil_delay_ms=0
device=$(nvdimm_mode 512 devdax)
ok "the memory module becomes a device" test -c "$device"
ok "the soft-RoCE device comes up" rdma_up
ok "flush, read and seal do what they are to do" device_units
ok "and without memory windows" device_units HOLDFAST_VERBS_WINDOWS=no
ok "and over two rails" device_units HOLDFAST_TEST_ADDRESS="$rdma_address,$rdma_address"
ok "the computation works without Holdfast" stencil_expected

new=--overwrite-device
for method in flush read; do
	ok "$method: the server starts" persist_server $method $new
	new=
	is "$method: it says so" "$(stat_of server.persist_method)" $method
	point_on_rank 2 ckpt-put:stop:4 # and so no rank gets any further
	stencil_start "$method" "$run_dir/pointed"
	ok "$method: epochs get complete" wait_for 200 epoch_reached $method 3
	ok "$method: all of them by this method" commits_by $method
	ok "$method: rank 2 can be killed" kill -KILL "$(rank_pid 2)"
	ok "$method: mpirun reports the failure" fails job_wait
	epoch=$(newest_epoch $method)
	kill_server
	ok "$method: the server starts again, after kill -9" persist_server $method
	is "$method: it has what was complete" "$(newest_epoch $method)" "$epoch"
	ok "$method: each byte of it is sound" "$pmuctl" -s "$server" verify $method
	stencil_start "$method"
	ok "$method: the same command succeeds" job_wait
	is "$method: it resumed from the newest complete epoch" "$(stencil_resumed $method)" "$epoch"
	is "$method: its result is that of the undisturbed computation" "$(stencil_result $method)" "$expected"
	[ $method = read ] || ok "the server stops" stop_server
done
ok "the server stops" stop_server

ok "the server starts once more" persist_server flush
job_options='--mca hook_holdfast_mode incremental --mca hook_holdfast_tracker hash'
ok "increments work" stencil_run increments
is "with the right result" "$(stencil_result increments)" "$expected"
ok "they are flushed by their ranks" commits_by flush
job_options=
ok "the server stops" stop_server

# A rank is held before it flushes, and loses its connection there: what it cannot do the server does, this once and
# from then on.
HOLDFAST_TEST_HOLD=$run_dir/hold
export HOLDFAST_TEST_HOLD
: >"$HOLDFAST_TEST_HOLD"
ok "the server starts once more" persist_server flush
point_on_rank 1 client.put.before-persist:hold:2
stencil_start lost "$run_dir/pointed"
ok "all other ranks have the second epoch" wait_for 200 commits_reach 7
sleep 3 # so that rank 1 is held, too
# shellcheck disable=SC2046 # a list of words
kill -KILL $(ni_pids)
rm "$HOLDFAST_TEST_HOLD"
ok "the job goes on without a flush" job_wait
ok "it says that it does" said lost "from now on the server does it"
is "its result is right" "$(stencil_result lost)" "$expected"
ok "the server did some of it" test "$(stat_of count.commits_server)" -gt 0

HOLDFAST_VERBS_FLUSH=no
export HOLDFAST_VERBS_FLUSH
before=$(stat_of count.commits_flush)
ok "a client without FLUSH leaves it to the server" stencil_run without
unset HOLDFAST_VERBS_FLUSH
is "no set of it was flushed" "$(stat_of count.commits_flush)" "$before"
ok "the server stops without complaint" stop_server
done_testing
