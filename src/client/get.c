/* SPDX-License-Identifier: BSD-3-Clause */
/* get.c - reading a set: READ, its table, then one-sided reads, each block checked as it arrives. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "client/mover.h"
#include "client/session.h"
#include "common/memory.h"
#include "wire/table.h"

struct get {
	uint32_t rank;
	uint64_t epoch;
	/* whole segments */
	const struct client_segment *segments;
	size_t count;
	/* or a range of one */
	const char *name;
	uint64_t offset, bytes;
	uint8_t *into;
	/* or the layout alone */
	bool layout_only;

	struct wire_read_reply set;
	struct table table;
	void *table_buffer;
};

static int find_segment(const struct get *get, const char *name)
{
	for (uint32_t i = 0; i < get->set.set.info.segment_count; i++) {
		if (!strcmp(get->set.set.segments[i].name, name))
			return (int)i;
	}
	return -ENOMSG;
}

static int check_wanted(const struct get *get, const struct segment *wanted, struct error *err)
{
	int i = find_segment(get, wanted->name);
	const struct segment *stored = i < 0 ? NULL : &get->set.set.segments[i];

	if (!stored)
		return error_set(err, -ENOMSG, "epoch %llu of rank %u has no segment '%s'",
				 (unsigned long long)get->epoch, get->rank, wanted->name);
	if (stored->type != wanted->type || stored->element_bytes != wanted->element_bytes ||
	    stored->count != wanted->count)
		return error_set(err, -ENOMSG,
				 "segment '%s' of rank %u has %llu elements of %u bytes (type %u) in epoch "
				 "%llu, but %llu of %u bytes (type %u) are protected",
				 wanted->name, get->rank, (unsigned long long)stored->count,
				 stored->element_bytes, stored->type, (unsigned long long)get->epoch,
				 (unsigned long long)wanted->count, wanted->element_bytes, wanted->type);
	return 0;
}

static int move_bytes(struct mover *mover, uint8_t *into, uint64_t offset, uint64_t bytes, void *context,
		      struct error *err)
{
	uint64_t done, n;
	int rc = 0;

	for (done = 0; done < bytes && !rc; done += n) {
		n = bytes - done;
		if (n > mover_chunk_bytes(mover))
			n = mover_chunk_bytes(mover);
		memory_populate(into + done, n); /* while what was asked for before is under way */
		rc = mover_start(mover, false, into + done, offset + done, n, context, err);
	}
	return rc;
}

/* ---- checking ---- */

static int block_check(void *arg, const struct net_transfer *transfer, struct error *err)
{
	const struct table_extent *extent = transfer->context;
	struct get *get = arg;
	uint64_t in_extent, first, bad = 0;

	if (!extent)
		return 0; /* the table, which its digest covers */
	in_extent = transfer->offset - extent->set_offset;
	first = extent->first_block + in_extent / SET_BLOCK_BYTES;
	if (!table_compare(&get->table, first, transfer->local, transfer->bytes, &bad))
		return 0;
	return error_set(err, -EILSEQ,
			 "segment '%s' of rank %u is damaged in epoch %llu, from byte %llu on (checksum)",
			 get->set.set.segments[extent->segment].name, get->rank,
			 (unsigned long long)get->epoch,
			 (unsigned long long)(extent->offset +
					      (bad - extent->first_block) * SET_BLOCK_BYTES));
}

/* In a full set each segment that is not empty is one extent, whole. */
static int check_extents(const struct get *get, struct error *err)
{
	const struct wire_set *set = &get->set.set;
	uint64_t next = 0;

	for (uint32_t i = 0; i < set->info.segment_count; i++) {
		const struct segment *s = &set->segments[i];
		const struct table_extent *extent = &get->table.extents[next];
		uint64_t bytes;

		if (__builtin_mul_overflow(s->count, (uint64_t)s->element_bytes, &bytes))
			return error_set(err, -EILSEQ, "segment '%s' has an impossible size", s->name);
		if (!bytes)
			continue;
		if (next == get->table.header->extent_count || extent->segment != i || extent->offset ||
		    extent->bytes != bytes)
			return error_set(err, -EILSEQ, "the table of epoch %llu of rank %u does not cover "
					 "segment '%s'", (unsigned long long)get->epoch, get->rank, s->name);
		next++;
	}
	return 0;
}

