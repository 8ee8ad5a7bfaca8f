/* SPDX-License-Identifier: BSD-3-Clause */
/* snapshot.c - writes a set in a thread of its own, from memory as it was at one instant. */
#include "ckpt/snapshot.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "ckpt/cow.h"
#include "ckpt/parts.h"
#include "ckpt/stage.h"
#include "common/clock.h"
#include "common/set.h"
#include "common/testpoint.h"
#include "common/thread.h"

#define SLOTS	      18u /* of the ring: as many as a window of transfers, and the next ones */
#define SLOT_BYTES    ((uint64_t)1 << 20)
#define PAGES_MIN     16u /* of a segment, to be worth protecting */
#define FAULTS_FEW    20u /* one page in so many is written meanwhile: that is few */
#define STAGED_RUN    8u  /* snapshots by stage after one with many faults */
#define TIMEOUT_MS    10000u

/* Where bytes stand that were put together; the transfer is of these. */
struct ring {
	struct stage memory;
	uint64_t slot_bytes;
	unsigned slot;		/* the one that takes further bytes */
	uint64_t used;		/* of it */
	uint64_t left[SLOTS];	/* of each: taken and not given back */
};

struct snapshot {
	struct snapshot_options options;
	pid_t pid;
	struct stage stage;
	struct ring ring;
	struct parts parts;
	struct cow *cow; /* NULL: not yet */
	int cow_works;	 /* 0: not tried yet */
	unsigned staged_run;
	const char *said; /* which way was told of last */

	/* of the one under way */
	bool started, uses_cow;
	pthread_t thread;
	struct client *client;
	uint64_t epoch, keep;
	enum set_kind kind;
	struct client_segment *segments;
	bool *protects; /* of each: are there pages of it? */
	size_t count;
	struct client_memory *memory;
	size_t memory_count;
	struct snapshot_stats stats;
	int rc;
	struct error err;

	pthread_mutex_t lock; /* guards the rest; `changed` is told of each change */
	pthread_cond_t changed;
	bool copied;	      /* what is staged */
	bool released;	      /* the application goes on: segments may not be what they were */
	uint64_t direct_left; /* bytes */
	atomic_bool shipped;  /* the thread is done with it all */
};

/* ---- the source, in the thread ---- */

static int source_begin(void *arg, struct error *err)
{
	struct snapshot *s = arg;
	bool gone;

	s->parts.at = 0;
	s->ring.slot = 0;
	s->ring.used = 0;
	memset(s->ring.left, 0, sizeof(s->ring.left));
	pthread_mutex_lock(&s->lock);
	gone = s->released && s->stats.direct;
	s->direct_left = s->stats.direct;
	pthread_mutex_unlock(&s->lock);
	if (gone)
		return error_set(err, -ENODATA, "the connection was lost, and a part of the checkpoint, for which the variable "
				 "'stage_bytes' leaves no room, was written straight from memory that has changed since");
	return s->uses_cow ? cow_rewind(s->cow, err) : 0;
}

/* Before the first of what is copied: all that goes straight from the segments has gone, so that the application need not wait
 * for more than that. -EAGAIN: it has not. */
static int copied_await(struct snapshot *s)
{
	bool gone;

	pthread_mutex_lock(&s->lock);
	while (!s->copied)
		pthread_cond_wait(&s->changed, &s->lock);
	gone = !s->direct_left;
	pthread_mutex_unlock(&s->lock);
	return gone || s->uses_cow ? 0 : -EAGAIN;
}

/* Room in the ring for so many bytes, of which the caller need not use all; NULL: none before something is given back. */
static uint8_t *ring_room(struct ring *ring, uint64_t bytes)
{
	unsigned next = (ring->slot + 1) % SLOTS;

	if (!ring->left[ring->slot])
		ring->used = 0;
	if (ring->slot_bytes - ring->used < bytes) {
		if (ring->left[next])
			return NULL;
		ring->slot = next;
		ring->used = 0;
	}
	return ring->memory.at + ring->slot * ring->slot_bytes + ring->used;
}

static void ring_take(struct ring *ring, uint64_t bytes)
{
	ring->left[ring->slot] += bytes;
	ring->used += (bytes + 63) / 64 * 64;
	if (ring->used > ring->slot_bytes)
		ring->used = ring->slot_bytes;
}

