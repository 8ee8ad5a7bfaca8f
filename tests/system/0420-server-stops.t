#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A server that is stopped while a job runs, and started again, costs the job nothing but the wait, whoever
# answers at its address meanwhile.
. "${0%/*}/lib.sh"
plan 14

ok "the computation works without Holdfast" stencil_expected
ok "the server starts" start_server
stencil_start job
ok "epochs get complete" wait_for 30 epoch_reached job 2
ok "the server stops without complaint" stop_server
ok "and says so" grep -q "stopped; the pool is closed" "$run_dir/server.log"
ok "the job goes on" alive "$job_pid"
ok "something else hangs up at its address" listener ends "${server##*:}"
ok "the job tries again" wait_for 30 grep -q accepted "$run_dir/listener.err"
kill "$listener_pid"
wait "$listener_pid" 2>/dev/null
ok "the server starts again" start_server
epoch=$(newest_epoch job)
ok "what was complete is there" test "${epoch:-0}" -ge 2
ok "epochs get complete afterwards" wait_for 60 epoch_reached job $((epoch + 2))
ok "the job succeeds" job_wait
is "to the right result, without a restart" "$(stencil_resumed job) $(stencil_result job)" " $expected"
ok "and without the loss of a checkpoint" fails said job "going on without"
done_testing
