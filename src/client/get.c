/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * get.c - reading an epoch: READ, the tables of its chain, then one-sided reads of each byte from the newest set that
 * has it, each block checked as it arrives.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "client/mover.h"
#include "client/session.h"
#include "common/memory.h"
#include "common/size.h"
#include "common/testpoint.h"
#include "wire/chain.h"

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
	uint8_t *table_buffer; /* all of the chain's */
	struct table *tables;
	struct chain_piece *pieces;
	size_t piece_count;
	uint64_t block_bytes; /* of all sets of the chain */
	/* Of one transfer: whole blocks where there is room for one. Smaller ones are checked when all are there. */
	size_t step_bytes;
	uint64_t *checksums; /* as the data plane makes them, of the parts one behind the other; NULL: it does not */
	uint64_t *first_checksum; /* of each part */
	uint8_t *buffer; /* for ranges */
};

/* Both sides mostly have the same segments in the same order. */
static int find_segment(const struct get *get, const char *name, size_t guess)
{
	if (guess < get->set.set.info.segment_count && !strcmp(get->set.set.segments[guess].name, name))
		return (int)guess;
	for (uint32_t i = 0; i < get->set.set.info.segment_count; i++) {
		if (!strcmp(get->set.set.segments[i].name, name))
			return (int)i;
	}
	return -ENOMSG;
}

