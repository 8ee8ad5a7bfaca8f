/* SPDX-License-Identifier: BSD-3-Clause */
/* put.c - writing one set: BEGIN, one-sided writes with a checksum for every block, COMMIT. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "client/mover.h"
#include "client/session.h"
#include "common/checksum.h"
#include "common/log.h"
#include "common/size.h"
#include "common/testpoint.h"
#include "common/thread.h"
#include "wire/table.h"

#define TAKE_BYTES ((uint64_t)SET_BLOCK_MAX) /* of a source at a time, at most */
#define HELP_BYTES ((uint64_t)16 << 20)	     /* of a set, to be worth a second thread */

struct put {
	uint64_t epoch, keep, block_bytes;
	enum set_kind kind;
	const struct client_segment *segments;
	size_t count;
	const struct client_source *source; /* NULL: the segments' memory is at rest */
	struct table table;
	void *table_buffer;
	struct set_info info;
	bool committed; /* a COMMIT was sent; whether it came to be is not known */
	void **registrations; /* of segments, or of the source's memory; the last is the table's */
	size_t registration_count;
	bool moved_hashed; /* in this attempt the data plane makes the checksums that are not known */

	pthread_t helper; /* makes the checksums while this thread sends */
	bool helped;	  /* it does: else this thread makes those of each piece when it is sent */
	pthread_mutex_t lock; /* guards how far they are, for both make them at the end */
	uint64_t hashed_extents, hashed_bytes; /* the latter of the next extent */
	atomic_bool abandoned; /* the helper's work is in vain */
};

static uint64_t segment_bytes(const struct segment *segment)
{
	return segment->count * segment->element_bytes;
}

/* ---- the plan ---- */

/* The i-th extent of a segment; false: there are no more. */
static bool extent_at(const struct put *put, const struct client_segment *s, size_t i, struct segment_range *range)
{
	if (put->kind == SET_INCREMENT && s->ranges) {
		if (i < s->range_count)
			*range = s->ranges[i];
		return i < s->range_count;
	}
	*range = (struct segment_range){0, segment_bytes(&s->segment)};
	return !i && range->bytes;
}

static int ranges_check(const struct client_segment *s, uint64_t block_bytes, struct error *err)
{
	uint64_t from = 0, bytes = segment_bytes(&s->segment);

	for (size_t i = 0; s->ranges && i < s->range_count; i++) {
		const struct segment_range *range = &s->ranges[i];

		if (!range->bytes || range->offset < from || range->offset > bytes ||
		    range->bytes > bytes - range->offset || range->offset % block_bytes ||
		    (range->bytes % block_bytes && range->offset + range->bytes != bytes))
			return error_set(err, -EINVAL, "segment '%s' of %llu bytes: range %zu, %llu bytes from %llu on, is "
					 "out of order, or not of whole blocks of %llu bytes", s->segment.name,
					 (unsigned long long)bytes, i, (unsigned long long)range->bytes,
					 (unsigned long long)range->offset, (unsigned long long)block_bytes);
		from = range->offset + range->bytes;
	}
	return 0;
}

static int segments_check(const struct put *put, struct error *err)
{
	uint64_t all = 0, bytes;
	int rc = 0;

	if (put->count > SET_SEGMENTS_MAX)
		return error_set(err, -EINVAL, "%zu segments; a set has at most %d", put->count,
				 SET_SEGMENTS_MAX);
	for (size_t i = 0; i < put->count && !rc; i++) {
		const struct segment *s = &put->segments[i].segment;

		if (__builtin_mul_overflow(s->count, (uint64_t)s->element_bytes, &bytes) ||
		    bytes > UINT64_MAX / 4 || all > UINT64_MAX / 4)
			return error_set(err, -EINVAL, "segment '%s' is too large", s->name);
		all += size_round_up(bytes, SET_ALIGN);
		if (put->kind == SET_INCREMENT)
			rc = ranges_check(&put->segments[i], put->block_bytes, err);
	}
	return rc;
}

