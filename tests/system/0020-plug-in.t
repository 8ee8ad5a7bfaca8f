#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The Open MPI plug-in is inert unless it is on, attaches before MPI_Init returns or ends the job, and leaves
# at MPI_Finalize what a later run can use.
# shellcheck disable=SC2086,SC2317 # $mca is a list of words; `ok` calls the function
. "${0%/*}/lib.sh"
plan 26
world=$(run_program world) || bail "world has not been built"

# world NAME [WORD]...: two ranks of the program under the plug-in, without a job name of their own.
world()
{
	world_as=$1
	shift
	TMPDIR=$run_dir mpirun.openmpi --tune "$tune" --oversubscribe --bind-to none -n 2 ${mca-} \
		"$world" "$@" >"$run_dir/$world_as.out" 2>"$run_dir/$world_as.err" </dev/null
}

said()
{
	grep -q "$2" "$run_dir/$1.out" "$run_dir/$1.err"
}

ok "without a server, the job gets one of its own" world unset
ok "and is told where" said unset "a pmu-server of this node's own was started, with its pool in $run_dir/state/"
is "once" "$(grep -c "no server is named" "$run_dir/unset.err")" 1
is "it is attached" "$(cat "$run_dir/unset.out")" "attached"
mca="--mca hook_holdfast_enable 0" ok "switched off, it is inert" world off
is "and attaches nothing" "$(cat "$run_dir/off.out")" "not attached"

ok "the server starts" start_server
ok "a program that protects nothing runs" world idle
ok "and is told that it does not" said idle "never protected anything"
ok "a nameless job makes checkpoints" world nameless restore protect checkpoint
ok "that no later run restores" said nameless "restore: there is no checkpoint"
is "and none is left at its end" "$("$pmuctl" -s "$server" jobs | grep -c mpirun-)" 0

mca="--mca hook_holdfast_job named" ok "a named job makes checkpoints" world named protect checkpoint
ok "and is told that they stay" said named "job named: its checkpoints stay (newest complete epoch: 1)"
HOLDFAST_JOB=overruled mca="--mca hook_holdfast_job named" \
	ok "MCA variables win over the environment" world again protect restore detach
ok "and a later run goes on from them" said again "restore: success, epoch 1"
ok "without a word at its end, as it detached itself" fails said again "checkpoints stay"
is "after which nothing is left" "$(newest_epoch named)" ""

SLURM_JOB_ID=42
export SLURM_JOB_ID
ok "a job that is called after its batch job makes checkpoints" world batch protect checkpoint
is "which are removed at its end" "$(newest_epoch slurm-42)" ""
ok "a second run in the same batch job" world second protect restore checkpoint leave
ok "starts afresh" said second "restore: there is no checkpoint"
is "its checkpoints stay, as it asked for that" "$(newest_epoch slurm-42)" 1
ok "a requeued batch job" world requeued protect restore
ok "goes on from them" said requeued "restore: success, epoch 1"
unset SLURM_JOB_ID

ok "the server stops without complaint" stop_server
done_testing
