/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mpiio_rank.c - what instead-mpiio starts by mpirun: `mpiio_rank BYTES FILE`. For each line that rank 0 reads, all ranks write
 * BYTES each to their part of the shared file, collectively, and sync it; rank 0 prints how many seconds that took, from
 * the first rank's start to the last one's end. It prints "ready" first, and ends where its input does.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PIECE_MAX (1u << 30) /* a count is an int */
#define IDLE_NS	  2000000

static void check(int code, const char *what)
{
	char text[MPI_MAX_ERROR_STRING] = "";
	int length;

	if (code == MPI_SUCCESS)
		return;
	MPI_Error_string(code, text, &length);
	fprintf(stderr, "mpiio_rank: %s: %s\n", what, text);
	MPI_Abort(MPI_COMM_WORLD, 78);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t); /* the same in all processes of a node */
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Is there another line? Ranks that wait for it take no processor from whoever has his turn. */
static int next_round(int rank)
{
	const struct timespec idle = {.tv_nsec = IDLE_NS};
	char line[64];
	int go = 0, told = 0;
	MPI_Request request;

	if (!rank)
		go = fgets(line, sizeof(line), stdin) != NULL;
	MPI_Ibcast(&go, 1, MPI_INT, 0, MPI_COMM_WORLD, &request);
	MPI_Test(&request, &told, MPI_STATUS_IGNORE);
	while (!told) {
		nanosleep(&idle, NULL);
		MPI_Test(&request, &told, MPI_STATUS_IGNORE);
	}
	return go;
}

static double write_round(MPI_File file, const char *buffer, size_t bytes, int rank)
{
	double begin, end, first, last;
	size_t done, piece;

	MPI_Barrier(MPI_COMM_WORLD);
	begin = now();
	for (done = 0; done < bytes; done += piece) {
		piece = bytes - done < PIECE_MAX ? bytes - done : PIECE_MAX;
		check(MPI_File_write_at_all(file, (MPI_Offset)((size_t)rank * bytes + done), buffer + done, (int)piece,
					    MPI_BYTE, MPI_STATUS_IGNORE),
		      "MPI_File_write_at_all");
	}
	check(MPI_File_sync(file), "MPI_File_sync");
	end = now();
	MPI_Reduce(&begin, &first, 1, MPI_DOUBLE, MPI_MIN, 0, MPI_COMM_WORLD);
	MPI_Reduce(&end, &last, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
	return rank ? 0 : last - first;
}

int main(int argc, char **argv)
{
	size_t bytes = argc == 3 ? strtoull(argv[1], NULL, 10) : 0;
	char *buffer = bytes ? malloc(bytes) : NULL;
	MPI_File file;
	double seconds;
	int rank;

	if (!buffer) {
		fprintf(stderr, "mpiio_rank: BYTES FILE are wanted, and memory for them\n");
		return 78;
	}
	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	for (size_t i = 0; i < bytes; i++)
		buffer[i] = (char)(i * 2654435761u >> 13);
	check(MPI_File_open(MPI_COMM_WORLD, argv[2], MPI_MODE_CREATE | MPI_MODE_WRONLY, MPI_INFO_NULL, &file),
	      "MPI_File_open");
	if (!rank) {
		puts("ready");
		fflush(stdout);
	}
	while (next_round(rank)) {
		seconds = write_round(file, buffer, bytes, rank);
		if (!rank) {
			printf("%.9f\n", seconds);
			fflush(stdout);
		}
	}
	MPI_File_close(&file);
	free(buffer);
	MPI_Finalize();
	return 0;
}