static int check_wanted(const struct get *get, size_t at, struct error *err)
{
	const struct segment *wanted = &get->segments[at].segment;
	int i = find_segment(get, wanted->name, at);
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

/* ---- checking ---- */

/* `bytes` at `data`, with these checksums (NULL: not made yet), are of the piece, from `offset` of the segment on: whole
 * blocks. */
static int piece_compare(const struct get *get, const struct chain_piece *piece, uint64_t offset, const void *data,
			 const uint64_t *checksums, uint64_t bytes, struct error *err)
{
	const struct table *table = &get->tables[piece->set];
	uint64_t first = piece->first_block + (offset - piece->offset) / get->block_bytes, bad = 0;

	if (!(checksums ? table_compare_checksums(table, first, checksums, bytes, &bad)
			: table_compare(table, first, data, bytes, &bad)))
		return 0;
	return error_set(err, -EILSEQ,
			 "segment '%s' of rank %u is damaged in epoch %llu, from byte %llu on (checksum; as written in "
			 "epoch %llu)",
			 get->set.set.segments[piece->segment].name, get->rank, (unsigned long long)get->epoch,
			 (unsigned long long)(piece->offset + (bad - piece->first_block) * get->block_bytes),
			 (unsigned long long)get->set.parts[piece->set].info.epoch);
}

static bool check_at_once(const struct get *get)
{
	return get->step_bytes >= get->block_bytes;
}

static int piece_arrived(void *arg, const struct net_piece *moved, void *context, struct error *err)
{
	const struct chain_piece *piece = context;
	const struct get *get = arg;
	uint64_t in_piece;

	if (!piece || !check_at_once(get))
		return 0; /* a table, which its digest covers; or what is checked when all is there */
	in_piece = moved->offset - get->set.parts[piece->set].place - piece->set_offset;
	return piece_compare(get, piece, piece->offset + in_piece, moved->local, moved->checksums, moved->bytes, err);
}

/* ---- moving ---- */

/* Starts to read `bytes` of a part from its `offset` on. */
static int move_bytes(struct get *get, struct mover *mover, uint32_t set, uint64_t offset, uint8_t *into, uint64_t bytes,
		      const struct chain_piece *piece, struct error *err)
{
	const struct wire_part *part = &get->set.parts[set];
	uint64_t done, n;
	int rc = 0;

	for (done = 0; done < bytes && !rc; done += n) {
		struct net_piece moved = {into + done, part->place + offset + done, 0, NULL};

		n = bytes - done;
		if (n > get->step_bytes)
			n = get->step_bytes;
		moved.bytes = n;
		if (piece && get->checksums)
			moved.checksums = get->checksums + get->first_checksum[set] + piece->first_block +
					  (offset + done - piece->set_offset) / get->block_bytes;
		TEST_POINT("client.get.mid-read");
		rc = mover_start(mover, &get->set.grants[part->grant].key, false, &moved, (void *)(uintptr_t)piece, err);
	}
	return rc;
}

/* Starts to read bytes [from, from + bytes) of the piece's segment, which are the piece's. */
static int move_piece(struct get *get, struct mover *mover, const struct chain_piece *piece, uint64_t from,
		      uint8_t *into, uint64_t bytes, struct error *err)
{
	return move_bytes(get, mover, piece->set, piece->set_offset + (from - piece->offset), into, bytes, piece, err);
}

/* ---- tables ---- */

/* A server's word, too, is checked: a base, then increments, each within what its grant exposes. */
static int check_parts(struct get *get, uint64_t *table_bytes, struct error *err)
{
	const struct wire_read_reply *set = &get->set;
	const struct wire_part *last = &set->parts[set->part_count - 1];
	uint64_t epoch = 0;
	int rc;

	*table_bytes = 0;
	if (!set->grant_count || !set->part_count || last->info.epoch != get->epoch ||
	    last->info.table_digest != set->set.info.table_digest ||
	    last->info.segment_count != set->set.info.segment_count)
		return error_set(err, -EBADMSG, "the server's answer to READ makes no sense");
	for (uint32_t i = 0; i < set->part_count; i++) {
		const struct wire_part *part = &set->parts[i];
		uint64_t exposed = set->grants[part->grant].key.bytes;

		if (part->info.epoch <= epoch || part->info.kind != (i ? SET_INCREMENT : SET_FULL) ||
		    part->place > exposed)
			return error_set(err, -EBADMSG, "epoch %llu of rank %u is no chain of sets",
					 (unsigned long long)get->epoch, get->rank);
		rc = table_check_info(&part->info, exposed - part->place, err);
		if (rc)
			return rc;
		if (part->info.block_bytes != last->info.block_bytes)
			return error_set(err, -EBADMSG, "epoch %llu of rank %u is a chain of sets with blocks of several sizes",
					 (unsigned long long)get->epoch, get->rank);
		epoch = part->info.epoch;
		*table_bytes += size_round_up(part->info.table_bytes, sizeof(uint64_t));
		if (*table_bytes > SIZE_MAX / 2)
			return error_nomem(err, "the tables of a chain");
	}
	get->block_bytes = last->info.block_bytes;
	return 0;
}

static int open_tables(struct get *get, struct error *err)
{
	const struct wire_set *set = &get->set.set;
	uint8_t *at = get->table_buffer;
	int rc = 0;

	for (uint32_t i = 0; i < get->set.part_count && !rc; i++) {
		const struct set_info *info = &get->set.parts[i].info;

		rc = table_open(at, info, get->rank, &get->tables[i], err);
		at += size_round_up(info->table_bytes, sizeof(uint64_t));
	}
	if (!rc)
		rc = chain_resolve(get->tables, get->set.part_count, set->segments, set->info.segment_count,
				   &get->pieces, &get->piece_count, err);
	return rc == -EUCLEAN ? -EILSEQ : rc;
}

static int read_tables(struct client *client, struct get *get, struct mover *mover, struct error *err)
{
	void *registration = NULL;
	uint64_t bytes;
	uint8_t *at;
	int rc;

	rc = check_parts(get, &bytes, err);
	if (rc)
		return rc;
	get->tables = calloc(get->set.part_count, sizeof(*get->tables));
	get->table_buffer = at = malloc(bytes);
	if (!get->tables || !at)
		return error_nomem(err, "the tables of a chain");
	rc = client->net->register_local(client->conn, at, bytes, NET_SINK, &registration, err);
	for (uint32_t i = 0; i < get->set.part_count && !rc; i++) {
		const struct set_info *info = &get->set.parts[i].info;

		rc = move_bytes(get, mover, i, info->table_offset, at, info->table_bytes, NULL, err);
		at += size_round_up(info->table_bytes, sizeof(uint64_t));
	}
	if (!rc)
		rc = mover_drain(mover, err);
	if (rc)
		return rc; /* the connection goes, and the registration with it */
	client->net->unregister_local(client->conn, registration);
	return open_tables(get, err);
}

/* ---- whole segments ---- */

/* For each stored segment: which of the wanted ones it is for; NULL where nobody wants it. */
static const struct client_segment **wanted_by_segment(const struct get *get)
{
	const struct client_segment **wanted = calloc(get->set.set.info.segment_count + 1, sizeof(*wanted));
	int segment;

	for (size_t i = 0; i < get->count && wanted; i++) {
		segment = get->segments[i].at ? find_segment(get, get->segments[i].segment.name, i) : -1;
		if (segment >= 0)
			wanted[segment] = &get->segments[i];
	}
	return wanted;
}

static int check_pieces(const struct get *get, const struct client_segment *const *wanted, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; i < get->piece_count && !rc; i++) {
		const struct chain_piece *piece = &get->pieces[i];

		if (wanted[piece->segment])
			rc = piece_compare(get, piece, piece->offset,
					   (const uint8_t *)wanted[piece->segment]->at + piece->offset, NULL,
					   piece->bytes, err);
	}
	return rc;
}

