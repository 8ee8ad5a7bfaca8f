/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scrub.h - re-reads all sets in the background, one after the other, and compares each block with its checksum: so that
 * damage is known before anybody needs what is damaged. A set that is damaged stays as it is; restores fall back to an older
 * one by themselves. What was found is in memory only, and found again after a restart.
 */
#ifndef HOLDFAST_SCRUB_H
#define HOLDFAST_SCRUB_H

#include <stdbool.h>
#include <stdint.h>
#include "common/set.h"

struct job;
struct scrub;
struct server;

struct scrub_stat {
	uint64_t passes, sets, bytes; /* read since the start */
	uint64_t damaged;	      /* sets that are, as far as is known */
};

/* Each second: reads on, as far as the configured interval wants it. */
void scrub_tick(struct server *server);

/* Is this set of the rank known to be damaged? */
bool scrub_found(const struct server *server, const struct job *job, uint32_t rank, const struct set_info *set);

/* How many of the job are. */
uint32_t scrub_found_of(const struct server *server, const struct job *job);

struct scrub_stat scrub_stat(const struct server *server);

/* At the end of the server, when its NIs have gone. */
void scrub_free(struct server *server);

#endif
