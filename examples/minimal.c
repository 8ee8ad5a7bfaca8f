/* SPDX-License-Identifier: BSD-3-Clause */
/* minimal.c - the shortest useful program: counts to ten, and goes on where it was. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <holdfast.h>

static void must(hf_job_t job, const char *what, int code)
{
	if (code == HF_OK)
		return;
	fprintf(stderr, "minimal: %s: %s\n", what, hf_message(job));
	MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
}

int main(int argc, char **argv)
{
	hf_job_t job;
	int count = 0, rank, rc;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);

	job = hf_world(); /* from the plug-in; without it we attach ourselves */
	if (!job)
		must(NULL, "attach", hf_attach(MPI_COMM_WORLD, "minimal", &job));
	must(job, "protect", hf_protect(job, "count", &count, 1, MPI_INT));
	rc = hf_restore(job, NULL);
	if (rc != HF_ENOCKPT)
		must(job, "restore", rc);

	while (count < 10) {
		sleep(1);
		count++;
		if (rank == 0) {
			printf("minimal: %d\n", count);
			fflush(stdout);
		}
		must(job, "checkpoint", hf_checkpoint(job, HF_AUTO));
	}
	rc = hf_detach(job, 1); /* done: its checkpoints may go */
	if (rc)
		fprintf(stderr, "minimal: detach: %s\n", hf_strerror(rc));
	MPI_Finalize();
	return EXIT_SUCCESS;
}