/* Sorts by place: the older the set the further in front, and the pieces of one set lie side by side in it. */
static void pieces_sort(const struct get *get, size_t *next, const struct chain_piece **sorted)
{
	for (size_t i = 0; i < get->piece_count; i++)
		next[get->pieces[i].set + 1]++;
	for (uint32_t set = 0; set < get->set.part_count; set++)
		next[set + 1] += next[set];
	for (size_t i = 0; i < get->piece_count; i++)
		sorted[next[get->pieces[i].set]++] = &get->pieces[i];
}

static const struct chain_piece **pieces_by_place(const struct get *get)
{
	const struct chain_piece **sorted = malloc((get->piece_count + 1) * sizeof(*sorted));
	size_t *next = calloc(get->set.part_count + 1, sizeof(*next));

	if (sorted && next) {
		pieces_sort(get, next, sorted);
	} else {
		free(sorted);
		sorted = NULL;
	}
	free(next);
	return sorted;
}

static int read_pieces(struct get *get, struct mover *mover, const struct client_segment *const *wanted,
		       struct error *err)
{
	const struct chain_piece **by_place = pieces_by_place(get);
	int rc = by_place ? 0 : error_nomem(err, "the pieces of a set");

	for (size_t i = 0; i < get->piece_count && !rc; i++) {
		const struct chain_piece *piece = by_place[i];
		const struct client_segment *s = wanted[piece->segment];

		if (s)
			rc = move_piece(get, mover, piece, piece->offset, (uint8_t *)s->at + piece->offset, piece->bytes,
					err);
	}
	free(by_place);
	return rc ? rc : mover_drain(mover, err);
}

static int register_segments(struct client *client, const struct get *get, void **registrations,
			     const struct client_segment *const *wanted, struct error *err)
{
	uint64_t bytes;
	int rc = 0;

	for (uint32_t i = 0; i < get->set.set.info.segment_count && !rc; i++) {
		bytes = wanted[i] ? wanted[i]->segment.count * wanted[i]->segment.element_bytes : 0;
		if (!bytes)
			continue;
		memory_will_fill(wanted[i]->at, bytes);
		rc = client->net->register_local(client->conn, wanted[i]->at, bytes, NET_SINK, &registrations[i], err);
	}
	return rc;
}

static int read_segments(struct client *client, struct get *get, struct mover *mover, void **registrations,
			 const struct client_segment *const *wanted, struct error *err)
{
	int rc = register_segments(client, get, registrations, wanted, err);

	if (!rc)
		rc = read_pieces(get, mover, wanted, err);
	return rc || check_at_once(get) ? rc : check_pieces(get, wanted, err);
}

