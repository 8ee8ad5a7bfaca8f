/* SPDX-License-Identifier: BSD-3-Clause */
/* mover.c - a window of transfers, each of one or several pieces. */
#include "client/mover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/clock.h"

#define PACE_SLACK_NS 10000000u /* so much later than its turn may a transfer begin without losing the next one's */
#define PACE_LOOK_MS  5u

/* One transfer, and what it is made of. */
struct slot {
	struct net_transfer transfer;
	struct net_piece more[NET_PIECES_MAX - 1];
	void *contexts[NET_PIECES_MAX];
};

/* The transfer that takes further pieces; slot NULL: none does. */
struct open_transfer {
	struct slot *slot;
	const struct net_key *key;
	size_t bytes;
	unsigned local_ranges, remote_ranges;
};

struct mover {
	const struct net_ops *net;
	struct net_conn *conn;
	uint64_t timeout_ms;
	size_t block_bytes;
	uint64_t pace, next_ns; /* bytes a second; when the next transfer may begin */
	mover_done_fn *done;
	void *arg;
	struct net_limits limits;
	struct open_transfer open;
	unsigned free_count;
	struct slot **free_slots; /* window of each */
	struct net_transfer **reaped;
	struct slot *slots;
};

int mover_new(const struct net_ops *net, struct net_conn *conn, uint64_t timeout_ms, size_t block_bytes,
	      mover_done_fn *done, void *arg, struct mover **out, struct error *err)
{
	struct mover *m = calloc(1, sizeof(*m));
	unsigned window;

	if (!m)
		return error_nomem(err, "transfers");
	m->net = net;
	m->conn = conn;
	m->timeout_ms = timeout_ms;
	m->block_bytes = block_bytes;
	m->done = done;
	m->arg = arg;
	net->limits(conn, &m->limits);
	window = m->limits.window;
	m->slots = calloc(window, sizeof(*m->slots));
	m->free_slots = calloc(window, sizeof(*m->free_slots));
	m->reaped = calloc(window, sizeof(*m->reaped));
	if (!m->slots || !m->free_slots || !m->reaped) {
		mover_free(m);
		return error_nomem(err, "transfers");
	}
	for (m->free_count = 0; m->free_count < window; m->free_count++)
		m->free_slots[m->free_count] = &m->slots[m->free_count];
	*out = m;
	return 0;
}

size_t mover_chunk_bytes(const struct mover *m)
{
	return m->limits.chunk_bytes;
}

bool mover_checksums(const struct mover *m, size_t block_bytes)
{
	return m->limits.checksums && block_bytes == m->block_bytes && m->limits.chunk_bytes >= block_bytes;
}

bool mover_hashed(struct mover *m)
{
	unsigned window = m->limits.hashed_window;

	if (window && window < m->limits.window)
		m->free_count = m->limits.window = window;
	return window;
}

static struct net_piece first_piece(const struct net_transfer *transfer)
{
	return (struct net_piece){transfer->local, transfer->offset, transfer->bytes, transfer->checksums};
}

static size_t transfer_bytes(const struct net_transfer *transfer)
{
	size_t bytes = transfer->bytes;

	for (unsigned i = 0; i < transfer->more_count; i++)
		bytes += transfer->more[i].bytes;
	return bytes;
}

/* Tells of each piece of a transfer that has completed. */
static int slot_done(struct mover *m, const struct slot *slot, struct error *err)
{
	int rc = 0;

	for (unsigned i = 0; i <= slot->transfer.more_count && !rc; i++) {
		struct net_piece piece = i ? slot->more[i - 1] : first_piece(&slot->transfer);

		rc = m->done(m->arg, &piece, slot->contexts[i], err);
	}
	return rc;
}

/* What became of the first `n` that were reaped. */
static int reaped_settle(struct mover *m, int n, struct error *err)
{
	int rc;

	for (int i = 0; i < n; i++) {
		struct net_transfer *transfer = m->reaped[i];

		m->free_slots[m->free_count++] = transfer->context;
		if (transfer->status)
			return error_set(err, transfer->status, "a %s of %zu bytes failed: %s",
					 transfer->write ? "write" : "read", transfer_bytes(transfer),
					 strerror(-transfer->status));
		rc = slot_done(m, transfer->context, err);
		if (rc)
			return rc;
	}
	return 0;
}

/* Waits for at least one completion. */
static int reap(struct mover *m, struct error *err)
{
	int n = m->net->reap(m->conn, m->reaped, m->limits.window, deadline_in_ms(m->timeout_ms), err);

	return n < 0 ? n : reaped_settle(m, n, err);
}

/* Takes what has completed, and has the data plane make progress. */
static int reap_ready(struct mover *m, struct error *err)
{
	int n = m->net->reap(m->conn, m->reaped, m->limits.window, 0, err);

	return n == -ETIMEDOUT ? 0 : n < 0 ? n : reaped_settle(m, n, err);
}

/* ---- the transfer that takes further pieces ---- */

