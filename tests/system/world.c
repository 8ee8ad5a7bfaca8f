/* SPDX-License-Identifier: BSD-3-Clause */
/* world.c - an MPI program that uses the plug-in's job: `world [WORD]...`, told in the order of WORDs. */
#include <errno.h>
#include <inttypes.h>
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

/* Memory of its own, which rank 1 unmaps. */
static char *mapped;

static int mapped_protect(hf_job_t job)
{
	mapped = mmap(NULL, sizeof(large), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mapped == MAP_FAILED)
		return HF_ENOMEM;
	memset(mapped, 1, sizeof(large));
	return hf_protect(job, "mapped", mapped, sizeof(large), MPI_BYTE);
}

static int mapped_unmap(hf_job_t job, int tell)
{
	int rank, code;

	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	if (rank != 1)
		return HF_OK;
	code = tell ? hf_unprotect(job, "mapped") : HF_OK;
	munmap(mapped, sizeof(large));
	return code;
}

/* What HOLDFAST_TEST_POINT holds goes on, on all ranks. */
static int let_go(void)
{
	const char *path = getenv("HOLDFAST_TEST_HOLD");

	MPI_Barrier(MPI_COMM_WORLD);
	return path && (!unlink(path) || errno == ENOENT) ? HF_OK : HF_EINVAL;
}

static int obey_asynchronously(hf_job_t job, const char *word)
{
	if (!strcmp(word, "protect-mapped"))
		return mapped_protect(job);
	if (!strcmp(word, "unmap"))
		return mapped_unmap(job, 0);
	if (!strcmp(word, "unprotect-unmap"))
		return mapped_unmap(job, 1);
	if (!strcmp(word, "unprotect-mapped"))
		return hf_unprotect(job, "mapped");
	if (!strcmp(word, "start"))
		return hf_checkpoint_start(job, HF_AUTO);
	if (!strcmp(word, "let-go"))
		return let_go();
	if (!strcmp(word, "wait"))
		return hf_checkpoint_wait(job);
	if (!strcmp(word, "change"))
		return values[0]++, HF_OK;
	return HF_EINVAL;
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
	return obey_asynchronously(job, word);
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
		if (code && (!rank || code == HF_ESEGMENT))
			fprintf(stderr, "world: %s: %s\n", argv[i], hf_message(hf_world()));
		failed |= code && code != HF_ENOCKPT;
	}
	MPI_Finalize();
	return failed;
}