static void plan_extents(struct put *put)
{
	struct table_extent *extent = put->table.extents;
	uint64_t offset = 0, blocks = 0;
	struct segment_range range;

	for (size_t i = 0; i < put->count; i++) {
		put->table.segment_ids[i] = table_segment_id(&put->segments[i].segment);
		for (size_t n = 0; extent_at(put, &put->segments[i], n, &range); n++) {
			*extent++ = (struct table_extent){
				.segment = (uint32_t)i,
				.offset = range.offset,
				.bytes = range.bytes,
				.set_offset = offset,
				.first_block = blocks,
			};
			blocks += table_blocks(range.bytes, put->block_bytes);
			offset += size_round_up(range.bytes, SET_ALIGN);
		}
	}
}

/* Gives every extent its place in the set, and the table its size. */
static int put_plan(struct put *put, uint32_t rank, struct error *err)
{
	uint64_t offset = 0, blocks = 0, extents = 0;
	struct segment_range range;
	int rc = segments_check(put, err);

	if (rc)
		return rc;
	for (size_t i = 0; i < put->count; i++) {
		for (size_t n = 0; extent_at(put, &put->segments[i], n, &range); n++) {
			extents++;
			blocks += table_blocks(range.bytes, put->block_bytes);
			offset += size_round_up(range.bytes, SET_ALIGN);
		}
	}
	put->info = (struct set_info){
		.epoch = put->epoch,
		.kind = put->kind,
		.segment_count = (uint32_t)put->count,
		.data_bytes = offset,
		.table_offset = offset,
		.table_bytes = table_size((uint32_t)put->count, extents, blocks),
		.block_bytes = put->block_bytes,
	};
	free(put->table_buffer);
	put->table_buffer = calloc(1, put->info.table_bytes);
	if (!put->table_buffer)
		return error_nomem(err, "the table of a set");
	put->table = table_init(put->table_buffer, put->block_bytes, (uint32_t)put->count, extents, blocks);
	put->table.header->epoch = put->epoch;
	put->table.header->rank = rank;
	plan_extents(put);
	return 0;
}

static uint64_t put_size(const struct put *put)
{
	return put->info.table_offset + put->info.table_bytes;
}

/* ---- the data ---- */

/* The i-th piece of memory that data is sent from; 0 bytes: nothing is. */
static struct client_memory put_memory(const struct put *put, const struct client_memory *of_source, size_t i)
{
	const struct client_segment *s = &put->segments[i];
	struct segment_range range;

	if (of_source)
		return of_source[i];
	return (struct client_memory){s->at, extent_at(put, s, 0, &range) ? segment_bytes(&s->segment) : 0, s->held};
}

static int put_register(struct client *client, struct put *put, struct error *err)
{
	const struct client_memory *of_source = NULL;
	size_t count = put->count;
	int rc = 0;

	if (put->source)
		of_source = put->source->memory(put->source->arg, &count);
	put->registrations = calloc(count + 1, sizeof(*put->registrations));
	if (!put->registrations)
		return error_nomem(err, "registrations");
	put->registration_count = count + 1;
	for (size_t i = 0; i < count && !rc; i++) {
		struct client_memory memory = put_memory(put, of_source, i);

		if (memory.bytes)
			rc = client->net->register_local(client->conn, memory.at, memory.bytes,
							 NET_SOURCE | (memory.held ? NET_KEEP : 0),
							 &put->registrations[i], err);
	}
	if (!rc)
		rc = client->net->register_local(client->conn, put->table_buffer, put->info.table_bytes,
						 NET_SOURCE, &put->registrations[count], err);
	return rc;
}

static void put_unregister(struct client *client, struct put *put)
{
	for (size_t i = 0; i < put->registration_count; i++) {
		if (put->registrations[i] && client->conn)
			client->net->unregister_local(client->conn, put->registrations[i]);
	}
	free(put->registrations);
	put->registrations = NULL;
	put->registration_count = 0;
}

/* The checksum of a block, which lies at `at`, and which the caller may know. */
static uint64_t block_checksum(const struct put *put, const struct client_segment *s, uint64_t offset, const void *at,
			       uint64_t bytes)
{
	uint64_t *known = s->checksums ? &s->checksums[offset / put->block_bytes] : NULL;
	uint64_t sum = known ? *known : 0;

	if (!sum)
		sum = checksum(at, bytes);
	if (known)
		*known = sum;
	return sum;
}

/* Does the data plane make the extent's checksums? */
static bool extent_moved_hashed(const struct put *put, const struct table_extent *extent)
{
	return put->moved_hashed && !put->segments[extent->segment].checksums;
}

