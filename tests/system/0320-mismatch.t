#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A run that does not fit what is stored is told what does not fit, and nothing stored is lost.
# shellcheck disable=SC2317 # `ok` calls the functions
. "${0%/*}/lib.sh"
plan 29
world=$(run_program world) || bail "world has not been built"

# ran NAME RANKS WORD...: a run of the job `kept` fails.
ran()
{
	job_as=$1 ranks=$2
	shift 2
	job_refused kept "$ranks" "$world" "$@"
}

status()
{
	"$pmuctl" -s "$server" "$@" >"$run_dir/pmuctl.out" 2>"$run_dir/pmuctl.err"
	echo $?
}

ok "the server starts" start_server
ok "a job makes checkpoints" job kept 3 "$world" protect checkpoint checkpoint

for command in show verify rm; do
	is "pmuctl $command ends with 4 for an unknown job" "$(status $command unknown)" 4
	ok "pmuctl $command says so" grep -q unknown "$run_dir/pmuctl.err"
done

ok "with fewer ranks, it is refused" ran fewer 2 protect restore
ok "and told how many there were" said fewer "stored with 3 ranks and is run with 2"
ok "and what to do" said fewer "give this run another job name, or remove the stored one with 'pmuctl rm'"
ok "with more ranks, it is refused" ran more 4 protect restore
ok "and told how many there were" said more "stored with 3 ranks and is run with 4"

ok "a segment that was renamed is not restored" ran renamed 3 protect-renamed restore leave
ok "and named" said renamed "segment worth is protected, but not in the set of epoch 2"
ok "and what to do" said renamed "hf_stored() tells what is, hf_unprotect() leaves it out"
ok "a segment that was resized is not restored" ran resized 3 protect-resized restore leave
ok "and named" said resized "segment value is protected as 2 x int32 of 4 bytes, but epoch 2 holds 1 x int32"

job_options="--mca hook_holdfast_mode incremental"
ok "another mode than it was stored with is refused" ran mode 3 protect restore
ok "and told so" said mode "is stored in full mode and is run in incremental mode"
job_options="--mca hook_holdfast_mode whole"
ok "a mode that is none is refused" ran word 3 protect restore
ok "and told so" said word "mode cannot be \"whole\"; allowed: full|incremental"
unset job_options

job_as=slash
ok "a name that cannot be one is refused" job_refused "a/b" 3 "$world" protect checkpoint
ok "and told why" said slash "control character or '/'"
unset job_as

is "nothing is lost" "$(newest_epoch kept)" 2
ok "as it was, the job goes on" job kept 3 "$world" protect restore detach
ok "from there" grep -q "restore: success, epoch 2" "$run_dir/kept.out"
is "and nothing else is there" "$("$pmuctl" -s "$server" jobs --json | tr -d ' \n')" "[]"
ok "the server stops without complaint" stop_server
done_testing
