#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A job of which everything is killed at once, the launcher too, resumes and computes the same.
. "${0%/*}/lib.sh"
plan 8

ok "the computation works without Holdfast" stencil_expected
ok "the server starts" start_server

stencil_start job
ok "epochs get complete" wait_for 30 epoch_reached job 3
# shellcheck disable=SC2046 # a list of words
ok "mpirun and all ranks can be killed" kill -KILL $(descendants "$job_pid")
job_wait 2>/dev/null
epoch=$(newest_epoch job)

stencil_start job
ok "the same command succeeds" job_wait
is "it resumed from the newest complete epoch" \
	"$(sed -n 's/.*resumed from epoch \([0-9]*\).*/\1/p' "$run_dir/job.err")" "$epoch"
is "its result is that of the undisturbed computation" "$(stencil_result job)" "$expected"
ok "the server stops without complaint" stop_server
done_testing
