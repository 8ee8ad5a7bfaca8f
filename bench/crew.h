/* SPDX-License-Identifier: BSD-3-Clause */
/* crew.h - the rank processes of a benchmark: one task at a time, started at the same instant. */
#ifndef BENCH_CREW_H
#define BENCH_CREW_H

#include <stdint.h>
#include "common/error.h"

/* Runs in a rank's process. `value`: what the task measured itself, where it did. */
typedef int crew_task(void *state, uint64_t argument, double *value, struct error *err);

struct crew_work {
	/* First of all in each process; `state` is what the tasks get. */
	int (*begin)(void *arg, unsigned rank, void **state, struct error *err);
	/* When the crew is dismissed; may be NULL. */
	void (*end)(void *state);
};

struct crew;

/* Forks `ranks` processes; returns when all have begun, or one could not. */
int crew_start(const struct crew_work *work, void *arg, unsigned ranks, struct crew **crew,
	       struct error *err);

/* Has all ranks do `task`. seconds: from the first one's start to the last one's end. value: the
 * largest of theirs. Both may be NULL. */
int crew_do(struct crew *crew, crew_task *task, uint64_t argument, double *seconds, double *value,
	    struct error *err);

/* Takes NULL. */
void crew_dismiss(struct crew *crew);

#endif
