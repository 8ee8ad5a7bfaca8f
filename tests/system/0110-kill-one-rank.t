#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A job of which one rank is killed resumes from the newest complete epoch, and computes the same.
. "${0%/*}/lib.sh"
plan 10

ok "the computation works without Holdfast" stencil_expected
ok "the server starts" start_server

stencil_start job
ok "epochs get complete" wait_for 30 epoch_reached job 3
ok "rank 2 can be killed" kill -KILL "$(rank_pid 2)"
ok "mpirun reports the failure" fails job_wait
epoch=$(newest_epoch job)
ok "the newest epoch is still there" test "${epoch:-0}" -ge 3

stencil_start job
ok "the same command succeeds" job_wait
is "it resumed from the newest complete epoch" \
	"$(sed -n 's/.*resumed from epoch \([0-9]*\).*/\1/p' "$run_dir/job.err")" "$epoch"
is "its result is that of the undisturbed computation" "$(stencil_result job)" "$expected"
ok "the server stops without complaint" stop_server
done_testing