static int no_part(const struct snapshot *s, size_t index, uint64_t offset, struct error *err)
{
	return error_set(err, -EINVAL, "segment '%s': byte %llu is not part of the snapshot",
			 s->segments[index].segment.name, (unsigned long long)offset);
}

/* Puts together in the ring what is partly copied and partly protected. */
static int take_composed(struct snapshot *s, size_t index, uint64_t offset, uint64_t *bytes, void **at,
			 struct error *err)
{
	uint64_t done, n;
	uint8_t *into;
	int rc = 0;

	if (*bytes > s->ring.slot_bytes)
		*bytes = s->ring.slot_bytes;
	into = ring_room(&s->ring, *bytes);
	if (!into)
		return -EAGAIN;
	for (done = 0; done < *bytes && !rc; done += n) {
		const struct part *part = parts_find(&s->parts, index, offset + done);
		uint64_t from;

		if (!part)
			return no_part(s, index, offset + done, err);
		from = offset + done - part->offset;
		n = part->bytes - from < *bytes - done ? part->bytes - from : *bytes - done;
		if (part->kind == PART_PAGES)
			rc = cow_read(s->cow, part->area, from, n, into + done, err);
		else
			memcpy(into + done, part->copy + from, n);
	}
	if (rc)
		return rc;
	ring_take(&s->ring, *bytes);
	*at = into;
	return 0;
}

static int source_take(void *arg, size_t index, uint64_t offset, uint64_t *bytes, void **at, struct error *err)
{
	struct snapshot *s = arg;
	const struct part *part = parts_find(&s->parts, index, offset);
	uint64_t from;

	if (!part)
		return no_part(s, index, offset, err);
	if (part->kind != PART_DIRECT && copied_await(s))
		return -EAGAIN;
	TEST_POINT("snapshot-take");
	if (s->protects[index])
		return take_composed(s, index, offset, bytes, at, err);
	from = offset - part->offset;
	if (*bytes > part->bytes - from)
		*bytes = part->bytes - from;
	*at = (part->kind == PART_DIRECT ? part->from : part->copy) + from;
	return 0;
}

/* How far into that memory is it? UINT64_MAX: it is elsewhere. */
static uint64_t within(const struct stage *stage, const void *at)
{
	uintptr_t begin = (uintptr_t)stage->at, address = (uintptr_t)at;

	return stage->bytes && address >= begin && address - begin < stage->bytes ? address - begin : UINT64_MAX;
}