/* Where the data plane puts those from `done` bytes of the extent on; NULL: it makes none. */
static uint64_t *extent_sums(const struct put *put, const struct table_extent *extent, uint64_t done)
{
	return extent_moved_hashed(put, extent)
		       ? put->table.checksums + extent->first_block + done / put->block_bytes
		       : NULL;
}

struct block {
	const struct client_segment *segment;
	uint64_t offset, bytes; /* of the segment */
	uint64_t *sum;
};

/* The next one that is nobody's yet; false: there are none. With the lock. */
static bool put_next_block(struct put *put, struct block *block)
{
	for (; put->hashed_extents < put->table.header->extent_count; put->hashed_extents++, put->hashed_bytes = 0) {
		const struct table_extent *extent = &put->table.extents[put->hashed_extents];
		uint64_t from = put->hashed_bytes, left = extent->bytes - from;

		if (!left)
			continue;
		*block = (struct block){
			.segment = &put->segments[extent->segment],
			.offset = extent->offset + from,
			.bytes = left < put->block_bytes ? left : put->block_bytes,
			.sum = &put->table.checksums[extent->first_block + from / put->block_bytes],
		};
		put->hashed_bytes += block->bytes;
		return true;
	}
	return false;
}

/* Checksums the next block; false: all are done, or being done by the other thread. */
static bool put_hash_block(struct put *put)
{
	struct block block;
	bool more;

	pthread_mutex_lock(&put->lock);
	more = put_next_block(put, &block);
	pthread_mutex_unlock(&put->lock);
	if (more)
		*block.sum = block_checksum(put, block.segment, block.offset,
					    (const uint8_t *)block.segment->at + block.offset, block.bytes);
	return more;
}

static void *put_help(void *arg)
{
	struct put *put = arg;

	while (!atomic_load(&put->abandoned) && put_hash_block(put))
		continue;
	return NULL;
}

/* Where a device sends, and another processor is free, sending need not wait for checksums at all. */
static void put_help_begin(struct put *put, unsigned threads)
{
	atomic_store(&put->abandoned, false);
	put->hashed_extents = put->hashed_bytes = 0;
	put->helped = threads > 1 && !put->source && !put->moved_hashed && put->info.data_bytes >= HELP_BYTES &&
		      !thread_begin(&put->helper, put_help, put);
}

static void put_help_end(struct put *put)
{
	if (put->helped)
		pthread_join(put->helper, NULL);
	put->helped = false;
}

/* `checksums` are those of blocks of `block_bytes`, or NULL. */
static int put_bytes(struct mover *mover, const struct net_key *key, uint8_t *at, uint64_t offset,
		     uint64_t bytes, uint64_t *checksums, uint64_t block_bytes, struct error *err)
{
	size_t chunk = mover_chunk_bytes(mover);
	uint64_t done, n;
	int rc;

	if (checksums)
		chunk -= chunk % block_bytes;
	for (done = 0; done < bytes; done += n) {
		struct net_piece piece = {at + done, offset + done, 0, NULL};

		n = bytes - done;
		if (n > chunk)
			n = chunk;
		piece.bytes = n;
		if (checksums)
			piece.checksums = checksums + done / block_bytes;
		rc = mover_start(mover, key, true, &piece, NULL, err);
		if (rc)
			return rc;
		TEST_POINT("client.put.mid-write");
	}
	return 0;
}

/* Makes the set durable, where that is this end's part. The seal is the table's magic: COMMIT looks
 * for it, so that no set is published whose flush was left out. */
static int put_persist(struct client *client, struct put *put, const struct net_key *key, const struct net_seal *seal,
		       struct error *err)
{
	int rc;

	if (client->persist == PERSIST_SERVER)
		return 0;
	TEST_POINT("client.put.before-persist");
	rc = client->net->persist_range(client->conn, key, client->persist, put_size(put), seal,
					session_deadline(client, put_size(put)), err);
	if (!rc)
		return 0;
	/* The lost connection may be all that there is to it; then the server's way is as right. */
	log_warning("rank %u: epoch %llu was not made durable by '%s': %s; from now on the server does it",
		    client->identity.rank, (unsigned long long)put->epoch, persist_name(client->persist), err->text);
	client->persist_failed = true;
	return -ECONNRESET;
}

