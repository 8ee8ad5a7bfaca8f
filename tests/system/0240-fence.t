#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A job that an administrator fences is cut off, learns that, and changes nothing any more; another run goes on.
# shellcheck disable=SC2317 # `ok` calls the functions
TIME_LIMIT=180
. "${0%/*}/lib.sh"
plan 13

ok "the computation works without Holdfast" stencil_expected
ok "the server starts" start_server
stencil_delay_ms=60
job_as=fenced
stencil_start job
fenced=$job_pid
ok "epochs get complete" wait_for 60 epoch_reached job 2
is "it is fenced" "$("$pmuctl" -s "$server" fence job)" \
	"job job is fenced: whoever wrote it is cut off, and another run may begin"
epoch=$(newest_epoch job)
ok "the run that was fenced ends" wait_for 60 gone "$fenced"
ok "with a failure" fails wait "$fenced"
ok "it knows why" said fenced "another run has taken over, stopping"
is "its checkpoints are as they were" "$(newest_epoch job)" "$epoch"
stencil_delay_ms=0
job_as=next
ok "the next run goes to its end" stencil_run job
is "from there" "$(stencil_resumed next)" "$epoch"
is "to the right result" "$(stencil_result next)" "$expected"
"$pmuctl" -s "$server" fence nobody 2>"$run_dir/nobody.err"
is "a job that is not there cannot be fenced" "$?" 4
ok "the server stops without complaint" stop_server
done_testing
