/* SPDX-License-Identifier: BSD-3-Clause */
/* rank.c - a rank in append mode. */
#include "rank.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/clock.h"

struct pmu pmu;
struct error err;
uint64_t block_bytes = BLOCK;
const char *auth_name = "none", *auth_key_file;
static uint64_t random_state = 88172645463325252u;

void random_seed(uint64_t seed)
{
	random_state = (seed + 1) * 0x9e3779b97f4a7c15u; /* not 0, or it would stay so */
}

unsigned random_below(unsigned n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state >> 33) % n;
}

const char *net_name = "ofi";

struct client_options options_of_server(void)
{
	return (struct client_options){
		.server = pmu.address,
		.net = net_name,
		.chunk_bytes = 1 << 20,
		.auth = auth_name,
		.key_file = auth_key_file,
		.timeout_ms = 20000,
		.reconnect_ms = 30000,
		.block_bytes = block_bytes,
	};
}

struct client_identity identity_of(uint32_t rank, uint32_t ranks)
{
	return (struct client_identity){
		.job = "job",
		.rank = rank,
		.ranks = ranks,
		.mode = REGION_APPEND,
		.launch = {1},
	};
}

struct client *open_with(const struct client_options *options, const struct client_identity *identity)
{
	struct client *client = NULL;
	int rc = client_open(options, identity, &client, &err);

	ck_assert_msg(!rc, "%d %s", rc, err.text);
	return client;
}

struct client *open_rank(uint32_t rank, uint32_t ranks)
{
	struct client_identity identity = identity_of(rank, ranks);
	struct client_options options = options_of_server();

	return open_with(&options, &identity);
}

struct memory memory;
struct past past[EPOCHS];

uint64_t bytes_of(size_t i)
{
	return memory.segments[i].segment.count;
}

uint64_t blocks_of(size_t i)
{
	return (bytes_of(i) + block_bytes - 1) / block_bytes;
}

/* A byte of the block, and its last one, are new. */
void touch(size_t segment, uint64_t block)
{
	uint8_t *at = memory.segments[segment].at;
	uint64_t from = block * block_bytes, end = bytes_of(segment);

	if (end - from > block_bytes)
		end = from + block_bytes;
	at[from + random_below((unsigned)(end - from))] ^= (uint8_t)(1 + random_below(255));
	at[end - 1]++;
	memory.changed[segment][block] = true;
}

void segment_new(size_t i, const char *name, uint64_t bytes)
{
	struct client_segment *s = &memory.segments[i];
	uint8_t *at;

	free(s->at);
	free(memory.ranges[i]);
	*s = (struct client_segment){.segment = {.type = ELEMENT_BYTE, .element_bytes = 1, .count = bytes}};
	snprintf(s->segment.name, sizeof(s->segment.name), "%s", name);
	s->at = at = malloc(bytes + 1);
	for (uint64_t k = 0; k < bytes; k++)
		at[k] = (uint8_t)(random_state >> (k % 57) ^ k / 251);
	random_below(2);
	memory.ranges[i] = calloc(blocks_of(i) + 1, sizeof(**memory.ranges));
	memset(memory.changed[i], 1, sizeof(memory.changed[i]));
}

void memory_make(const uint64_t *sizes, size_t count)
{
	char name[32];

	for (memory.count = 0; memory.count < count; memory.count++) {
		snprintf(name, sizeof(name), "segment%zu", memory.count);
		segment_new(memory.count, name, sizes[memory.count]);
	}
}

/* The changed blocks as ranges, runs of them as one or, now and then, as several. */
static void ranges_make(size_t i)
{
	struct client_segment *s = &memory.segments[i];
	struct segment_range *range = memory.ranges[i] - 1;
	bool running = false;

	s->ranges = memory.ranges[i];
	for (uint64_t block = 0; block < blocks_of(i); block++) {
		uint64_t n = bytes_of(i) - block * block_bytes < block_bytes ? bytes_of(i) - block * block_bytes : block_bytes;

		if (memory.changed[i][block] && running && random_below(4))
			range->bytes += n;
		else if (memory.changed[i][block])
			*++range = (struct segment_range){block * block_bytes, n};
		running = memory.changed[i][block];
	}
	s->range_count = (size_t)(range + 1 - memory.ranges[i]);
	if (s->range_count == 1 && range->bytes == bytes_of(i))
		s->ranges = NULL; /* whole */
}

void past_forget(struct past *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->data[i]);
	*p = (struct past){0};
}

void past_record(uint64_t epoch)
{
	struct past *p = &past[epoch];

	past_forget(p);
	for (p->count = 0; p->count < memory.count; p->count++) {
		p->segments[p->count] = memory.segments[p->count].segment;
		p->data[p->count] = malloc(bytes_of(p->count) + 1);
		memcpy(p->data[p->count], memory.segments[p->count].at, bytes_of(p->count));
	}
}