/* The table goes last, when all checksums are made; of a small set it all goes in one transfer. */
static int put_table(struct client *client, struct put *put, struct mover *mover, const struct net_key *key,
		     struct error *err)
{
	struct net_seal seal = {.offset = put->info.table_offset};
	struct net_limits limits;
	bool seals;
	int rc = 0;

	if (put->helped)
		rc = mover_flush(mover, err);
	while (!rc && put->helped && put_hash_block(put))
		continue;
	if (!rc)
		put_help_end(put);
	if (!rc && put->moved_hashed)
		rc = mover_drain(mover, err);
	if (rc)
		return rc;
	put->info.table_digest = checksum(put->table_buffer, put->info.table_bytes);
	client->net->limits(client->conn, &limits);
	seals = client->persist == PERSIST_FLUSH && limits.seals;
	memcpy(seal.bytes, put->table_buffer, sizeof(seal.bytes));
	if (seals)
		memset(put->table_buffer, 0, sizeof(seal.bytes));
	rc = put_bytes(mover, key, put->table_buffer, put->info.table_offset, put->info.table_bytes, NULL, 0,
		       err);
	if (!rc)
		rc = mover_drain(mover, err);
	memcpy(put->table_buffer, seal.bytes, sizeof(seal.bytes));
	return rc ? rc : put_persist(client, put, key, seals ? &seal : NULL, err);
}

/* ---- pieces of it ---- */

/* What was taken, and is shipped, is given back. */
static int put_moved(void *arg, const struct net_piece *piece, void *context, struct error *err)
{
	const struct put *put = arg;
	uintptr_t at = (uintptr_t)piece->local, table = (uintptr_t)put->table_buffer;

	(void)context;
	(void)err;
	if (put->source && (at < table || at - table >= put->info.table_bytes))
		put->source->give(put->source->arg, piece->local, piece->bytes);
	return 0;
}

/* The memory that *bytes of the extent from `done` on are sent from, or of fewer. */
static int put_take(const struct put *put, struct mover *mover, const struct table_extent *extent, uint64_t done,
		    uint64_t *bytes, void **at, struct error *err)
{
	const struct client_source *source = put->source;
	uint64_t wanted = *bytes, offset = extent->offset + done;
	int rc;

	if (!source) {
		*at = (uint8_t *)put->segments[extent->segment].at + offset;
		return 0;
	}
	while ((rc = source->take(source->arg, extent->segment, offset, bytes, at, err)) == -EAGAIN) {
		rc = mover_wait(mover, err);
		if (rc)
			return rc;
		*bytes = wanted;
	}
	return rc;
}

/* Of what is being sent, which the caches have then, unless a device does it. */
static void put_hash_piece(struct put *put, const struct table_extent *extent, uint64_t done, const uint8_t *at,
			   uint64_t bytes)
{
	uint64_t *sum = &put->table.checksums[extent->first_block + done / put->block_bytes];

	for (uint64_t from = 0, n; from < bytes; from += n) {
		n = bytes - from < put->block_bytes ? bytes - from : put->block_bytes;
		*sum++ = block_checksum(put, &put->segments[extent->segment], extent->offset + done + from, at + from, n);
	}
}

/* Whole blocks; from a source few enough to be one thread's to copy: the application has the other processors. */
static uint64_t put_piece_bytes(const struct put *put, const struct mover *mover)
{
	uint64_t most = mover_chunk_bytes(mover);

	if (put->source && most > TAKE_BYTES)
		most = TAKE_BYTES;
	most -= most % put->block_bytes;
	return most < put->block_bytes ? put->block_bytes : most;
}

static int put_extent(struct put *put, struct mover *mover, const struct net_key *key,
		      const struct table_extent *extent, struct error *err)
{
	uint64_t most = put_piece_bytes(put, mover), n;
	const bool hashes = !put->helped && !extent_moved_hashed(put, extent);
	const bool first = most > mover_chunk_bytes(mover); /* several transfers: not all are given back at once */
	void *at;
	int rc = 0;

	for (uint64_t done = 0; done < extent->bytes && !rc; done += n) {
		n = extent->bytes - done < most ? extent->bytes - done : most;
		rc = put_take(put, mover, extent, done, &n, &at, err);
		if (!rc && hashes && first)
			put_hash_piece(put, extent, done, at, n);
		if (!rc)
			rc = put_bytes(mover, key, at, extent->set_offset + done, n, extent_sums(put, extent, done),
				       put->block_bytes, err);
		if (!rc && hashes && !first)
			put_hash_piece(put, extent, done, at, n);
	}
	return rc;
}