static const struct table_extent *extent_of(const struct get *get, uint32_t segment)
{
	for (uint64_t i = 0; i < get->table.header->extent_count; i++) {
		if (get->table.extents[i].segment == segment)
			return &get->table.extents[i];
	}
	return NULL; /* it is empty */
}

/* ---- reading ---- */

static int read_table(struct client *client, struct get *get, struct mover *mover, struct error *err)
{
	const struct set_info *info = &get->set.set.info;
	void *registration = NULL;
	int rc;

	rc = table_check_info(info, get->set.grants[0].key.bytes, err);
	if (rc)
		return rc;
	get->table_buffer = malloc(info->table_bytes);
	if (!get->table_buffer)
		return error_nomem(err, "the table of a set");
	rc = client->net->register_local(client->conn, get->table_buffer, info->table_bytes,
					 &registration, err);
	if (rc)
		return rc;
	rc = move_bytes(mover, get->table_buffer, info->table_offset, info->table_bytes, NULL, err);
	if (!rc)
		rc = mover_drain(mover, err);
	if (rc)
		return rc; /* the connection goes, and the registration with it */
	client->net->unregister_local(client->conn, registration);
	rc = table_open(get->table_buffer, info, get->rank, &get->table, err);
	if (!rc)
		rc = check_extents(get, err);
	return rc == -EUCLEAN ? -EILSEQ : rc;
}

static int read_segments(struct client *client, struct get *get, struct mover *mover,
			 void **registrations, struct error *err)
{
	const struct table_extent *extent;
	int rc = 0;

	for (size_t i = 0; i < get->count && !rc; i++) {
		const struct client_segment *wanted = &get->segments[i];

		extent = wanted->at ? extent_of(get, (uint32_t)find_segment(get, wanted->segment.name))
				    : NULL;
		if (!extent)
			continue;
		rc = client->net->register_local(client->conn, wanted->at, extent->bytes,
						 &registrations[i], err);
		if (!rc)
			rc = move_bytes(mover, wanted->at, extent->set_offset, extent->bytes,
					(void *)(uintptr_t)extent, err);
	}
	return rc ? rc : mover_drain(mover, err);
}

static int read_all(struct client *client, struct get *get, struct mover *mover, struct error *err)
{
	void **registrations = calloc(get->count + 1, sizeof(*registrations));
	int rc;

	if (!registrations)
		return error_nomem(err, "registrations");
	rc = read_segments(client, get, mover, registrations, err);
	for (size_t i = 0; i < get->count && !rc; i++) {
		if (registrations[i])
			client->net->unregister_local(client->conn, registrations[i]);
	}
	free(registrations);
	return rc;
}

/* A range comes by way of a buffer: what is checked are whole blocks. */
static int read_range(struct client *client, struct get *get, struct mover *mover, struct error *err)
{
	int i = find_segment(get, get->name);
	const struct table_extent *extent = i < 0 ? NULL : extent_of(get, (uint32_t)i);
	uint64_t from = get->offset, end, start, n, take;
	void *registration = NULL;
	uint8_t *buffer;
	int rc = 0;

	if (i < 0 || get->bytes > UINT64_MAX - get->offset ||
	    get->offset + get->bytes > (extent ? extent->bytes : 0))
		return error_set(err, -ENOMSG, "epoch %llu of rank %u has no bytes %llu to %llu in '%s'",
				 (unsigned long long)get->epoch, get->rank,
				 (unsigned long long)get->offset,
				 (unsigned long long)(get->offset + get->bytes), get->name);
	end = get->offset + get->bytes;
	buffer = malloc(mover_chunk_bytes(mover));
	if (!buffer)
		return error_nomem(err, "a buffer");
	rc = client->net->register_local(client->conn, buffer, mover_chunk_bytes(mover), &registration,
					 err);
	while (!rc && from < end) {
		start = from / SET_BLOCK_BYTES * SET_BLOCK_BYTES;
		n = extent->bytes - start;
		if (n > mover_chunk_bytes(mover))
			n = mover_chunk_bytes(mover);
		rc = mover_start(mover, false, buffer, extent->set_offset + start, n,
				 (void *)(uintptr_t)extent, err);
		if (!rc)
			rc = mover_drain(mover, err);
		if (rc)
			break;
		take = start + n < end ? start + n - from : end - from;
		memcpy(get->into + (from - get->offset), buffer + (from - start), take);
		from += take;
	}
	if (rc)
		session_drop(client); /* before the buffer goes */
	else
		client->net->unregister_local(client->conn, registration);
	free(buffer);
	return rc;
}

