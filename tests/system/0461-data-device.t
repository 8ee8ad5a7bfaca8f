#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Slots may lie on a device, for which a file stands in here: it is found again under another name, nobody else's is
# taken, a crash leaves no part of it behind, and what lies on bad blocks is not read.
# shellcheck disable=SC2317 # `ok` calls the functions
TIME_LIMIT=400
. "${0%/*}/lib.sh"
have_test_points || skip_all "a file stands in for a device only with --enable-test-points"
plan 44
world=$(run_program world) || bail "world has not been built"
HOLDFAST_TEST_DEVICE=1
export HOLDFAST_TEST_DEVICE
truncate -s 134M "$run_dir/dax" # 67 units of 2 MiB: the header, and two slots of 33

start() # [OPTION]...
{
	start_server --size "${size:-132M}" "$@"
}

start_with() # POINT
{
	HOLDFAST_TEST_POINT=$1
	export HOLDFAST_TEST_POINT
	start
	started=$?
	unset HOLDFAST_TEST_POINT
	return "$started"
}

# not_started TEXT [OPTION]...: the server refuses to, with that text.
not_started()
{
	refused_text=$1
	shift
	refused "$pmu_server" --foreground --pool "$run_dir/${pool:-pool}" --size 132M --auth none \
		--listen 127.0.0.1:0 "$@" && grep -qFe "$refused_text" "$run_dir/refused.err"
}

# server_dies POINT COMMAND...: it ends the server while the command runs; the server starts again.
server_dies()
{
	start_with "$1" || return 1
	shift
	"$@"
	wait_for 60 gone "$server_pid" || return 1
	wait "$server_pid" 2>/dev/null
	start
}

# One rank with 64 MiB takes all of the device, to the last unit.
whole_device()
{
	job whole 1 "$world" protect protect-large checkpoint detach
}

verify()
{
	"$pmuctl" -s "$server" verify "$1" >"$run_dir/verify.out" 2>&1
	echo $?
}

ok "the server starts with its slots on a device" start --data "$run_dir/dax"
is "which stat names" "$(stat_of pool.device)" "$run_dir/dax"
ok "it serves a job" job kept 2 "$world" protect checkpoint leave
ok "and one with increments" job steps 2 env HOLDFAST_MODE=incremental "$world" protect checkpoint checkpoint leave
is "without slot files" "$(find "$run_dir/pool/slots" -type f)" ""
ok "another server does not take the device" eval \
	'pool=other not_started "is in use by another server" --data "$run_dir/dax" --overwrite-device'
ok "the server stops" stop_server
ok "nor does another pool" eval 'pool=other not_started "belongs to another pool" --data "$run_dir/dax"'
mv "$run_dir/dax" "$run_dir/renamed"
ok "without its device the server does not start" not_started "say so by --data"
ok "with its new name it does" start --data "$run_dir/renamed"
is "and has what it had" "$(newest_epoch kept)" 1
is "every block of it" "$(verify kept)" 0
is "and of the other" "$(verify steps)" 0
ok "the first is removed" "$pmuctl" -s "$server" rm kept
ok "and the second" "$pmuctl" -s "$server" rm steps
ok "a job may have all of the device then" whole_device
ok "the server stops without complaint" stop_server

# The server dies wherever a slot gets its place, and wherever it goes.
stencil_is_short
ok "the computation works without Holdfast" stencil_expected
for point in slot-placed:kill:3 slot-allocated:kill:4 slot-grown:kill:5; do
	ok "$point: the server dies, and starts again" server_dies "$point" stencil_start "$point"
	ok "$point: the job goes on" job_wait
	is "$point: to the right result" "$(stencil_result "$point")" "$expected"
	ok "$point: all of the device is free" whole_device
	ok "$point: the server stops" stop_server
done
ok "a job leaves its epoch" eval 'start && job kept 2 "$world" protect checkpoint leave && stop_server'
ok "the server dies while it removes that" server_dies region-dropped:kill "$pmuctl" -s "$server" rm kept
ok "all of the device is free" whole_device

# Blocks go bad below a set of the newest epoch.
ok "a job rests with two epochs" stencil_rest bad 3
unit=0
until [ "$(verify bad)" = 3 ] && grep -q "epoch 3: DAMAGED" "$run_dir/verify.out" || [ $unit -eq 67 ]; do
	unit=$((unit + 1))
	echo "$((unit * 2097152)) 512" >"$run_dir/renamed.bad"
done
ok "a set lies on bad blocks, and pmuctl verify says so" grep -q "lies on bad blocks of the device" "$run_dir/verify.out"
ok "the same command succeeds" stencil_run bad
ok "it falls back to an older epoch" said bad "falling back to epoch 2"
is "from there to the right result" "$(stencil_resumed bad) $(stencil_result bad)" "2 $expected"
ok "the server says that the slot moved" grep -q "lies on bad blocks of the device, and gets another place" \
	"$run_dir/server.log"
is "its NI did not die" "$(stat_of count.ni_deaths)" 0
ok "the server stops without complaint" stop_server
done_testing
