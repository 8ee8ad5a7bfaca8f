/* SPDX-License-Identifier: BSD-3-Clause */
/* epoch.c - agreement among the ranks on epochs. */
#include "ckpt/epoch.h"

#include "holdfast.h"

int epoch_highest(MPI_Comm comm, uint64_t mine, uint64_t *highest, struct error *err)
{
	if (PMPI_Allreduce(&mine, highest, 1, MPI_UINT64_T, MPI_MAX, comm) != MPI_SUCCESS)
		return error_set(err, HF_EMPI, "MPI_Allreduce failed: the ranks cannot agree");
	return HF_OK;
}

int epoch_newest(MPI_Comm comm, const uint64_t *list, size_t count, uint64_t bound, uint64_t *newest,
		 struct error *err)
{
	/*
	 * Each rank offers its newest epoch within the bound. Where lowest and highest offer are the same,
	 * all have it; else no epoch above the lowest offer is held by all, and it is the next bound, which
	 * falls with every round but the last.
	 */
	for (;;) {
		uint64_t offer[2], lowest[2];

		while (count && list[count - 1] > bound)
			count--;
		offer[0] = count ? list[count - 1] : 0;
		offer[1] = ~offer[0]; /* the lowest of these is that of the highest offer */
		if (PMPI_Allreduce(offer, lowest, 2, MPI_UINT64_T, MPI_MIN, comm) != MPI_SUCCESS)
			return error_set(err, HF_EMPI, "MPI_Allreduce failed: the ranks cannot agree");
		bound = lowest[0];
		if (!bound || bound == ~lowest[1]) {
			*newest = bound;
			return HF_OK;
		}
	}
}
