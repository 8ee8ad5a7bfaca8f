/* SPDX-License-Identifier: BSD-3-Clause */
/* outcome.c - what a step came to on all ranks. */
#include "ckpt/outcome.h"

#include <limits.h>
#include <stdio.h>
#include "holdfast.h"

int outcome_agree(MPI_Comm comm, int code, struct error *err, struct outcome *outcome)
{
	struct outcome found = {.rank = -1};
	int rank, mine, lowest;

	if (PMPI_Comm_rank(comm, &rank) != MPI_SUCCESS)
		return error_set(err, HF_EMPI, "MPI_Comm_rank failed");
	mine = code ? rank : INT_MAX;
	if (PMPI_Allreduce(&mine, &lowest, 1, MPI_INT, MPI_MIN, comm) != MPI_SUCCESS)
		return error_set(err, HF_EMPI, "MPI_Allreduce failed: the ranks cannot agree");
	if (lowest != INT_MAX) {
		found.rank = lowest;
		if (rank == lowest) {
			found.cause = *err;
			found.cause.code = code;
		}
		if (PMPI_Bcast(&found.cause, (int)sizeof(found.cause), MPI_BYTE, lowest, comm) !=
		    MPI_SUCCESS)
			return error_set(err, HF_EMPI, "MPI_Bcast failed: the ranks cannot agree");
		if (!code) {
			*err = found.cause;
			err->code = HF_EPEER;
			error_context(err, "rank %d failed", lowest);
			code = HF_EPEER;
		}
	}
	if (outcome)
		*outcome = found;
	return code;
}
