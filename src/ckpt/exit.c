/* SPDX-License-Identifier: BSD-3-Clause */
/* exit.c - ending a job so that its launcher knows whether to start it again. */
#include "ckpt/exit.h"

#include <stdlib.h>
#include <unistd.h>
#include <mpi.h>
#include "ckpt/launcher.h"
#include "ckpt/plugin.h"

#define AFTER_RANK_0_S 5

int exit_of_attach(int code, uint32_t incarnation)
{
	switch (code) {
	case HF_EINVAL:
	case HF_ENOSYS:
	case HF_ECONFIG:
	case HF_EAUTH:
	case HF_EBUSY: /* never by an earlier incarnation of this launch: somebody runs the job elsewhere */
	case HF_ENOSPC:
	case HF_ERANKS:
	case HF_EMODE:
	case HF_ENOCKPT: /* the epoch that was chosen; a restart would go on from another one */
		return HF_EXIT_CONFIG;
	case HF_ESERVER:
	case HF_ETIMEDOUT:
	case HF_EPROTO:
		/*
		 * An earlier incarnation had this server, so that it may come back; one that stops may hang up in
		 * the middle of a message. To a first one the address is wrong.
		 */
		return incarnation ? EXIT_FAILURE : HF_EXIT_CONFIG;
	default:
		return EXIT_FAILURE;
	}
}

void exit_job(int status)
{
	int rank = 0;

	PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
	if (rank)
		sleep(AFTER_RANK_0_S);
	PMPI_Abort(MPI_COMM_WORLD, status);
	_exit(status);
}

void hf_plugin_abort(int code)
{
	uint64_t incarnation = 0;
	struct error unused;
	int mine, status;

	launcher_number("HOLDFAST_INCARNATION", UINT32_MAX, &incarnation, &unused);
	status = mine = exit_of_attach(code, (uint32_t)incarnation);
	/* The rank with the trouble knows; the others have HF_EPEER. These two a rank may have all alone. */
	if (code != HF_EMPI && code != HF_ENOMEM)
		PMPI_Allreduce(&mine, &status, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
	exit_job(status);
}
