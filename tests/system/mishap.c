/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mishap.c - an MPI program that has an accident: `mishap WHAT [TIMES [RANK]]`, in its first TIMES incarnations
 * (1), on that rank (1). Each rank says which incarnation it is, and rank 0 how much it read if WHAT is `reads`.
 */
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t signalled;
static const char *what;
static int incarnation, times = 1, victim = 1;

static void on_signal(int number)
{
	signalled = number;
}

static int is(const char *word)
{
	return !strcmp(what, word);
}

/* Where an accident before MPI_Init is to happen, all but the first incarnation have it there. */
static void accident_early(void)
{
	const char *rank = getenv("OMPI_COMM_WORLD_RANK");

	if (incarnation == 0 || incarnation >= times || !rank || atoi(rank) != victim)
		return;
	if (is("init"))
		exit(9);
	if (is("stops"))
		raise(SIGSTOP);
}

static void accident(int rank)
{
	if (is("several") && rank)
		raise(SIGKILL);
	if (rank != victim)
		return;
	if (is("kill") || is("init") || is("stops") || is("reads") || is("waits"))
		raise(SIGKILL);
	if (is("segv")) {
		signal(SIGSEGV, SIG_DFL);
		raise(SIGSEGV);
	}
	if (is("abort"))
		abort();
	if (is("exit"))
		exit(3);
	if (is("leave"))
		exit(0);
	if (is("requeue"))
		exit(75);
	if (is("mpi-abort"))
		MPI_Abort(MPI_COMM_WORLD, 7);
	if (is("mpi-abort-0"))
		MPI_Abort(MPI_COMM_WORLD, 0);
}

static void input_read(void)
{
	unsigned long sum = 0;
	size_t bytes = 0;
	int c;

	while ((c = getchar()) != EOF) {
		bytes++;
		sum = sum * 31 + (unsigned char)c;
	}
	printf("read %zu bytes, sum %lx\n", bytes, sum);
}

static void child_start(char *self)
{
	char *none[] = {"none", NULL};
	MPI_Comm parent, child;

	MPI_Comm_get_parent(&parent);
	if (parent == MPI_COMM_NULL)
		MPI_Comm_spawn(self, none, 1, MPI_INFO_NULL, 0, MPI_COMM_WORLD, &child, MPI_ERRCODES_IGNORE);
}

int main(int argc, char **argv)
{
	const char *text = getenv("HOLDFAST_INCARNATION");
	int rank;

	incarnation = text ? atoi(text) : 0;
	what = argc > 1 ? argv[1] : "none";
	if (argc > 2)
		times = atoi(argv[2]);
	if (argc > 3)
		victim = atoi(argv[3]);
	signal(SIGUSR1, on_signal);
	accident_early();
	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	if (is("reads") && !rank)
		input_read();
	if (is("spawn"))
		child_start(argv[0]);
	MPI_Barrier(MPI_COMM_WORLD);
	printf("rank %d, incarnation %d\n", rank, incarnation);
	fflush(stdout);
	MPI_Barrier(MPI_COMM_WORLD);
	if (incarnation < times)
		accident(is("spawn") ? -1 : rank);
	if (is("spawn") && rank == victim)
		raise(SIGKILL);
	for (int i = 0; i < 60 && (is("waits") || is("sleeps")) && !signalled; i++)
		sleep(1);
	if (signalled) {
		printf("rank %d got signal %d\n", rank, (int)signalled);
		fflush(stdout);
	}
	MPI_Barrier(MPI_COMM_WORLD);
	MPI_Finalize();
	return is("late") && rank == victim ? 3 : 0;
}