static int put_write(struct client *client, struct put *put, const struct wire_grant *grant,
		     struct error *err)
{
	const struct table_extent *extent = put->table.extents;
	struct mover *mover = NULL;
	int rc;

	rc = mover_new(client->net, client->conn, client->options.timeout_ms, put->block_bytes, put_moved, put, &mover, err);
	if (!rc) {
		put->moved_hashed = mover_checksums(mover, put->block_bytes);
		put_help_begin(put, mover_hashed(mover) ? 1 : client->options.threads);
		mover_pace(mover, client->options.pace_bytes);
	}
	for (; extent < put->table.extents + put->table.header->extent_count && !rc; extent++)
		rc = put_extent(put, mover, &grant->key, extent, err);
	if (!rc)
		rc = put_table(client, put, mover, &grant->key, err);
	atomic_store(&put->abandoned, true);
	put_help_end(put);
	if (rc)
		session_drop(client); /* before the memory of what is in flight goes */
	mover_free(mover);
	return rc;
}

/* The server has merged sets: these epochs are left. */
static void sets_keep(struct client *client, const uint64_t *epochs, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < client->set_count; i++) {
		for (size_t k = 0; k < count; k++) {
			if (client->sets[i].epoch != epochs[k])
				continue;
			client->sets[kept++] = client->sets[i];
			break;
		}
	}
	client->set_count = kept;
}

static int put_commit(struct client *client, struct put *put, uint64_t grant, struct error *err)
{
	struct wire_commit commit = {.grant = grant, .set = {.info = put->info}};
	struct wire_commit_reply reply = {0};
	int rc;

	commit.set.segments = calloc(put->count + 1, sizeof(*commit.set.segments));
	if (!commit.set.segments)
		return error_nomem(err, "the layout of a set");
	for (size_t i = 0; i < put->count; i++)
		commit.set.segments[i] = put->segments[i].segment;
	put->committed = true;
	rc = control_call(&client->control, WIRE_COMMIT, wire_commit_fields, &commit, wire_commit_reply_fields,
			  &reply, session_deadline(client, put->info.data_bytes), err);
	free(commit.set.segments);
	if (!rc) {
		client->log_room = reply.log_room;
		client->chain = reply.chain;
	}
	if (!rc && reply.epoch_count)
		sets_keep(client, reply.epochs, reply.epoch_count);
	free(reply.epochs);
	return rc;
}

/* The list of sets, as BEGIN and COMMIT change it. */
static void sets_remove(struct client *client, uint64_t first, uint64_t last)
{
	size_t kept = 0;

	for (size_t i = 0; i < client->set_count; i++) {
		if (client->sets[i].epoch < first || client->sets[i].epoch > last)
			client->sets[kept++] = client->sets[i];
	}
	client->set_count = kept;
}

static void sets_add(struct client *client, const struct set_info *info)
{
	struct set_info *sets = realloc(client->sets, (client->set_count + 2) * sizeof(*sets));

	if (sets)
		client->sets = sets;
	/* Without memory for the next one there still is room for this. */
	client->sets[client->set_count] = *info;
	client->sets[client->set_count].generation = client->generation;
	client->set_count += sets != NULL;
}

/* Did an earlier attempt publish the set, and only its reply was lost? */
static bool put_is_there(const struct client *client, const struct put *put)
{
	for (size_t i = 0; i < client->set_count && put->committed; i++) {
		if (client->sets[i].epoch == put->epoch &&
		    client->sets[i].table_digest == put->info.table_digest)
			return true;
	}
	return false;
}

/* ---- an attempt ---- */

static int put_begin(struct client *client, struct put *put, struct wire_begin_reply *begun, struct error *err)
{
	struct wire_begin begin = {
		.epoch = put->epoch,
		.kind = put->kind,
		.keep = put->keep,
		.bytes = put_size(put),
		.block_bytes = put->block_bytes,
		.persist = client->persist,
	};

	return control_call(&client->control, WIRE_BEGIN, wire_begin_fields, &begin, wire_begin_reply_fields, begun,
			    session_deadline(client, SLOTS_MAX * begin.bytes), err);
}