static bool open_takes(const struct mover *m, const struct net_key *key, bool write, const struct net_piece *piece,
		       bool *touches_local, bool *touches_remote)
{
	const struct open_transfer *open = &m->open;
	const struct net_transfer *transfer = &open->slot->transfer;
	struct net_piece last = transfer->more_count ? open->slot->more[transfer->more_count - 1]
						     : first_piece(transfer);

	*touches_local = (char *)last.local + last.bytes == piece->local;
	*touches_remote = last.offset + last.bytes == piece->offset;
	return open->key == key && transfer->write == write && piece->bytes <= m->limits.chunk_bytes - open->bytes &&
	       transfer->more_count < NET_PIECES_MAX - 1 &&
	       open->local_ranges + !*touches_local <= m->limits.local_ranges &&
	       open->remote_ranges + !*touches_remote <= m->limits.remote_ranges;
}

static bool open_add(struct mover *m, const struct net_key *key, bool write, const struct net_piece *piece,
		     void *context)
{
	struct open_transfer *open = &m->open;
	bool touches_local, touches_remote;

	if (!open->slot || !open_takes(m, key, write, piece, &touches_local, &touches_remote))
		return false;
	open->bytes += piece->bytes;
	open->local_ranges += !touches_local;
	open->remote_ranges += !touches_remote;
	open->slot->more[open->slot->transfer.more_count++] = *piece;
	open->slot->contexts[open->slot->transfer.more_count] = context;
	return true;
}

static int open_begin(struct mover *m, const struct net_key *key, bool write, const struct net_piece *piece,
		      void *context, struct error *err)
{
	struct slot *slot;
	int rc = 0;

	while (!m->free_count && !rc)
		rc = reap(m, err);
	if (rc)
		return rc;
	slot = m->free_slots[--m->free_count];
	slot->transfer = (struct net_transfer){
		.local = piece->local,
		.offset = piece->offset,
		.bytes = piece->bytes,
		.checksums = piece->checksums,
		.block_bytes = m->block_bytes,
		.more = slot->more,
		.write = write,
		.context = slot,
	};
	slot->contexts[0] = context;
	m->open = (struct open_transfer){slot, key, piece->bytes, 1, 1};
	return 0;
}

void mover_pace(struct mover *m, uint64_t bytes_per_s)
{
	m->pace = bytes_per_s;
	m->next_ns = clock_monotonic_ns();
}

/* Waits until the open transfer's turn, and takes what completes meanwhile. Time that was not used is not made up for. */
static int pace_wait(struct mover *m, struct error *err)
{
	uint64_t now = clock_monotonic_ns(), wait_ns = (uint64_t)((double)m->open.bytes / (double)m->pace * 1e9);
	int rc = 0;

	if (m->next_ns + PACE_SLACK_NS < now)
		m->next_ns = now;
	for (; !rc && now < m->next_ns; now = clock_monotonic_ns()) {
		uint64_t left_ms = (m->next_ns - now) / 1000000;

		deadline_sleep_ms(m->next_ns, left_ms < PACE_LOOK_MS ? left_ms + 1 : PACE_LOOK_MS);
		if (m->free_count + 1 < m->limits.window)
			rc = reap_ready(m, err);
	}
	m->next_ns += wait_ns;
	return rc;
}

int mover_flush(struct mover *m, struct error *err)
{
	struct slot *slot = m->open.slot;
	int rc;

	if (!slot)
		return 0;
	rc = m->pace ? pace_wait(m, err) : 0;
	if (rc)
		return rc;
	while ((rc = m->net->submit(m->conn, m->open.key, &slot->transfer, err)) == -EAGAIN) {
		if (m->free_count == m->limits.window - 1)
			return error_set(err, -EIO, "the data plane takes no transfer");
		rc = reap(m, err);
		if (rc)
			return rc;
	}
	m->open.slot = NULL;
	return rc;
}

int mover_start(struct mover *m, const struct net_key *key, bool write, const struct net_piece *piece,
		void *context, struct error *err)
{
	int rc = 0;

	if (!open_add(m, key, write, piece, context)) {
		rc = mover_flush(m, err);
		if (!rc)
			rc = open_begin(m, key, write, piece, context, err);
	}
	return rc || m->open.bytes < m->limits.chunk_bytes ? rc : mover_flush(m, err);
}

int mover_wait(struct mover *m, struct error *err)
{
	int rc = mover_flush(m, err);

	if (!rc && m->free_count == m->limits.window)
		rc = error_set(err, -EIO, "there is no transfer to wait for");
	return rc ? rc : reap(m, err);
}

int mover_drain(struct mover *m, struct error *err)
{
	int rc = mover_flush(m, err);

	while (!rc && m->free_count < m->limits.window)
		rc = reap(m, err);
	return rc;
}

void mover_free(struct mover *m)
{
	if (!m)
		return;
	free(m->slots);
	free(m->free_slots);
	free(m->reaped);
	free(m);
}
