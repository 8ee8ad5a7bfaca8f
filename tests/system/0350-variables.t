#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A variable that is wrong ends the job before it begins, and is named with its place and what is allowed.
# shellcheck disable=SC2317 # `ok` calls the functions
. "${0%/*}/lib.sh"
plan 18
world=$(run_program world) || bail "world has not been built"

ran()
{
	job_refused "$1" 2 "$world" protect restore
}

ok "the server starts" start_server
ok "a job makes a checkpoint" job kept 2 "$world" protect checkpoint

HOLDFAST_TIMEOUT=soon && export HOLDFAST_TIMEOUT
job_as=environment
ok "in the environment: the job ends" ran kept
ok "it names the variable, and what is allowed" said environment \
	'environment variable HOLDFAST_TIMEOUT: timeout cannot be "soon"; allowed: a number of seconds, such as 10'
unset HOLDFAST_TIMEOUT

job_as=option job_options="--mca hook_holdfast_window many"
ok "on the command line: the job ends" ran kept
ok "it names the variable, and what is allowed" said option \
	'MCA variable hook_holdfast_window: window cannot be "many"; allowed: a whole number from 0 to 1000000'
job_as=block job_options="--mca hook_holdfast_block 48K"
ok "a size that is none of a block: the job ends" ran kept
ok "it names the variable, and what is allowed" said block \
	'MCA variable hook_holdfast_block: block cannot be "48K"; allowed: a power of 2 from 4K to 4M'
unset job_options

HOLDFAST_CONFIG=$run_dir/holdfast.conf
printf '# ours\ninterval = 60\ntakeover = perhaps\n' >"$HOLDFAST_CONFIG"
job_as=in-file
ok "in a file: the job ends" ran kept
ok "it names file, line and what is allowed" said in-file \
	"$HOLDFAST_CONFIG:3: takeover cannot be \"perhaps\"; allowed: yes or no"
printf 'intervall = 60\n' >"$HOLDFAST_CONFIG"
job_as=unknown
ok "an unknown variable: the job ends" ran kept
ok "it names file and line" said unknown "$HOLDFAST_CONFIG:1: there is no variable \"intervall\"; allowed: server, job"
rm "$HOLDFAST_CONFIG"
job_as=missing
ok "a file that is not there: the job ends" ran kept
ok "it is named" said missing "$HOLDFAST_CONFIG: No such file or directory"
is "nothing has begun" "$(cat "$run_dir/environment.out" "$run_dir/option.out" "$run_dir/block.out" "$run_dir/in-file.out" \
	"$run_dir/unknown.out" "$run_dir/missing.out")" ""

HOLDFAST_CONFIG=/dev/null
unset job_as
is "nothing is lost" "$(newest_epoch kept)" 1
ok "the job goes on as it was" job kept 2 "$world" protect restore
ok "the server stops without complaint" stop_server
done_testing
