/* SPDX-License-Identifier: BSD-3-Clause */
/* exit.h - ending a job so that its launcher knows whether to start it again: enum hf_exit of plugin.h. */
#ifndef HOLDFAST_EXIT_H
#define HOLDFAST_EXIT_H

#include <stdint.h>

/*
 * The exit code of a job that could not be attached, from the public code of this rank. The highest one of all
 * ranks is the job's.
 */
int exit_of_attach(int code, uint32_t incarnation);

/* Ends MPI_COMM_WORLD: rank 0 at once, the others a little later, when what rank 0 said is out. */
_Noreturn void exit_job(int status);

#endif