static void source_give(void *arg, void *at, uint64_t bytes)
{
	struct snapshot *s = arg;
	uint64_t from = within(&s->ring.memory, at);

	if (from != UINT64_MAX) {
		s->ring.left[from / s->ring.slot_bytes] -= bytes;
		return;
	}
	if (within(&s->stage, at) != UINT64_MAX)
		return;
	pthread_mutex_lock(&s->lock);
	s->direct_left -= bytes;
	if (!s->direct_left)
		pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static const struct client_memory *source_memory(void *arg, size_t *count)
{
	struct snapshot *s = arg;

	*count = s->memory_count;
	return s->memory;
}

static void *ship(void *arg)
{
	struct snapshot *s = arg;
	const struct client_source source = {source_begin, source_take, source_give, source_memory, s};
	enum set_kind kind = s->kind;

	s->rc = client_put_from(s->client, s->epoch, s->keep, &kind, s->segments, s->count, &source, &s->err);
	if (s->uses_cow)
		cow_end(s->cow);
	if (!s->rc)
		TEST_POINT("ckpt-put");
	pthread_mutex_lock(&s->lock);
	atomic_store(&s->shipped, true);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* ---- the plan ---- */

static uint64_t segment_bytes(const struct client_segment *segment)
{
	return segment->segment.count * segment->segment.element_bytes;
}

/* The whole pages of a segment are protected, and what is beside them is copied. 1: that cannot be. */
static int plan_pages(struct snapshot *s, size_t index, struct error *err)
{
	const struct client_segment *segment = &s->segments[index];
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), bytes = segment_bytes(segment);
	const uint64_t head = -(uintptr_t)segment->at & (page - 1);
	struct part part = {.kind = PART_STAGED, .segment = index, .from = segment->at, .edge = true};
	const uintptr_t begin = (uintptr_t)segment->at;
	struct cow_range pages, within;
	struct error why;
	uint64_t inner;
	int rc;

	if (segment->hint || bytes < head + PAGES_MIN * page)
		return 1;
	inner = (bytes - head) / page * page;
	pages = (struct cow_range){begin + head, begin + head + inner};
	within = (struct cow_range){begin & ~(page - 1), (begin + bytes + page - 1) & ~(page - 1)};
	if (cow_add(s->cow, &pages, &within, segment->segment.name, &part.area, &why))
		return 1;
	part.bytes = head;
	rc = parts_add(&s->parts, &part, err);
	part.kind = PART_PAGES;
	part.offset = head;
	part.bytes = inner;
	part.from += head;
	if (!rc)
		rc = parts_add(&s->parts, &part, err);
	part.kind = PART_STAGED;
	part.offset += inner;
	part.from += inner;
	part.bytes = bytes - head - inner;
	if (!rc)
		rc = parts_add(&s->parts, &part, err);
	s->protects[index] = true;
	return rc;
}

static int plan_segment(struct snapshot *s, size_t index, struct error *err)
{
	const struct client_segment *segment = &s->segments[index];
	const bool ranges = s->kind == SET_INCREMENT && segment->ranges;
	size_t count = ranges ? segment->range_count : 1;
	int rc = s->uses_cow && !ranges ? plan_pages(s, index, err) : 1;

	if (rc <= 0)
		return rc;
	rc = 0;
	for (size_t i = 0; i < count && !rc; i++) {
		struct segment_range range = {0, segment_bytes(segment)};

		if (ranges)
			range = segment->ranges[i];
		rc = parts_add(&s->parts, &(struct part){
			.kind = PART_STAGED,
			.segment = index,
			.offset = range.offset,
			.bytes = range.bytes,
			.from = (uint8_t *)segment->at + range.offset,
		}, err);
	}
	return rc;
}

static void forget(void *context, const void *at, uint64_t bytes)
{
	client_forget(context, at, bytes);
}

/* Staging memory for what is to be copied. Where there is not enough, what is over is written directly. */
static int plan_room(struct snapshot *s, struct error *err)
{
	uint64_t edges = 0, most = s->options.stage_bytes ? s->options.stage_bytes : UINT64_MAX;
	int rc = parts_bound(&s->parts, most, s->options.block_bytes, err);

	if (rc)
		return rc;
	if (!stage_reserve(&s->stage, parts_bytes(&s->parts, PART_STAGED), s->options.sharing, forget, s->client))
		return 0;
	rc = parts_bound(&s->parts, 0, s->options.block_bytes, err);
	edges = parts_bytes(&s->parts, PART_STAGED);
	if (!rc && stage_reserve(&s->stage, edges, s->options.sharing, forget, s->client))
		rc = error_nomem(err, "what a checkpoint is copied to");
	return rc;
}

static int plan_ring(struct snapshot *s, struct error *err)
{
	struct ring *ring = &s->ring;

	ring->slot_bytes = s->options.block_bytes > SLOT_BYTES ? s->options.block_bytes : SLOT_BYTES;
	if (stage_reserve(&ring->memory, SLOTS * ring->slot_bytes, s->options.sharing, forget, s->client))
		return error_nomem(err, "what a checkpoint is sent from");
	return 0;
}

/* All memory that is sent from. */
static int plan_memory(struct snapshot *s, struct error *err)
{
	free(s->memory);
	s->memory_count = 0;
	s->memory = calloc(s->parts.count + 2, sizeof(*s->memory));
	if (!s->memory)
		return error_nomem(err, "the plan of a checkpoint");
	s->memory[s->memory_count++] = (struct client_memory){s->stage.at, s->stage.bytes, true};
	if (s->uses_cow)
		s->memory[s->memory_count++] = (struct client_memory){s->ring.memory.at, s->ring.memory.bytes, true};
	for (size_t i = 0; i < s->parts.count; i++) {
		const struct part *part = &s->parts.list[i];

		if (part->kind == PART_DIRECT)
			s->memory[s->memory_count++] = (struct client_memory){part->from, part->bytes, false};
	}
	return 0;
}

static int plan(struct snapshot *s, struct error *err)
{
	int rc = 0;

	parts_clear(&s->parts);
	for (size_t i = 0; i < s->count && !rc; i++)
		rc = plan_segment(s, i, err);
	if (!rc)
		rc = plan_room(s, err);
	if (!rc && s->uses_cow)
		rc = plan_ring(s, err);
	if (!rc)
		rc = plan_memory(s, err);
	s->stats.copied = parts_bytes(&s->parts, PART_STAGED);
	s->stats.direct = parts_bytes(&s->parts, PART_DIRECT);
	s->stats.bytes = s->stats.copied + s->stats.direct + parts_bytes(&s->parts, PART_PAGES);
	return rc;
}

/* Gives each staged part its place; what is to be copied there becomes *list. */
static int plan_copies(struct snapshot *s, struct stage_copy **out, size_t *count, struct error *err)
{
	struct stage_copy *list = calloc(s->parts.count + 1, sizeof(*list));
	uint8_t *at = s->stage.at;

	*count = 0;
	if (!list)
		return error_nomem(err, "the plan of a checkpoint");
	for (size_t i = 0; i < s->parts.count; i++) {
		struct part *part = &s->parts.list[i];

		if (part->kind != PART_STAGED)
			continue;
		part->copy = at;
		at += part_room(part);
		list[(*count)++] = (struct stage_copy){part->copy, part->from, part->bytes};
	}
	*out = list;
	return 0;
}

/* ---- which way ---- */

static void say(struct snapshot *s, const char *way, const char *why)
{
	char text[ERROR_TEXT_BYTES + 64];

	if (s->said == way)
		return;
	s->said = way;
	snprintf(text, sizeof(text), "asynchronous checkpoints: %s%s%s", way, *why ? ": " : "", why);
	if (s->options.say)
		s->options.say(s->options.context, text);
}

static bool choose_cow(struct snapshot *s)
{
	struct error why;
	int rc;

	if (s->options.way == SNAPSHOT_STAGE || s->kind == SET_INCREMENT || s->cow_works < 0)
		return false;
	if (!s->cow_works) {
		rc = cow_probe(&why);
		if (!rc)
			rc = cow_new(s->options.stage_bytes, s->options.timeout_ms, s->options.threads, &s->cow, &why);
		s->cow_works = rc ? -1 : 1;
		if (rc)
			say(s, "by way of a copy (stage), as copy-on-write (cow) does not work here", why.text);
		if (rc)
			return false;
	}
	if (s->options.way == SNAPSHOT_AUTO && s->staged_run) {
		s->staged_run--;
		say(s, "by way of a copy (stage) for now", "too many pages were written while they were protected (cow)");
		return false;
	}
	return true;
}

/* ---- snapshot.h ---- */

int snapshot_new(const struct snapshot_options *options, struct snapshot **out, struct error *err)
{
	struct snapshot *s = calloc(1, sizeof(*s));

	if (!s)
		return error_nomem(err, "asynchronous checkpoints");
	s->options = *options;
	if (!s->options.block_bytes)
		s->options.block_bytes = SET_BLOCK_DEFAULT;
	if (!s->options.timeout_ms)
		s->options.timeout_ms = TIMEOUT_MS;
	if (!s->options.threads)
		s->options.threads = 1;
	s->pid = getpid();
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	*out = s;
	return 0;
}

static void per_set_free(struct snapshot *s)
{
	free(s->segments);
	free(s->protects);
	free(s->memory);
	s->segments = NULL;
	s->protects = NULL;
	s->memory = NULL;
}

static void stage_drop(struct stage *stage, struct client *client)
{
	if (client && stage->bytes)
		client_forget(client, stage->at, stage->bytes);
	stage_free(stage);
}

void snapshot_free(struct snapshot *s, struct client *client)
{
	if (!s)
		return;
	if (s->pid == getpid()) {
		stage_drop(&s->stage, client);
		stage_drop(&s->ring.memory, client);
		cow_free(s->cow);
	}
	per_set_free(s);
	parts_free(&s->parts);
	free(s);
}

static int set_up(struct snapshot *s, const struct client_segment *segments, size_t count, struct error *err)
{
	per_set_free(s);
	s->segments = calloc(count + 1, sizeof(*segments));
	s->protects = calloc(count + 1, sizeof(*s->protects));
	if (!s->segments || !s->protects)
		return error_nomem(err, "the plan of a checkpoint");
	if (count)
		memcpy(s->segments, segments, count * sizeof(*segments));
	s->count = count;
	s->stats = (struct snapshot_stats){.cow = s->uses_cow};
	s->copied = s->released = false;
	atomic_store(&s->shipped, false);
	return 0;
}

/* Until nothing is written straight from the segments any more. */
static void release_application(struct snapshot *s)
{
	pthread_mutex_lock(&s->lock);
	s->copied = true;
	pthread_cond_broadcast(&s->changed);
	while (s->direct_left && !atomic_load(&s->shipped))
		pthread_cond_wait(&s->changed, &s->lock);
	s->released = true;
	pthread_mutex_unlock(&s->lock);
}

static int start(struct snapshot *s, const struct client_segment *segments, size_t count, struct error *err)
{
	struct stage_copy *copies = NULL;
	size_t copy_count = 0;
	int rc = set_up(s, segments, count, err);

	if (!rc && s->uses_cow)
		rc = cow_begin(s->cow, err);
	if (rc)
		return rc;
	rc = plan(s, err);
	s->direct_left = s->stats.direct;
	if (!rc)
		rc = plan_copies(s, &copies, &copy_count, err);
	if (!rc && s->uses_cow)
		rc = cow_protect(s->cow, err);
	if (!rc) {
		rc = thread_begin(&s->thread, ship, s);
		if (rc)
			error_set(err, rc, "no thread could be begun that writes a checkpoint: %s", strerror(-rc));
	}
	if (rc && s->uses_cow)
		cow_end(s->cow);
	if (!rc) {
		s->started = true;
		stage_copy(copies, copy_count, s->options.threads);
		release_application(s);
	}
	free(copies);
	return rc;
}

int snapshot_start(struct snapshot *s, struct client *client, uint64_t epoch, uint64_t keep, enum set_kind *kind,
		   const struct client_segment *segments, size_t count, struct error *err)
{
	uint64_t begin = clock_monotonic_ns();
	int rc;

	if (*kind == SET_INCREMENT && !client_can_increment(client, keep, segments, count))
		*kind = SET_FULL;
	s->client = client;
	s->epoch = epoch;
	s->keep = keep;
	s->kind = *kind;
	s->uses_cow = choose_cow(s);
	rc = start(s, segments, count, err);
	if (rc && s->uses_cow && rc != -ENOMEM) {
		s->uses_cow = false;
		rc = start(s, segments, count, err);
	}
	if (rc)
		return rc;
	if (s->cow_works >= 0 && s->kind == SET_FULL)
		say(s, s->uses_cow ? "by copy-on-write (cow)" : "by way of a copy (stage)", "");
	s->stats.stopped_ns = clock_monotonic_ns() - begin;
	return 0;
}

bool snapshot_under_way(const struct snapshot *s)
{
	return s && s->started && s->pid == getpid();
}

bool snapshot_shipped(const struct snapshot *s)
{
	return !snapshot_under_way(s) || atomic_load(&s->shipped);
}

int snapshot_wait(struct snapshot *s, struct error *err)
{
	struct cow_stats seen;

	if (!snapshot_under_way(s))
		return 0;
	pthread_join(s->thread, NULL);
	s->started = false;
	if (s->uses_cow) {
		cow_stats(s->cow, &seen);
		s->stats.pages = seen.pages;
		s->stats.faults = seen.faults;
		s->stats.kept = seen.kept;
		if (seen.faults * FAULTS_FEW > seen.pages)
			s->staged_run = STAGED_RUN;
	}
	if (s->rc)
		*err = s->err;
	return s->rc;
}

void snapshot_release(struct snapshot *s, const void *at, uint64_t bytes)
{
	if (snapshot_under_way(s) && s->uses_cow)
		cow_release(s->cow, (uintptr_t)at, (uintptr_t)at + bytes);
}

void snapshot_stats(const struct snapshot *s, struct snapshot_stats *stats)
{
	*stats = s->stats;
}
