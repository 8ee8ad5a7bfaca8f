/* SPDX-License-Identifier: BSD-3-Clause */
/* outcome.h - what a step came to on all ranks: it failed on all where it failed on one. */
#ifndef HOLDFAST_OUTCOME_H
#define HOLDFAST_OUTCOME_H

#include <mpi.h>
#include "common/error.h"

/* What the ranks made of a step: the lowest rank that failed, its code and its sentence. */
struct outcome {
	int rank; /* -1: none failed */
	struct error cause;
};

/*
 * Collective. Takes this rank's HF_* code, with its sentence in `err`. HF_OK when it is that on all ranks;
 * else this rank's own code, or HF_EPEER where it had no trouble, and `err` then says which rank had.
 * `outcome` may be NULL. HF_EMPI: the ranks could not talk.
 */
int outcome_agree(MPI_Comm comm, int code, struct error *err, struct outcome *outcome);

#endif
