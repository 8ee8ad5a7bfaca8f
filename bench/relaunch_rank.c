/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * relaunch_rank.c - what relaunch starts by mpirun: `relaunch_rank BYTES FILE`. The last rank of the first
 * incarnation kills itself; rank 0 of the next one is done at its first time step. Each leaves its moment
 * (CLOCK_MONOTONIC, ns) in FILE.killed and FILE.stepped. With BYTES 0 there is no state.
 */
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "holdfast.h"

static void moment(const char *file, const char *what)
{
	struct timespec now;
	char path[4096];
	FILE *out;

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(path, sizeof(path), "%s.%s", file, what);
	out = fopen(path, "w");
	if (out) {
		fprintf(out, "%lld\n", (long long)now.tv_sec * 1000000000 + now.tv_nsec);
		fclose(out);
	}
}

static void check(int code)
{
	if (!code)
		return;
	fprintf(stderr, "relaunch_rank: %s\n", hf_message(hf_world()));
	MPI_Abort(MPI_COMM_WORLD, 78);
}

int main(int argc, char **argv)
{
	const char *incarnation = getenv("HOLDFAST_INCARNATION");
	size_t bytes = argc == 3 ? strtoull(argv[1], NULL, 10) : 0;
	char *state = bytes ? malloc(bytes) : NULL;
	int rank, ranks;

	if (argc != 3 || !incarnation || (bytes && !state))
		return 78;
	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &ranks);
	if (bytes)
		check(hf_protect(hf_world(), "state", state, bytes, MPI_BYTE));
	if (!atoi(incarnation)) {
		if (bytes) {
			memset(state, rank, bytes);
			check(hf_checkpoint(hf_world(), HF_FULL));
		}
		MPI_Barrier(MPI_COMM_WORLD);
		if (rank == ranks - 1) {
			moment(argv[2], "killed");
			raise(SIGKILL);
		}
	} else if (bytes) {
		check(hf_restore(hf_world(), NULL));
	}
	MPI_Barrier(MPI_COMM_WORLD);
	if (!rank)
		moment(argv[2], "stepped");
	if (bytes)
		check(hf_detach(hf_world(), 1));
	free(state);
	MPI_Finalize();
	return 0;
}