void memory_free(void)
{
	for (size_t i = 0; i < SEGMENTS; i++) {
		free(memory.segments[i].at);
		free(memory.ranges[i]);
	}
	memset(&memory, 0, sizeof(memory));
	for (size_t i = 0; i < EPOCHS; i++)
		past_forget(&past[i]);
}

int put(struct client *client, uint64_t epoch, uint64_t keep, enum set_kind *kind)
{
	int rc;

	for (size_t i = 0; i < memory.count; i++)
		ranges_make(i);
	rc = client_put(client, epoch, keep, kind, memory.segments, memory.count, &err);
	if (!rc) {
		memset(memory.changed, 0, sizeof(memory.changed));
		past_record(epoch);
	}
	return rc;
}

/* Which kind it became. */
enum set_kind put_ok(struct client *client, uint64_t epoch, uint64_t keep, enum set_kind kind)
{
	int rc = put(client, epoch, keep, &kind);

	ck_assert_msg(!rc, "epoch %d: %d %s", (int)epoch, rc, err.text);
	return kind;
}

void put_increment(struct client *client, uint64_t epoch)
{
	ck_assert_int_eq(put_ok(client, epoch, epoch - 1, SET_INCREMENT), SET_INCREMENT);
}

int get(struct client *client, uint32_t rank, uint64_t epoch)
{
	const struct past *p = &past[epoch];
	struct client_segment segments[SEGMENTS] = {0};
	int rc;

	for (size_t i = 0; i < p->count; i++) {
		segments[i] = (struct client_segment){.segment = p->segments[i]};
		segments[i].at = p->segments[i].count ? calloc(1, p->segments[i].count) : NULL;
	}
	rc = client_get(client, rank, epoch, segments, p->count, &err);
	for (size_t i = 0; i < p->count; i++) {
		if (segments[i].at && !rc)
			ck_assert_msg(!memcmp(segments[i].at, p->data[i], p->segments[i].count), "epoch %d, segment %zu",
				      (int)epoch, i);
		free(segments[i].at);
	}
	return rc;
}

void get_ok(struct client *client, uint32_t rank, uint64_t epoch)
{
	int rc = get(client, rank, epoch);

	ck_assert_msg(!rc, "epoch %d: %d %s", (int)epoch, rc, err.text);
}

static void write_on(uint64_t epoch, unsigned last)
{
	struct client *writer = open_rank(0, 2);

	for (uint64_t next = epoch + 1; next < last && holds(writer, epoch); next++) {
		touch(0, random_below((unsigned)blocks_of(0)));
		put_ok(writer, next, next - 1, SET_INCREMENT);
	}
	client_close(writer, false, &err);
}

void get_while_written(struct client *reader, uint64_t epoch, unsigned last)
{
	int status = 0, rc;
	pid_t child;

	get_ok(reader, 0, epoch);
	child = fork();
	if (!child) {
		write_on(epoch, last);
		_exit(0);
	}
	do {
		rc = get(reader, 0, epoch);
		ck_assert_msg(!rc || rc == -ENOENT, "%d %s", rc, err.text);
	} while (!waitpid(child, &status, WNOHANG));
	ck_assert(WIFEXITED(status) && !WEXITSTATUS(status));
}

void get_all(struct client *client)
{
	const struct set_info *sets;

	/* The list is as long again after a lost connection: by index. */
	for (size_t i = 0; i < client_sets(client, &sets); i++)
		get_ok(client, 0, sets[i].epoch);
}

void get_ranges(struct client *client, uint64_t epoch, unsigned rounds)
{
	const struct past *p = &past[epoch];

	while (rounds--) {
		size_t i = random_below((unsigned)p->count);
		uint64_t bytes = p->segments[i].count, offset = random_below((unsigned)bytes + 1);
		uint64_t n = random_below((unsigned)(bytes - offset) + 1);
		uint8_t *into = malloc(n + 1);
		int rc = client_get_range(client, 0, epoch, p->segments[i].name, offset, into, n, &err);

		ck_assert_msg(!rc, "%d %s", rc, err.text);
		ck_assert(!memcmp(into, p->data[i] + offset, n));
		free(into);
	}
}

bool holds(struct client *client, uint64_t epoch)
{
	const struct set_info *sets;
	bool found = false;

	for (size_t i = 0, n = client_sets(client, &sets); i < n; i++)
		found |= sets[i].epoch == epoch;
	return found;
}

uint64_t stat_number(struct control *control, const char *key)
{
	struct wire_stat_reply reply = {0};
	uint64_t number = UINT64_MAX;

	ck_assert_msg(!control_call(control, WIRE_STAT, wire_nothing_fields, NULL, wire_stat_reply_fields, &reply,
				    deadline_in_ms(20000), &err), "%s", err.text);
	for (uint32_t i = 0; i < reply.count; i++) {
		if (!strcmp(reply.stats[i].key, key))
			number = strtoull(reply.stats[i].value, NULL, 10);
	}
	free(reply.stats);
	ck_assert_uint_ne(number, UINT64_MAX);
	return number;
}
