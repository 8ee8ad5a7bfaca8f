/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fail.c - an MPI program that fails as it is told: `fail MODE@RANK[,INCARNATION]... [--echo]`. The incarnation is
 * 0 where it is left out, and `*` is every one. Rank 0 of an incarnation that ends well prints one line.
 */
#include <mpi.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int rank = -1, incarnation;

static int variable(const char *name)
{
	const char *text = getenv(name);

	return text ? atoi(text) : 0;
}

/* Is this word, of this mode, for us? */
static bool is_ours(const char *word, const char *mode)
{
	size_t length = strlen(mode);
	const char *at = word + length, *comma;

	if (strncmp(word, mode, length) || *at != '@')
		return false;
	comma = strchr(at, ',');
	return atoi(at + 1) == rank &&
	       (comma ? comma[1] == '*' || atoi(comma + 1) == incarnation : !incarnation);
}

static bool told(char **argv, const char *mode)
{
	while (*++argv)
		if (is_ours(*argv, mode))
			return true;
	return false;
}

static void spawn_one(char **argv)
{
	MPI_Comm child;
	char *arguments[] = {"child", NULL};

	MPI_Comm_spawn(argv[0], arguments, 1, MPI_INFO_NULL, 0, MPI_COMM_SELF, &child, MPI_ERRCODES_IGNORE);
	MPI_Comm_disconnect(&child);
}

static void echo_input(void)
{
	char line[256];

	while (fgets(line, sizeof(line), stdin))
		printf("input of incarnation %d: %s", incarnation, line);
	fflush(stdout);
}

/* The others wait for the one that fails; it fails before they are through. */
static void fail(char **argv)
{
	if (told(argv, "kill"))
		raise(SIGKILL);
	if (told(argv, "segv"))
		raise(SIGSEGV);
	if (told(argv, "abort"))
		abort();
	if (told(argv, "exit3"))
		_exit(3);
	if (told(argv, "exit0"))
		_exit(0);
	if (told(argv, "exit75"))
		_exit(75);
	if (told(argv, "mpi-abort0"))
		MPI_Abort(MPI_COMM_WORLD, 0);
	if (told(argv, "mpi-abort5"))
		MPI_Abort(MPI_COMM_WORLD, 5);
	if (told(argv, "spawn"))
		spawn_one(argv);
	if (told(argv, "spawn-kill")) {
		spawn_one(argv);
		raise(SIGKILL);
	}
	if (told(argv, "hang"))
		for (;;)
			pause();
}

int main(int argc, char **argv)
{
	int ranks, length, one = 1, sum = 0;
	char host[MPI_MAX_PROCESSOR_NAME];

	incarnation = variable("HOLDFAST_INCARNATION");
	rank = variable("OMPI_COMM_WORLD_RANK");
	if (argc > 1 && !strcmp(argv[1], "child")) {
		MPI_Comm parent;

		MPI_Init(&argc, &argv);
		MPI_Comm_get_parent(&parent);
		MPI_Comm_disconnect(&parent);
		MPI_Finalize();
		return 0;
	}
	if (told(argv, "early-kill"))
		raise(SIGKILL);
	if (told(argv, "early-exit3"))
		_exit(3);
	if (told(argv, "early-stop"))
		raise(SIGSTOP);
	MPI_Init(&argc, &argv);
	MPI_Comm_size(MPI_COMM_WORLD, &ranks);
	MPI_Get_processor_name(host, &length);
	if (strstr(argv[argc - 1], "--where"))
		printf("incarnation %d: rank %d on %s\n", incarnation, rank, host);
	if (!rank && !strcmp(argv[argc - 1], "--echo"))
		echo_input();
	fflush(stdout);
	MPI_Barrier(MPI_COMM_WORLD);
	fail(argv);
	MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
	if (!rank)
		printf("incarnation %d of %d ranks ends well%s%s\n", incarnation, sum,
		       getenv("HOLDFAST_RESTART") ? ", after: " : "",
		       getenv("HOLDFAST_RESTART") ? getenv("HOLDFAST_RESTART") : "");
	fflush(stdout);
	MPI_Finalize();
	if (told(argv, "late-exit3"))
		return 3;
	if (told(argv, "late-kill"))
		raise(SIGKILL);
	return 0;
}
