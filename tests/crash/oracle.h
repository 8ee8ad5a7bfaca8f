/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * oracle.h - what a pool may hold after a crash, and whether one does. A change is made or it is not: so there are two
 * states that a pool may be in, and where nothing is under way they are the same.
 */
#ifndef HOLDFAST_ORACLE_H
#define HOLDFAST_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "pmm/pool.h"

#define ORACLE_JOBS  2
#define ORACLE_RANKS 2
#define ORACLE_UID   1000
#define EPOCH_MAX    62

#define POOL_BYTES (4ull << 20)

/* Job `job` is "alpha" or "beta". */
struct belief {
	struct {
		bool there;
		struct {
			uint64_t generation; /* 0: there is no region */
			uint64_t sets;	     /* bit e: the set of epoch e is listed */
		} ranks[ORACLE_RANKS];
	} jobs[ORACLE_JOBS];
};

struct promise {
	struct belief before, after;
};

const char *oracle_job(unsigned job);

/* As a server opens it. */
int oracle_open(const char *directory, struct pool **pool, struct error *err);

/*
 * Opens the pool, and looks whether it is in one of the states, whether the newest epoch that all ranks have is the one
 * that is to be, and whether every set that is listed has the right bytes, by its checksums and by what its rank had in
 * memory. 0, or -errno with the reason.
 *
 * The metadata's file stays as it is: libpmemobj repairs it in memory of its own. `thorough`: in the file, as a server does,
 * and in a process of its own first (pmm/probe.c); then makes another checkpoint of each rank, and looks again.
 */
int oracle_check(const char *directory, const struct promise *promise, bool thorough, struct error *err);

struct recording;

/* Opens and closes the pool, as a server does, and records that; the promise holds all the time. */
void oracle_record(const char *directory, const struct promise *promise, struct recording *recording);

#endif
