/* SPDX-License-Identifier: BSD-3-Clause */
/* state.h - a rank's memory, some blocks of which change, and its region for increments of it. */
#ifndef BENCH_STATE_H
#define BENCH_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include "bench.h"
#include "client/client.h"
#include "common/error.h"

#define PROVIDER      "tcp"
#define POOL_OVERHEAD (256u << 20)

struct state {
	uint32_t rank;
	uint8_t *memory;
	uint64_t bytes, blocks;
	uint64_t random;
	struct client *client;
	struct client_segment segment; /* all of the memory */
	struct segment_range *changed; /* by the last state_change() */
	size_t changed_count;
	uint64_t epoch; /* of the last set */
};

/* Memory that is there, full of bytes that look random. */
int state_memory(uint64_t bytes, uint64_t seed, uint8_t **memory, struct error *err);

/* Memory and the region of `rank`, in append mode, by the data plane `net`; its job is the benchmark's own. */
int state_open(const char *server, const char *net, uint32_t rank, uint32_t ranks, uint64_t bytes, struct state **state,
	       struct error *err);
/* Its memory is other memory from now on, which asked for huge pages before it was touched. */
int state_use_huge_pages(struct state *state, struct error *err);
/* Takes NULL. */
void state_close(struct state *state);

/* Changes a word in each page of `blocks` blocks that lie anywhere. */
void state_change(struct state *state, uint64_t blocks);

/* One set as the segment says; -ENOSPC where an increment became a full set. */
int state_put(struct state *state, enum set_kind kind, struct error *err);

/* What the last set takes on the server, data and table. */
uint64_t state_set_bytes(const struct state *state);

/* Whether there is memory for what so many ranks have: theirs, and three times that in the pool. */
bool state_fits(unsigned ranks, uint64_t bytes);
/* The same: -ENOMEM. */
int state_check_fits(unsigned ranks, uint64_t bytes, struct error *err);

/* Is there no memory for so many, which --bytes did not ask for? Says then that the row is left out. */
bool state_leaves_out(const struct plan *plan, const char *row, unsigned ranks, uint64_t bytes);

/* Room for two slots and a log of each rank. */
uint64_t state_pool_bytes(unsigned ranks, uint64_t bytes);

#endif
