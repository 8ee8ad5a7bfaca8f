#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A job over libfabric's verbs provider: a rank is killed, and the job resumes from the newest complete epoch.
TIME_LIMIT=300
. "${0%/*}/lib.sh"
plan 10

stencil_size='--nx 120 --ny 80 --steps 60' stencil_delay_ms=100
# The first session waits for a process of the server's to load libfabric's providers.
# shellcheck disable=SC2034 # of run.sh
job_options='--mca hook_holdfast_timeout 60'
ok "the soft-RoCE device comes up" rdma_up
ok "the computation works without Holdfast" stencil_expected
ok "the server starts" start_server --fabric verbs --fabric-listen "$rdma_address"

stencil_start job
ok "epochs get complete" wait_for 120 epoch_reached job 2
ok "rank 2 can be killed" kill -KILL "$(rank_pid 2)"
ok "mpirun reports the failure" fails job_wait
epoch=$(newest_epoch job)

stencil_start job
ok "the same command succeeds" job_wait
is "it resumed from the newest complete epoch" "$(stencil_resumed job)" "$epoch"
is "its result is that of the undisturbed computation" "$(stencil_result job)" "$expected"
ok "the server stops without complaint" stop_server
done_testing
