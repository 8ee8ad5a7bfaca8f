#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Two soft-RoCE devices: a rank takes the one that it is told to, by name, port or address, or the one that leads to the
# server; one that is not there is refused with the names of those that there are, one that leads elsewhere with its own.
TIME_LIMIT=500
. "${0%/*}/lib.sh"
plan 19

# over DEVICE: the last job went over this one alone.
over()
{
	case $1 in
	rxe0) [ "$(packets_sent rxe0)" -gt $((before0 + 50)) ] && [ "$(packets_sent rxe1)" -eq "$before1" ] ;;
	rxe1) [ "$(packets_sent rxe1)" -gt $((before1 + 50)) ] && [ "$(packets_sent rxe0)" -eq "$before0" ] ;;
	esac
}

ok "a soft-RoCE device comes up" rdma_up
ok "and a second one on a network of its own" second_rdma_up
ok "what is promised of one device holds beside another" env HOLDFAST_TEST_NET=verbs \
	HOLDFAST_TEST_ADDRESS="$rdma_address" "$builddir/tests/unit/verbs"
# shellcheck disable=SC2034 # of lib.sh
stencil_size='--nx 60 --ny 40 --steps 30' stencil_delay_ms=10
ok "the computation works without Holdfast" stencil_expected
ok "a server starts on the first device" start_server --net verbs --fabric-listen "$rdma_address"

ok "without a name the device is the one that leads to the server" job_by '' any
ok "and no other" over rxe0
ok "a device can be named" job_by rxe0 name
ok "and is used" over rxe0
ok "with its port" job_by rxe0:1 port
ok "and is used then" over rxe0
ok "or by its address" job_by 10.7.0.1 address
ok "and is used then, too" over rxe0
ok "a device that is not there is no way to attach" fails job_by rxe7 missing
ok "which names those that are" said missing "rxe0:1 (10.7.0.1), rxe1:1 (10.8.0.1)"
ok "nor is one that does not lead to the server" fails job_by rxe1 elsewhere
ok "which is named" said elsewhere "over 'rxe1', as the variable fabric_device says"

stop_server
start_server --net verbs --fabric-listen 10.8.0.1 || bail "no server starts on the second device"
ok "a server on the second device is served by that" job_by '' second
ok "alone" over rxe1
done_testing
