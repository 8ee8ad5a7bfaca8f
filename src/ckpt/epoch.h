/* SPDX-License-Identifier: BSD-3-Clause */
/* epoch.h - agreement among the ranks on epochs. All functions are collective. */
#ifndef HOLDFAST_EPOCH_H
#define HOLDFAST_EPOCH_H

#include <stddef.h>
#include <stdint.h>
#include <mpi.h>
#include "common/error.h"

/*
 * The newest epoch, at most `bound`, that is in the lists of all ranks: it is complete. 0: there is none.
 * Each list is ascending. HF_EMPI.
 */
int epoch_newest(MPI_Comm comm, const uint64_t *list, size_t count, uint64_t bound, uint64_t *newest,
		 struct error *err);

/* The highest of all ranks' numbers. HF_EMPI. */
int epoch_highest(MPI_Comm comm, uint64_t mine, uint64_t *highest, struct error *err);

#endif
