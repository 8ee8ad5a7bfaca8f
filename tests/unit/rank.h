/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rank.h - a rank in append mode, for tests against a real pmu-server: what its memory is, what changed, and what it
 * was at each epoch.
 */
#ifndef HOLDFAST_RANK_H
#define HOLDFAST_RANK_H

#include <stdbool.h>
#include <stdint.h>
#include "client/client.h"
#include "client/control.h"
#include "pmu_fixture.h"

#define BLOCK	 SET_BLOCK_DEFAULT
#define SEGMENTS 4
#define EPOCHS	 1024

struct memory {
	struct client_segment segments[SEGMENTS];
	size_t count;
	struct segment_range *ranges[SEGMENTS]; /* what changed since the last set */
	bool changed[SEGMENTS][4096];	       /* by block */
};

struct past {
	struct segment segments[SEGMENTS];
	size_t count;
	uint8_t *data[SEGMENTS];
};

extern struct pmu pmu;
extern struct error err;
extern uint64_t block_bytes; /* of clients, and in the model; BLOCK at first */
extern const char *auth_name, *auth_key_file; /* of clients; "none" at first */
extern const char *net_name; /* of clients; "ofi" at first */
extern struct memory memory;
extern struct past past[EPOCHS];

/* The same numbers in each run, and others with another seed. */
unsigned random_below(unsigned n);
void random_seed(uint64_t seed);
/* How to reach `pmu`. */
struct client_options options_of_server(void);
struct client_identity identity_of(uint32_t rank, uint32_t ranks);
struct client *open_with(const struct client_options *options, const struct client_identity *identity);
struct client *open_rank(uint32_t rank, uint32_t ranks);

/* Of the i-th segment, as it is. */
uint64_t bytes_of(size_t i);
uint64_t blocks_of(size_t i);

/* A byte of the block, and its last one, are new. */
void touch(size_t segment, uint64_t block);

/* The i-th segment is another, all new. */
void segment_new(size_t i, const char *name, uint64_t bytes);

/* `count` segments. */
void memory_make(const uint64_t *sizes, size_t count);

void past_forget(struct past *p);
void past_record(uint64_t epoch);
void memory_free(void);

/* Writes a set of what changed; remembers what was written. */
int put(struct client *client, uint64_t epoch, uint64_t keep, enum set_kind *kind);
/* Which kind it became. */
enum set_kind put_ok(struct client *client, uint64_t epoch, uint64_t keep, enum set_kind kind);
void put_increment(struct client *client, uint64_t epoch);

/* Reads an epoch and compares it with what was written; or the error. */
int get(struct client *client, uint32_t rank, uint64_t epoch);
void get_ok(struct client *client, uint32_t rank, uint64_t epoch);
/* Rank 0's `epoch`, by another rank of two, again and again while a process of its own writes rank 0's increments up to
 * `last`, or until the epoch is gone: what is read is right, or gone. */
void get_while_written(struct client *reader, uint64_t epoch, unsigned last);
/* All that the list has. */
void get_all(struct client *client);
/* Random ranges of it. */
void get_ranges(struct client *client, uint64_t epoch, unsigned rounds);

/* Does the list have this epoch? */
bool holds(struct client *client, uint64_t epoch);

/* One of those that `pmuctl stat` shows. */
uint64_t stat_number(struct control *control, const char *key);

#endif
