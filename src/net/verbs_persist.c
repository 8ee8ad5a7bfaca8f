/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verbs_persist.c - the initiator makes durable what it wrote. RDMA FLUSH and ATOMIC WRITE are those of the InfiniBand
 * specification, volume 1, annex A19 (memory placement extensions).
 */
#include "net/verbs_conn.h"

#include <errno.h>
#include <string.h>

/* Waits for all `transfers`, flushes or reads, one a rail at most. */
static int persist_finish(struct net_conn *conn, const struct net_transfer *transfers, uint64_t deadline,
			  struct error *err)
{
	struct net_transfer *done[NET_RAILS_MAX];
	int rc = 0;

	while (rc >= 0 && verbs_in_flight(conn))
		rc = verbs_reap(conn, done, NET_RAILS_MAX, deadline, err);
	for (unsigned i = 0; i < conn->rail_count && rc >= 0; i++)
		if (transfers[i].status)
			rc = error_set(err, transfers[i].status, "the data connection took no %s: %s",
				       transfers[i].write ? "RDMA FLUSH" : "read", strerror(-transfers[i].status));
	return rc < 0 ? rc : 0;
}

#ifdef HAVE_IBV_WR_FLUSH

/* A device may go through all of a range before it answers, and must not be taken for one that is gone. */
#define FLUSH_BYTES_MAX (16u << 20)
#define FLUSHES_MAX	8u

/* On the wire all at once, and with one completion: flushes of [from, from + bytes), the seal, and a flush of it. */
static int flush_post(struct rail *rail, struct net_transfer *transfer, const struct net_key *key, uint64_t from,
		      uint64_t bytes, const struct net_seal *seal, struct error *err)
{
	const unsigned placement = IBV_FLUSH_GLOBAL | IBV_FLUSH_PERSISTENT;
	struct ibv_qp_ex *qp = ibv_qp_to_qp_ex(rail->id->qp);
	uint32_t rkey = (uint32_t)key->keys[rail->number];
	unsigned requests = 0;
	uint64_t done, n;
	int rc;

	*transfer = (struct net_transfer){.write = true};
	ibv_wr_start(qp);
	for (done = 0; done < bytes; done += n) {
		n = bytes - done < FLUSH_BYTES_MAX ? bytes - done : FLUSH_BYTES_MAX;
		requests += verbs_request_mark(qp, transfer, !seal && done + n == bytes);
		ibv_wr_flush(qp, rkey, key->address + from + done, n, placement, IBV_FLUSH_RANGE);
	}
	if (seal) {
		requests += verbs_request_mark(qp, transfer, false);
		ibv_wr_atomic_write(qp, rkey, key->address + seal->offset, seal->bytes);
		requests += verbs_request_mark(qp, transfer, true);
		ibv_wr_flush(qp, rkey, key->address + seal->offset, NET_SEAL_BYTES, placement, IBV_FLUSH_RANGE);
	}
	rc = ibv_wr_complete(qp);
	if (rc)
		return verbs_failed(err, rc, "the RDMA device took no FLUSH");
	verbs_transfer_posted(rail, transfer, requests);
	return 0;
}

/* By each rail, since one answers for what came by itself only; the seal follows by the first, behind all of them. */
static int flush_some(struct net_conn *conn, const struct net_key *key, uint64_t from, uint64_t bytes,
		      const struct net_seal *seal, uint64_t deadline, struct error *err)
{
	struct net_transfer transfers[NET_RAILS_MAX] = {0};
	bool alone = conn->rail_count == 1;
	int rc = 0;

	for (unsigned i = 0; i < conn->rail_count && !rc; i++)
		rc = flush_post(&conn->rails[i], &transfers[i], key, from, bytes, alone ? seal : NULL, err);
	if (!rc)
		rc = persist_finish(conn, transfers, deadline, err);
	if (rc || !seal || alone)
		return rc;
	rc = flush_post(&conn->rails[0], &transfers[0], key, 0, 0, seal, err);
	return rc ? rc : persist_finish(conn, transfers, deadline, err);
}

static int persist_flush(struct net_conn *conn, const struct net_key *key, uint64_t bytes, const struct net_seal *seal,
			 uint64_t deadline, struct error *err)
{
	const uint64_t most = (uint64_t)FLUSHES_MAX * FLUSH_BYTES_MAX;
	uint64_t done = 0;
	int rc = 0;

	for (; bytes - done > most && !rc; done += most)
		rc = flush_some(conn, key, done, most, NULL, deadline, err);
	return rc ? rc : flush_some(conn, key, done, bytes - done, seal, deadline, err);
}

#else

static int persist_flush(struct net_conn *conn, const struct net_key *key, uint64_t bytes, const struct net_seal *seal,
			 uint64_t deadline, struct error *err)
{
	(void)conn, (void)key, (void)bytes, (void)seal, (void)deadline;
	return error_set(err, -EOPNOTSUPP, "this build's rdma-core has no RDMA FLUSH");
}

#endif

/* The answer to a read pushes the writes before it, on the same connection, through the target's I/O bus. */
static int persist_read(struct net_conn *conn, const struct net_key *key, uint64_t bytes, uint64_t deadline,
			struct error *err)
{
	const size_t n = bytes < sizeof(uint64_t) ? (size_t)bytes : sizeof(uint64_t);
	struct net_transfer transfers[NET_RAILS_MAX] = {0};
	uint64_t into[NET_RAILS_MAX];
	void *registration;
	int rc = verbs_register_local(conn, into, sizeof(into), NET_SINK, &registration, err);

	if (rc)
		return rc;
	for (unsigned i = 0; i < conn->rail_count && !rc; i++) {
		transfers[i] = (struct net_transfer){.local = &into[i], .offset = bytes - n, .bytes = n};
		rc = verbs_submit_on(conn, &conn->rails[i], key, &transfers[i], err);
	}
	if (!rc)
		rc = persist_finish(conn, transfers, deadline, err);
	if (rc)
		verbs_abandon(conn, rc); /* before `into` goes */
	verbs_unregister_local(conn, registration);
	return rc;
}

int verbs_persist_range(struct net_conn *conn, const struct net_key *key, enum persist_method method, uint64_t bytes,
			const struct net_seal *seal, uint64_t deadline, struct error *err)
{
	int rc;

	if (!bytes || bytes > key->bytes || verbs_in_flight(conn) || !(conn->limits.persist & 1u << method) ||
	    (seal && (!conn->limits.seals || seal->offset % NET_SEAL_BYTES || bytes < NET_SEAL_BYTES ||
		      seal->offset > bytes - NET_SEAL_BYTES)))
		return error_set(err, -EINVAL, "%llu bytes cannot be made durable by '%s'", (unsigned long long)bytes,
				 persist_name(method));
	rc = method == PERSIST_READ ? persist_read(conn, key, bytes, deadline, err)
				    : persist_flush(conn, key, bytes, seal, deadline, err);
	if (rc)
		verbs_abandon(conn, rc);
	return rc;
}
