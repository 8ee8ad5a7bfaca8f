#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A second run of a job that is running is refused, told whom it would disturb, and disturbs nobody.
# shellcheck disable=SC2317 # `ok` calls the functions
. "${0%/*}/lib.sh"
plan 14

ok "the computation works without Holdfast" stencil_expected
ok "the server starts" start_server
stencil_delay_ms=60 # it must not end before the second one is refused
stencil_start job
first=$job_pid
ok "epochs get complete" wait_for 60 epoch_reached job 2
job_as=second
ok "a second run is refused" stencil_refused job
ok "it is told that the job is running" said second "job 'job' is running: rank "
ok "who and where" grep -q "is process [0-9][0-9]* on $(uname -n), since 20..-" "$run_dir/second.err"
ok "and what it can do" said second "configuration variable 'takeover'"
is "once" "$(grep -c "is running: " "$run_dir/second.err")" 1
is "before the program computes" "$(cat "$run_dir/second.out")" ""
job_pid=$first
ok "the first run still goes on" alive "$first"
ok "and to its end" job_wait
is "without any word of the second" "$(cat "$run_dir/job.err")" ""
is "to the right result" "$(stencil_result job)" "$expected"
ok "the server stops without complaint" stop_server
done_testing
