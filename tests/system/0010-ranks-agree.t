#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The ranks of a job agree on names, epochs, outcomes and fall-backs, whatever one of them runs into.
top_builddir=${top_builddir:-$(cd "${0%/*}/../.." && pwd)}
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

# Nothing of the user's own configuration, or of a batch job that this may run in.
for variable in $(env | sed -n 's/^\(HOLDFAST_[A-Z_]*\)=.*/\1/p') SLURM_JOB_ID PBS_JOBID LSB_JOBID JOB_ID; do
	unset "$variable"
done
HOLDFAST_CONFIG=/dev/null HOLDFAST_SERVER=fake
OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export HOLDFAST_CONFIG HOLDFAST_SERVER OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM

timeout --kill-after=10 60 mpirun --oversubscribe -n 3 \
	"$top_builddir/tests/system/ckpt_ranks" 2>"$scratch/err"
status=$?
sed 's/^/# /' "$scratch/err"
exit $status
