/* SPDX-License-Identifier: BSD-3-Clause */
/* job.h - copies of PRRTE's job object: a job as it was before its launch, to be launched again. */
#ifndef HOLDFAST_PRTE_JOB_H
#define HOLDFAST_PRTE_JOB_H

#include "prte_config.h"
#include "src/runtime/prte_globals.h"

/* A job that has not been set up, without name, processes and everything that setting it up adds. NULL: there is
 * no memory. */
prte_job_t *job_copy(prte_job_t *from);

/* Sets a variable in the environment of all its programs. */
void job_setenv(void *job, const char *name, const char *value);

/* Takes `seconds` from the time that the job may run (--timeout); leaves one at least. */
void job_shorten(prte_job_t *job, int seconds);

#endif