static int put_become_full(struct client *client, struct put *put, struct error *err)
{
	put->kind = SET_FULL;
	return put_plan(put, client->identity.rank, err);
}

/* Is the set that an increment would follow there, with blocks of the same size? */
static bool put_can_follow(const struct client *client, const struct put *put)
{
	for (size_t i = 0; i < client->set_count; i++) {
		if (client->sets[i].epoch == put->keep)
			return client->sets[i].block_bytes == put->block_bytes;
	}
	return false;
}

/* An increment that has no room, or nothing that it could follow, becomes a full set. */
static int put_begin_either(struct client *client, struct put *put, struct wire_begin_reply *begun,
			    struct error *err)
{
	int rc = 0;

	if (put->kind == SET_INCREMENT) {
		rc = -ENOSPC;
		if (put_size(put) <= client->log_room && put_can_follow(client, put))
			rc = put_begin(client, put, begun, err);
		if (rc != -ENOSPC && rc != -ENOENT)
			return rc;
		if (put->source)
			return error_set(err, rc, "the server's log cannot take this increment, and what has not "
					 "changed is not at hand for a full set");
		rc = put_become_full(client, put, err);
	}
	return rc ? rc : put_begin(client, put, begun, err);
}

static int put_attempt(struct client *client, void *arg, struct error *err)
{
	struct wire_begin_reply begun = {0};
	struct put *put = arg;
	struct wire_abort abort = {put->epoch};
	int rc;

	if (put_is_there(client, put))
		return 0;
	rc = put->source ? put->source->begin(put->source->arg, err) : 0;
	if (!rc)
		rc = put_begin_either(client, put, &begun, err);
	if (rc)
		return rc;
	TEST_POINT("client.put.after-begin");
	sets_remove(client, begun.withdrawn_first, begun.withdrawn_last);
	if (client->identity.mode == REGION_APPEND)
		sets_remove(client, put->keep + 1, UINT64_MAX);
	rc = put_register(client, put, err);
	if (rc) {
		put_unregister(client, put);
		control_call(&client->control, WIRE_ABORT, wire_abort_fields, &abort,
			     wire_nothing_fields, NULL, session_deadline(client, 0), NULL);
		return rc;
	}
	rc = put_write(client, put, &begun.grant, err);
	put_unregister(client, put);
	if (rc)
		return rc;
	TEST_POINT("client.put.before-commit");
	rc = put_commit(client, put, begun.grant.grant, err);
	if (rc)
		return rc;
	TEST_POINT("client.put.after-commit");
	sets_add(client, &put->info);
	return 0;
}

int client_put_from(struct client *client, uint64_t epoch, uint64_t keep, enum set_kind *kind,
		    const struct client_segment *segments, size_t count, const struct client_source *source,
		    struct error *err)
{
	struct put put = {
		.epoch = epoch,
		.keep = keep,
		.block_bytes = client->options.block_bytes,
		.kind = kind ? *kind : SET_FULL,
		.segments = segments,
		.count = count,
		.source = source,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	int rc = put_plan(&put, client->identity.rank, err);

	if (!rc)
		rc = session_retry(client, put_attempt, &put, err);
	if (!rc && kind)
		*kind = put.kind;
	free(put.table_buffer);
	return rc;
}

int client_put(struct client *client, uint64_t epoch, uint64_t keep, enum set_kind *kind,
	       const struct client_segment *segments, size_t count, struct error *err)
{
	return client_put_from(client, epoch, keep, kind, segments, count, NULL, err);
}

bool client_can_increment(const struct client *client, uint64_t keep, const struct client_segment *segments,
			  size_t count)
{
	struct put put = {
		.keep = keep,
		.block_bytes = client->options.block_bytes,
		.kind = SET_INCREMENT,
		.segments = segments,
		.count = count,
	};
	bool can = !put_plan(&put, client->identity.rank, NULL) && put_size(&put) <= client->log_room &&
		   put_can_follow(client, &put);

	free(put.table_buffer);
	return can;
}
