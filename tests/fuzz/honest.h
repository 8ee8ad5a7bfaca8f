/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * honest.h - a rank that does all right, as a process of its own: it stores sets and reads them back, again and again,
 * whatever becomes of server and NI. What it reads is what it stored, or it fails (tests/unit/rank.h).
 */
#ifndef HOLDFAST_HONEST_H
#define HOLDFAST_HONEST_H

#include <stdint.h>
#include <sys/types.h>
#include "common/set.h"

struct honest {
	pid_t pid;
	int fd;
	uint64_t epoch; /* the newest that it stored, when it paused last */
};

/* Begins, and pauses after the first sets. The job has its name and `number`. */
void honest_start(struct honest *honest, unsigned number, enum region_mode mode);

/* Waits until it does nothing; goes on. */
void honest_pause(struct honest *honest);
void honest_go(struct honest *honest);

/* It reads all that its region holds, and ends; what it stored is left. */
void honest_end(struct honest *honest);

#endif
