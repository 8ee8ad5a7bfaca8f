/* SPDX-License-Identifier: BSD-3-Clause */
/* fake_client.c - client.h in the memory of one process. */
#include "fake_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "client/client.h"

#define STORE_SETS_MAX 16

struct fake_set {
	struct set_info info;
	struct segment *segments;
	unsigned char **data;
	bool damaged;
};

struct client {
	struct set_info told[STORE_SETS_MAX]; /* what the list says */
	size_t told_count;
};

static struct {
	struct fake_set sets[STORE_SETS_MAX];
	size_t count;
	int fail[FAKE_CALLS];
	unsigned calls[FAKE_CALLS];
	bool lose_reply, finished, forced;
	uint64_t kept;
	char job[JOB_NAME_BYTES];
	uint32_t incarnation;
	uint64_t generation, launch_generation;
	struct client_wish wish;
	uint64_t served, served_epoch;
	struct command_line recorded;
} store;

static void set_free(struct fake_set *set)
{
	for (uint32_t i = 0; i < set->info.segment_count; i++)
		free(set->data[i]);
	free(set->data);
	free(set->segments);
}

static struct fake_set *set_find(uint64_t epoch)
{
	for (size_t i = 0; i < store.count; i++)
		if (store.sets[i].info.epoch == epoch)
			return &store.sets[i];
	return NULL;
}

void fake_drop(uint64_t epoch)
{
	struct fake_set *set = set_find(epoch);

	if (!set)
		return;
	set_free(set);
	memmove(set, set + 1, (size_t)(store.sets + store.count - set - 1) * sizeof(*set));
	store.count--;
}

static void set_add(uint64_t epoch, const struct client_segment *segments, size_t count)
{
	struct fake_set *set;

	fake_drop(epoch);
	set = &store.sets[store.count++];
	*set = (struct fake_set){.info = {.epoch = epoch, .kind = SET_FULL,
					  .segment_count = (uint32_t)count,
					  .generation = store.generation}};
	set->segments = calloc(count + 1, sizeof(*set->segments));
	set->data = calloc(count + 1, sizeof(*set->data));
	for (size_t i = 0; i < count; i++) {
		size_t bytes = segments[i].segment.element_bytes * segments[i].segment.count;

		set->segments[i] = segments[i].segment;
		set->data[i] = malloc(bytes + 1);
		memcpy(set->data[i], bytes ? segments[i].at : "", bytes);
	}
}

void fake_add(uint64_t epoch)
{
	set_add(epoch, NULL, 0);
}

void fake_reset(void)
{
	for (size_t i = 0; i < store.count; i++)
		set_free(&store.sets[i]);
	free(store.recorded.text);
	memset(&store, 0, sizeof(store));
}

void fake_fail(enum fake_call call, int code)
{
	store.fail[call] = code;
}

void fake_lose_reply(void)
{
	store.lose_reply = true;
}

static atomic_bool held;

void fake_hold(bool hold)
{
	atomic_store(&held, hold);
}

void fake_damage(uint64_t epoch)
{
	set_find(epoch)->damaged = true;
}

unsigned fake_count(enum fake_call call)
{
	return store.calls[call];
}

uint64_t fake_kept(void)
{
	return store.kept;
}

bool fake_finished(void)
{
	return store.finished;
}

void fake_ask(uint64_t count, bool leave)
{
	store.wish = (struct client_wish){true, leave, count};
}

uint64_t fake_served(uint64_t *epoch)
{
	*epoch = store.served_epoch;
	return store.served;
}

const char *fake_recorded(void)
{
	static char line[COMMAND_LINE_BYTES];

	return command_format(&store.recorded, line, sizeof(line));
}

const char *fake_job(void)
{
	return store.job;
}

uint32_t fake_incarnation(void)
{
	return store.incarnation;
}

bool fake_forced(void)
{
	return store.forced;
}

/* Counts the call, and fails it where that was ordered. */
static int begin(enum fake_call call, struct error *err)
{
	int code = store.fail[call];

	store.calls[call]++;
	store.fail[call] = 0;
	return code ? error_set(err, code, "fake trouble %d", -code) : 0;
}

static void tell(struct client *client)
{
	client->told_count = store.count;
	for (size_t i = 0; i < store.count; i++)
		client->told[i] = store.sets[i].info;
}

int client_open(const struct client_options *options, const struct client_identity *identity,
		struct client **client, struct error *err)
{
	int code = begin(FAKE_OPEN, err);

	(void)options;
	if (code)
		return code;
	snprintf(store.job, sizeof(store.job), "%s", identity->job);
	store.incarnation = identity->incarnation;
	store.forced = identity->force;
	store.generation++;
	if (!identity->incarnation)
		store.launch_generation = store.generation;
	*client = calloc(1, sizeof(**client));
	if (!*client)
		return error_nomem(err, "a fake");
	tell(*client);
	return 0;
}

int client_close(struct client *client, bool finished, struct error *err)
{
	int code = client ? begin(FAKE_CLOSE, err) : 0;

	store.finished = finished;
	free(client);
	return code;
}

void client_forget(struct client *client, const void *at, uint64_t bytes)
{
	(void)client;
	(void)at;
	(void)bytes;
}

uint32_t client_chain(const struct client *client)
{
	uint32_t chain = 0;

	for (size_t i = client->told_count; i && client->told[i - 1].kind == SET_INCREMENT; i--)
		chain++;
	return chain;
}

size_t client_sets(const struct client *client, const struct set_info **sets)
{
	*sets = client->told;
	return client->told_count;
}

