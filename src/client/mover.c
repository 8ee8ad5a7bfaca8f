/* SPDX-License-Identifier: BSD-3-Clause */
/* mover.c - a window of transfers. */
#include "client/mover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/clock.h"

struct mover {
	const struct net_ops *net;
	struct net_conn *conn;
	uint64_t timeout_ms;
	const struct mover_calls *calls;
	void *arg;
	size_t chunk_bytes;
	unsigned window, free_count;
	struct net_transfer **free_transfers, **reaped; /* window of each */
	struct net_transfer *transfers;
};

int mover_new(const struct net_ops *net, struct net_conn *conn, uint64_t timeout_ms,
	      const struct mover_calls *calls, void *arg, struct mover **out, struct error *err)
{
	struct mover *m = calloc(1, sizeof(*m));

	if (!m)
		return error_nomem(err, "transfers");
	m->net = net;
	m->conn = conn;
	m->timeout_ms = timeout_ms;
	m->calls = calls;
	m->arg = arg;
	net->limits(conn, &m->chunk_bytes, &m->window);
	m->transfers = calloc(m->window, sizeof(*m->transfers));
	m->free_transfers = calloc(m->window, sizeof(*m->free_transfers));
	m->reaped = calloc(m->window, sizeof(*m->reaped));
	if (!m->transfers || !m->free_transfers || !m->reaped) {
		mover_free(m);
		return error_nomem(err, "transfers");
	}
	for (m->free_count = 0; m->free_count < m->window; m->free_count++)
		m->free_transfers[m->free_count] = &m->transfers[m->free_count];
	*out = m;
	return 0;
}

size_t mover_chunk_bytes(const struct mover *m)
{
	return m->chunk_bytes;
}

/* Waits for at least one completion, and makes use of the time. */
static int reap(struct mover *m, struct error *err)
{
	int n, rc;

	do {
		n = m->net->reap(m->conn, m->reaped, m->window, 0, NULL);
	} while (n == -ETIMEDOUT && m->calls->spare && m->calls->spare(m->arg));
	if (n == -ETIMEDOUT)
		n = m->net->reap(m->conn, m->reaped, m->window, deadline_in_ms(m->timeout_ms), err);
	if (n < 0)
		return n;
	for (int i = 0; i < n; i++) {
		struct net_transfer *transfer = m->reaped[i];

		m->free_transfers[m->free_count++] = transfer;
		if (transfer->status)
			return error_set(err, transfer->status, "a %s of %zu bytes failed: %s",
					 transfer->write ? "write" : "read", transfer->bytes,
					 strerror(-transfer->status));
		rc = m->calls->done ? m->calls->done(m->arg, transfer, err) : 0;
		if (rc)
			return rc;
	}
	return 0;
}

int mover_start(struct mover *m, const struct net_key *key, bool write, void *local, uint64_t offset,
		size_t bytes, void *context, struct error *err)
{
	struct net_transfer *transfer;
	int rc;

	for (;;) {
		while (!m->free_count) {
			rc = reap(m, err);
			if (rc)
				return rc;
		}
		transfer = m->free_transfers[m->free_count - 1];
		*transfer = (struct net_transfer){
			.local = local,
			.offset = offset,
			.bytes = bytes,
			.write = write,
			.context = context,
		};
		rc = m->net->submit(m->conn, key, transfer, err);
		if (!rc) {
			m->free_count--;
			return 0;
		}
		if (rc != -EAGAIN)
			return rc;
		if (m->free_count == m->window)
			return error_set(err, -EIO, "the data plane takes no transfer");
		rc = reap(m, err);
		if (rc)
			return rc;
	}
}

int mover_drain(struct mover *m, struct error *err)
{
	int rc = 0;

	while (!rc && m->free_count < m->window)
		rc = reap(m, err);
	return rc;
}

void mover_free(struct mover *m)
{
	if (!m)
		return;
	free(m->transfers);
	free(m->free_transfers);
	free(m->reaped);
	free(m);
}
