#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A job whose network interface process is killed goes on, without a restart, and computes the same.
. "${0%/*}/lib.sh"
plan 8

ok "the computation works without Holdfast" stencil_expected
ok "the server starts" start_server

stencil_start job
ok "epochs get complete" wait_for 30 epoch_reached job 2
# shellcheck disable=SC2046 # a list of words
ok "the network interface can be killed" kill -KILL $(ni_pids)
epoch=$(newest_epoch job)
ok "epochs get complete afterwards" wait_for 60 epoch_reached job $((epoch + 2))
ok "the job succeeds" job_wait
is "its result is that of the undisturbed computation" "$(stencil_result job)" "$expected"
ok "the server stops without complaint" stop_server
done_testing