static int read_all(struct client *client, struct get *get, struct mover *mover, struct error *err)
{
	uint32_t stored = get->set.set.info.segment_count;
	void **registrations = calloc(stored + 1, sizeof(*registrations));
	const struct client_segment **wanted = wanted_by_segment(get);
	int rc;

	rc = registrations && wanted ? read_segments(client, get, mover, registrations, wanted, err)
				     : error_nomem(err, "registrations");
	for (uint32_t i = 0; i < stored && !rc; i++) {
		if (registrations[i])
			client->net->unregister_local(client->conn, registrations[i]);
	}
	free(wanted);
	free(registrations);
	return rc;
}

/* ---- a range ---- */

/* The first piece that has bytes of the segment at or behind `offset`; piece_count where there is none. */
static size_t piece_find(const struct get *get, uint32_t segment, uint64_t offset)
{
	size_t low = 0, high = get->piece_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct chain_piece *piece = &get->pieces[middle];

		if (piece->segment < segment ||
		    (piece->segment == segment && piece->offset + piece->bytes <= offset))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Bytes [start, end) of the segment into the buffer, checked. They are whole blocks. */
static int read_window(struct get *get, struct mover *mover, uint32_t segment, uint64_t start, uint64_t end,
		       struct error *err)
{
	size_t first = piece_find(get, segment, start);
	uint64_t from = start, n;
	int rc = 0;

	for (size_t i = first; from < end && !rc; i++, from += n) {
		n = get->pieces[i].offset + get->pieces[i].bytes - from;
		if (n > end - from)
			n = end - from;
		rc = move_piece(get, mover, &get->pieces[i], from, get->buffer + (from - start), n, err);
	}
	if (!rc)
		rc = mover_drain(mover, err);
	from = start;
	for (size_t i = first; from < end && !rc && !check_at_once(get); i++, from += n) {
		n = get->pieces[i].offset + get->pieces[i].bytes - from;
		if (n > end - from)
			n = end - from;
		rc = piece_compare(get, &get->pieces[i], from, get->buffer + (from - start), NULL, n, err);
	}
	return rc;
}

static int read_windows(struct get *get, struct mover *mover, uint32_t segment, uint64_t segment_bytes, size_t window,
			struct error *err)
{
	uint64_t from = get->offset, end = get->offset + get->bytes, start, n, take;
	int rc;

	for (; from < end; from += take) {
		start = from / get->block_bytes * get->block_bytes;
		n = segment_bytes - start;
		if (n > window)
			n = window;
		rc = read_window(get, mover, segment, start, start + n, err);
		if (rc)
			return rc;
		take = start + n < end ? start + n - from : end - from;
		memcpy(get->into + (from - get->offset), get->buffer + (from - start), take);
	}
	return 0;
}

/* A range comes by way of a buffer: what is checked are whole blocks. */
static int read_range(struct client *client, struct get *get, struct mover *mover, struct error *err)
{
	size_t window = check_at_once(get) ? get->step_bytes : get->block_bytes;
	int i = find_segment(get, get->name, 0);
	const struct segment *segment = i < 0 ? NULL : &get->set.set.segments[i];
	uint64_t stored = segment ? segment->count * segment->element_bytes : 0;
	void *registration = NULL;
	int rc;

	if (i < 0 || get->offset > stored || get->bytes > stored - get->offset)
		return error_set(err, -ENOMSG, "epoch %llu of rank %u has no bytes %llu to %llu in '%s'",
				 (unsigned long long)get->epoch, get->rank,
				 (unsigned long long)get->offset,
				 (unsigned long long)(get->offset + get->bytes), get->name);
	get->buffer = malloc(window);
	if (!get->buffer)
		return error_nomem(err, "a buffer");
	rc = client->net->register_local(client->conn, get->buffer, window, NET_SINK, &registration, err);
	if (!rc)
		rc = read_windows(get, mover, (uint32_t)i, stored, window, err);
	if (!rc)
		client->net->unregister_local(client->conn, registration);
	return rc;
}

/* ---- an attempt ---- */

/* The data plane makes them on the way: one for each block of the chain. */
static int room_for_checksums(struct get *get, struct error *err)
{
	uint64_t count = 0;

	get->first_checksum = calloc(get->set.part_count, sizeof(*get->first_checksum));
	for (uint32_t i = 0; i < get->set.part_count && get->first_checksum; i++) {
		get->first_checksum[i] = count;
		count += get->tables[i].header->block_count;
	}
	get->checksums = calloc(count + 1, sizeof(*get->checksums));
	return get->first_checksum && get->checksums ? 0 : error_nomem(err, "checksums");
}

/* What looks like damage may be a set that is being overwritten, where nobody stops who reads it: then it is asked for
 * again. */
static int judge_damage(struct client *client, const struct get *get, struct error *err)
{
	struct error lost;
	int rc;

	for (uint32_t i = 0; i < get->set.grant_count && client->net->check; i++) {
		rc = client->net->check(client->conn, &get->set.grants[i].key, &lost);
		if (rc) {
			*err = lost;
			return rc;
		}
	}
	return -EILSEQ;
}

static int get_move(struct client *client, struct get *get, struct error *err)
{
	struct mover *mover = NULL;
	int rc;

	rc = mover_new(client->net, client->conn, client->options.timeout_ms, get->set.set.info.block_bytes,
		       piece_arrived, get, &mover, err);
	if (!rc) {
		mover_hashed(mover);
		get->step_bytes = mover_chunk_bytes(mover);
		rc = read_tables(client, get, mover, err);
	}
	if (!rc && check_at_once(get))
		get->step_bytes -= get->step_bytes % get->block_bytes;
	if (!rc && mover_checksums(mover, get->block_bytes))
		rc = room_for_checksums(get, err);
	if (!rc)
		rc = get->into ? read_range(client, get, mover, err) : read_all(client, get, mover, err);
	if (rc == -EILSEQ)
		rc = judge_damage(client, get, err);
	if (rc)
		session_drop(client); /* nothing may still arrive in the application's memory, nor in ours */
	mover_free(mover);
	return rc;
}

static void get_reset(struct get *get)
{
	wire_read_reply_free(&get->set);
	free(get->table_buffer);
	free(get->tables);
	free(get->pieces);
	free(get->checksums);
	free(get->first_checksum);
	free(get->buffer);
	get->checksums = NULL;
	get->first_checksum = NULL;
	get->table_buffer = NULL;
	get->tables = NULL;
	get->pieces = NULL;
	get->buffer = NULL;
}

static void close_grants(struct client *client, const struct get *get)
{
	struct wire_close close;
	struct error ignored;

	for (uint32_t i = 0; i < get->set.grant_count && client->attached; i++) {
		close.grant = get->set.grants[i].grant;
		control_call(&client->control, WIRE_CLOSE, wire_close_fields, &close, wire_nothing_fields, NULL,
			     session_deadline(client, 0), &ignored);
	}
}

static int get_attempt(struct client *client, void *arg, struct error *err)
{
	struct get *get = arg;
	struct wire_read read = {get->rank, get->epoch, get->layout_only};
	int rc;

	get_reset(get);
	rc = control_call(&client->control, WIRE_READ, wire_read_fields, &read, wire_read_reply_fields,
			  &get->set, session_deadline(client, 0), err);
	if (rc || get->layout_only)
		return rc;
	for (size_t i = 0; i < get->count && !rc; i++) {
		if (get->segments[i].at || !get->segments[i].segment.count)
			rc = check_wanted(get, i, err);
	}
	if (!rc)
		rc = get_move(client, get, err);
	close_grants(client, get);
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
