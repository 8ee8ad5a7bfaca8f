/* SPDX-License-Identifier: BSD-3-Clause */
/* world.c - an MPI program that uses the plug-in's job: `world [WORD]...`, told in the order of WORDs. */
#include <inttypes.h>
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "holdfast.h"

static int values[2] = {7, 8};
static char large[64 << 20];
static uint64_t epoch;

/* A job of this rank alone is asked to leave. */
static int part(void)
{
	char name[32];
	hf_job_t job;
	int rank, code;

	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	snprintf(name, sizeof(name), "part-%d", rank);
	code = hf_attach(MPI_COMM_SELF, name, &job);
	if (code)
		return code;
	raise(SIGUSR2);
	code = hf_checkpoint(job, HF_AUTO);
	hf_detach(job, 1);
	return code;
}

static int obey(hf_job_t job, const char *word)
{
	epoch = 0;
	if (!strcmp(word, "protect"))
		return hf_protect(job, "value", values, 1, MPI_INT);
	if (!strcmp(word, "protect-renamed"))
		return hf_protect(job, "worth", values, 1, MPI_INT);
	if (!strcmp(word, "protect-resized"))
		return hf_protect(job, "value", values, 2, MPI_INT);
	if (!strcmp(word, "protect-large"))
		return hf_protect(job, "large", large, sizeof(large), MPI_BYTE);
	if (!strcmp(word, "unprotect-large"))
		return hf_unprotect(job, "large");
	if (!strcmp(word, "signal-leave"))
		return raise(SIGUSR2) ? HF_EINVAL : HF_OK;
	if (!strcmp(word, "part"))
		return part();
	if (!strcmp(word, "checkpoint"))
		return hf_checkpoint(job, HF_AUTO);
	if (!strcmp(word, "restore"))
		return hf_restore(job, &epoch);
	if (!strcmp(word, "detach"))
		return hf_detach(job, 1);
	if (!strcmp(word, "crash")) {
		fflush(stdout);
		_exit(3);
	}
	if (!strcmp(word, "leave"))
		return hf_detach(job, 0);
	return HF_EINVAL;
}

/* Its exit status is not 0 after a failure, unless it is that there was nothing to restore. */
int main(int argc, char **argv)
{
	int rank, code, failed = 0;
	hf_job_t job;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	job = hf_world();
	if (!rank)
		puts(job ? "attached" : "not attached");
	for (int i = 1; i < argc; i++) {
		code = obey(job, argv[i]);
		if (!rank)
			printf("%s: %s, epoch %" PRIu64 "\n", argv[i], hf_strerror(code), epoch);
		if (!rank && code)
			fprintf(stderr, "world: %s: %s\n", argv[i], hf_message(hf_world()));
		failed |= code && code != HF_ENOCKPT;
	}
	MPI_Finalize();
	return failed;
}