uint64_t client_generation(const struct client *client)
{
	(void)client;
	return store.generation;
}

uint64_t client_launch_generation(const struct client *client)
{
	(void)client;
	return store.launch_generation;
}

int client_refresh(struct client *client, struct error *err)
{
	int code = begin(FAKE_REFRESH, err);

	if (!code)
		tell(client);
	return code;
}

int client_asked(struct client *client, uint64_t served, uint64_t epoch, struct client_wish *wish,
		 struct error *err)
{
	int code = begin(FAKE_ASKED, err);

	(void)client;
	if (code)
		return code;
	store.served = served;
	store.served_epoch = epoch;
	if (served == store.wish.count)
		store.wish.checkpoint = store.wish.leave = false;
	*wish = store.wish;
	return 0;
}

int client_record(struct client *client, const struct command_line *command, struct command_line *before,
		  struct error *err)
{
	int code = begin(FAKE_RECORD, err);

	(void)client;
	if (code)
		return code;
	*before = store.recorded;
	store.recorded = (struct command_line){command->bytes, malloc(command->bytes)};
	memcpy(store.recorded.text, command->text, command->bytes);
	return 0;
}

int client_put(struct client *client, uint64_t epoch, uint64_t keep, enum set_kind *kind,
	       const struct client_segment *segments, size_t count, struct error *err)
{
	int code = begin(FAKE_PUT, err);

	if (code)
		return code;
	(void)kind;
	store.kept = keep;
	while (store.count >= SLOTS_PER_REGION)
		fake_drop(store.sets[store.sets[0].info.epoch == keep].info.epoch);
	set_add(epoch, segments, count);
	if (store.lose_reply) {
		store.lose_reply = false;
		return error_set(err, -ENXIO, "fake reply lost");
	}
	tell(client);
	return 0;
}

/* What the source gives becomes the set's bytes. */
static int take_all(const struct client_source *source, struct client_segment *segments, size_t count,
		    struct error *err)
{
	uint64_t n;
	void *at;
	int code = source->begin(source->arg, err);

	for (size_t i = 0; i < count && !code; i++) {
		uint64_t bytes = segments[i].segment.element_bytes * segments[i].segment.count;

		segments[i].at = malloc(bytes + 1);
		for (uint64_t done = 0; done < bytes && !code; done += n) {
			n = bytes - done;
			code = source->take(source->arg, i, done, &n, &at, err);
			if (code)
				break;
			memcpy((char *)segments[i].at + done, at, n);
			source->give(source->arg, at, n);
		}
	}
	return code;
}

int client_put_from(struct client *client, uint64_t epoch, uint64_t keep, enum set_kind *kind,
		    const struct client_segment *segments, size_t count, const struct client_source *source,
		    struct error *err)
{
	struct client_segment *copies = calloc(count + 1, sizeof(*copies));
	const struct timespec pause = {0, 1000000};
	int code;

	while (atomic_load(&held))
		nanosleep(&pause, NULL);
	memcpy(copies, segments, count * sizeof(*copies));
	for (size_t i = 0; i < count; i++)
		copies[i].at = NULL;
	code = take_all(source, copies, count, err);
	if (!code)
		code = client_put(client, epoch, keep, kind, copies, count, err);
	for (size_t i = 0; i < count; i++)
		free(copies[i].at);
	free(copies);
	return code;
}

bool client_can_increment(const struct client *client, uint64_t keep, const struct client_segment *segments,
			  size_t count)
{
	(void)client;
	(void)keep;
	(void)segments;
	(void)count;
	return true;
}

int client_layout(struct client *client, uint32_t rank, uint64_t epoch, struct segment **segments,
		  size_t *count, struct error *err)
{
	struct fake_set *set = set_find(epoch);
	int code = begin(FAKE_LAYOUT, err);

	(void)client;
	(void)rank;
	if (code)
		return code;
	if (!set)
		return error_set(err, -ENOENT, "no set of this epoch");
	*count = set->info.segment_count;
	*segments = calloc(*count + 1, sizeof(**segments));
	memcpy(*segments, set->segments, *count * sizeof(**segments));
	return 0;
}

int client_get(struct client *client, uint32_t rank, uint64_t epoch,
	       const struct client_segment *segments, size_t count, struct error *err)
{
	struct fake_set *set = set_find(epoch);
	int code = begin(FAKE_GET, err);

	(void)client;
	(void)rank;
	if (code)
		return code;
	if (!set)
		return error_set(err, -ENOENT, "no set of this epoch");
	if (set->damaged)
		return error_set(err, -EILSEQ, "fake block 0 does not match");
	for (size_t i = 0; i < count; i++)
		for (uint32_t k = 0; k < set->info.segment_count; k++)
			if (!strcmp(set->segments[k].name, segments[i].segment.name))
				memcpy(segments[i].at, set->data[k],
				       set->segments[k].element_bytes * set->segments[k].count);
	return 0;
}

int client_get_range(struct client *client, uint32_t rank, uint64_t epoch, const char *name,
		     uint64_t offset, void *into, uint64_t bytes, struct error *err)
{
	struct fake_set *set = set_find(epoch);

	(void)client;
	(void)rank;
	if (!set)
		return error_set(err, -ENOENT, "no set of this epoch");
	for (uint32_t k = 0; k < set->info.segment_count; k++) {
		uint64_t size = set->segments[k].element_bytes * set->segments[k].count;

		if (strcmp(set->segments[k].name, name) || offset > size || bytes > size - offset)
			continue;
		memcpy(into, set->data[k] + offset, bytes);
		return 0;
	}
	return error_set(err, -ENOMSG, "no such segment or range");
}
