/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * merge.h - consolidation: which sets are kept, and how the others become part of those, in the background. The NI
 * makes the new set, one at a time for each user; the PMM publishes it in the place of what it was made of. Readers go
 * on with what they were granted; a full set that needs the room ends a merge that is under way.
 */
#ifndef HOLDFAST_PMU_MERGE_H
#define HOLDFAST_PMU_MERGE_H

#include <stdbool.h>
#include <stdint.h>

struct region;
struct server;
struct session;

/* After a COMMIT: begins to merge what the configuration says, now or when the NI is free for it. */
void merge_consider(struct server *server, struct region *region);

/* Now and then: begins what waits because somebody was busy with the region. */
void merge_tick(struct server *server);

/* Is the session's region being merged? Then that is ended, and request_begin_again() called when it has. */
bool merge_stop(struct session *session);

/* The region goes: what is made of its sets is for nobody. */
void merge_forget(struct server *server, const struct region *region);

/* Is something merged still of a job of this number, whose region has gone? */
bool merge_of_dropped(const struct server *server, uint64_t job_number);

/* At the end of the server, when its NIs have gone. */
void merge_free_all(struct server *server);

#endif
