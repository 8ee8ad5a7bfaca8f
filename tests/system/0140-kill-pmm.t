#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A server that is killed and started again holds all complete epochs, and its jobs go on.
. "${0%/*}/lib.sh"
plan 10

ok "the computation works without Holdfast" stencil_expected
ok "the server starts" start_server

stencil_start job
ok "epochs get complete" wait_for 30 epoch_reached job 2
epoch=$(newest_epoch job)
network_interface=$(ni_pids | head -n 1)
kill_server
ok "no network interface outlives its server" wait_for 20 gone "$network_interface"
ok "the server starts again on its pool" start_server
ok "it holds what was complete" epoch_reached job "$epoch"
ok "epochs get complete afterwards" wait_for 60 epoch_reached job $((epoch + 2))
ok "the job succeeds" job_wait
is "its result is that of the undisturbed computation" "$(stencil_result job)" "$expected"
ok "the server stops without complaint" stop_server
done_testing
