/* SPDX-License-Identifier: BSD-3-Clause */
/* world.c - an MPI program that uses the plug-in's job: `world [WORD]...`, told in the order of WORDs. */
#include <inttypes.h>
#include <mpi.h>
#include <stdio.h>
#include <string.h>
#include "holdfast.h"

int main(int argc, char **argv)
{
	int rank, value = 7;
	hf_job_t job;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	job = hf_world();
	if (!rank)
		puts(job ? "attached" : "not attached");
	for (int i = 1; i < argc; i++) {
		uint64_t epoch = 0;
		int code = HF_EINVAL;

		if (!strcmp(argv[i], "protect"))
			code = hf_protect(job, "value", &value, 1, MPI_INT);
		else if (!strcmp(argv[i], "checkpoint"))
			code = hf_checkpoint(job, HF_AUTO);
		else if (!strcmp(argv[i], "restore"))
			code = hf_restore(job, &epoch);
		else if (!strcmp(argv[i], "detach"))
			code = hf_detach(job, 1);
		if (!rank)
			printf("%s: %s, epoch %" PRIu64 "\n", argv[i], hf_strerror(code), epoch);
	}
	MPI_Finalize();
	return 0;
}