static int get_move(struct client *client, struct get *get, struct error *err)
{
	static const struct mover_calls calls = {.done = block_check};
	struct mover *mover = NULL;
	int rc;

	rc = mover_new(client->net, client->conn, &get->set.grants[0].key, client->options.timeout_ms,
		       &calls, get, &mover, err);
	if (!rc)
		rc = read_table(client, get, mover, err);
	if (!rc)
		rc = get->into ? read_range(client, get, mover, err) : read_all(client, get, mover, err);
	if (rc)
		session_drop(client); /* nothing may still arrive in the application's memory */
	mover_free(mover);
	return rc;
}

static void get_reset(struct get *get)
{
	wire_read_reply_free(&get->set);
	free(get->table_buffer);
	get->table_buffer = NULL;
}

static int get_attempt(struct client *client, void *arg, struct error *err)
{
	struct get *get = arg;
	struct wire_read read = {get->rank, get->epoch, get->layout_only};
	struct wire_close close;
	struct error ignored;
	int rc;

	get_reset(get);
	rc = control_call(&client->control, WIRE_READ, wire_read_fields, &read, wire_read_reply_fields,
			  &get->set, session_deadline(client, 0), err);
	if (rc || get->layout_only)
		return rc;
	if (get->set.grant_count != 1 || get->set.part_count != 1 || get->set.parts[0].place)
		return error_set(err, -EBADMSG, "the server's answer to READ makes no sense");
	for (size_t i = 0; i < get->count && !rc; i++) {
		if (get->segments[i].at || !get->segments[i].segment.count)
			rc = check_wanted(get, &get->segments[i].segment, err);
	}
	if (!rc)
		rc = get_move(client, get, err);
	close.grant = get->set.grants[0].grant;
	if (client->attached)
		control_call(&client->control, WIRE_CLOSE, wire_close_fields, &close,
			     wire_nothing_fields, NULL, session_deadline(client, 0), &ignored);
	return rc;
}

int client_layout(struct client *client, uint32_t rank, uint64_t epoch, struct segment **segments,
		  size_t *count, struct error *err)
{
	struct get get = {.rank = rank, .epoch = epoch, .layout_only = true};
	int rc = session_retry(client, get_attempt, &get, err);

	if (!rc) {
		*segments = get.set.set.segments;
		*count = get.set.set.info.segment_count;
		get.set.set.segments = NULL;
	}
	get_reset(&get);
	return rc;
}

int client_get(struct client *client, uint32_t rank, uint64_t epoch,
	       const struct client_segment *segments, size_t count, struct error *err)
{
	struct get get = {.rank = rank, .epoch = epoch, .segments = segments, .count = count};
	int rc = session_retry(client, get_attempt, &get, err);

	get_reset(&get);
	return rc;
}

int client_get_range(struct client *client, uint32_t rank, uint64_t epoch, const char *name,
		     uint64_t offset, void *into, uint64_t bytes, struct error *err)
{
	struct get get = {
		.rank = rank,
		.epoch = epoch,
		.name = name,
		.offset = offset,
		.bytes = bytes,
		.into = into,
	};
	int rc = session_retry(client, get_attempt, &get, err);

	get_reset(&get);
	return rc;
}
