/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verbs_transfer.c - the initiator's transfers. Each goes over the rail that has the least under way, as one request a
 * remote range; only its last one asks for a completion, which speaks for those before it, since a reliable connection
 * completes in order. A request that fails, and all behind it on its rail, complete each by itself, whether they asked
 * or not.
 */
#include "net/verbs_conn.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include "common/clock.h"
#include "net/piece.h"

#define REAP_BATCH 16
#define LAST	   1u /* in a request's id, beside the transfer's address */

/* In net_transfer.reserved, while it is in flight. */
struct flight {
	int status;
	unsigned requests;
};

_Static_assert(sizeof(struct flight) <= sizeof(((struct net_transfer *)0)->reserved),
	       "what is known of a transfer fits it");
_Static_assert(_Alignof(struct net_transfer) > LAST, "a bit is free in a transfer's address");

unsigned verbs_request_mark(struct ibv_qp_ex *qp, const struct net_transfer *transfer, bool last)
{
	qp->wr_id = (uintptr_t)transfer | (last ? LAST : 0);
	qp->wr_flags = last ? IBV_SEND_SIGNALED : 0;
	return 1;
}

static struct flight *flight_of(struct net_transfer *transfer)
{
	return (struct flight *)transfer->reserved;
}

/* A transfer as the device wants it. */
struct batch {
	struct ibv_send_wr requests[NET_PIECES_MAX];
	struct ibv_sge sges[NET_PIECES_MAX];
	unsigned request_count, sge_count;
	uint64_t end; /* of the last request's remote range */
	size_t bytes;
};

static void batch_begin_request(struct batch *b, const struct rail *rail, struct net_transfer *transfer,
				const struct net_key *key, uint64_t offset)
{
	struct ibv_send_wr *request = &b->requests[b->request_count++];

	*request = (struct ibv_send_wr){
	    .wr_id = (uintptr_t)transfer,
	    .opcode = transfer->write ? IBV_WR_RDMA_WRITE : IBV_WR_RDMA_READ,
	    .sg_list = &b->sges[b->sge_count],
	    .wr.rdma = {.remote_addr = key->address + offset, .rkey = (uint32_t)key->keys[rail->number]},
	};
	if (b->request_count > 1)
		request[-1].next = request;
	b->end = offset;
}

static int batch_add(struct batch *b, const struct net_conn *conn, const struct rail *rail, const struct net_key *key,
		     struct net_transfer *transfer, const struct net_piece *piece, struct error *err)
{
	struct ibv_send_wr *request = b->request_count ? &b->requests[b->request_count - 1] : NULL;
	struct ibv_sge *last = request && request->num_sge ? &request->sg_list[request->num_sge - 1] : NULL;
	uintptr_t at = (uintptr_t)piece->local;
	uint32_t lkey;

	if (!verbs_memory_find(&conn->memory, rail->domain, piece->local, piece->bytes,
			       transfer->write ? NET_SOURCE : NET_SINK, &lkey))
		return error_set(err, -EFAULT, "a transfer of memory that is not registered");
	if (!request || b->end != piece->offset) {
		batch_begin_request(b, rail, transfer, key, piece->offset);
		request = &b->requests[b->request_count - 1];
		last = NULL;
	}
	if (last && last->addr + last->length == at && last->lkey == lkey) {
		last->length += (uint32_t)piece->bytes;
	} else {
		if (request->num_sge == (int)rail->sges) {
			batch_begin_request(b, rail, transfer, key, piece->offset);
			request = &b->requests[b->request_count - 1];
		}
		b->sges[b->sge_count++] =
		    (struct ibv_sge){.addr = at, .length = (uint32_t)piece->bytes, .lkey = lkey};
		request->num_sge++;
	}
	b->end += piece->bytes;
	b->bytes += piece->bytes;
	return 0;
}

static int batch_make(struct batch *b, const struct net_conn *conn, const struct rail *rail, const struct net_key *key,
		      struct net_transfer *transfer, struct error *err)
{
	int rc = pieces_check(transfer, key, conn->limits.chunk_bytes, err);

	b->request_count = b->sge_count = 0;
	b->bytes = 0;
	for (unsigned i = 0; i <= transfer->more_count && !rc; i++) {
		struct net_piece piece = piece_at(transfer, i);

		rc = batch_add(b, conn, rail, key, transfer, &piece, err);
	}
	if (rc)
		return rc;
	b->requests[b->request_count - 1].wr_id |= LAST;
	b->requests[b->request_count - 1].send_flags = IBV_SEND_SIGNALED;
	for (unsigned i = 0; i < b->request_count; i++) {
		if (transfer->write && b->bytes <= rail->inline_bytes)
			b->requests[i].send_flags |= IBV_SEND_INLINE;
	}
	return 0;
}

void verbs_transfer_posted(struct rail *rail, struct net_transfer *transfer, unsigned requests)
{
	*flight_of(transfer) = (struct flight){.requests = requests};
	rail->in_flight++;
	rail->posted += requests;
}

unsigned verbs_in_flight(const struct net_conn *conn)
{
	unsigned count = 0;

	for (unsigned i = 0; i < conn->rail_count; i++)
		count += conn->rails[i].in_flight;
	return count;
}

void verbs_abandon(struct net_conn *conn, int status)
{
	if (!conn->lost)
		conn->lost = status;
	for (unsigned i = 0; i < conn->rail_count; i++) {
		conn->rails[i].in_flight = conn->rails[i].posted = 0;
		verbs_stop(conn->rails[i].id->qp);
	}
}

static int conn_lost(struct net_conn *conn, struct error *err)
{
	verbs_abandon(conn, -ECONNRESET);
	return error_set(err, conn->lost, "the connection to the server's data port is lost: %s",
			 strerror(-conn->lost));
}

static bool conn_failed(const struct net_conn *conn)
{
	bool failed = false;

	for (unsigned i = 0; i < conn->rail_count; i++)
		failed = failed || conn->rails[i].failed;
	return failed;
}

int verbs_submit_on(struct net_conn *conn, struct rail *rail, const struct net_key *key, struct net_transfer *transfer,
		    struct error *err)
{
	struct ibv_send_wr *refused = NULL;
	struct batch b;
	int rc = batch_make(&b, conn, rail, key, transfer, err);

	if (rc)
		return rc;
	if (conn->lost || conn_failed(conn) || !key->keys[rail->number])
		return conn_lost(conn, err);
	if (rail->in_flight >= rail->limits.window || b.request_count > rail->depth - rail->posted)
		return error_set(err, -EAGAIN, "the window of %u transfers is full", conn->limits.window);
	rc = ibv_post_send(rail->id->qp, b.requests, &refused);
	if (rc == ENOMEM && refused == b.requests && rail->in_flight)
		return error_set(err, -EAGAIN, "the device has no room for a further transfer");
	if (rc && refused == b.requests)
		return verbs_failed(err, rc, transfer->write ? "starting a write failed" : "starting a read failed");
	if (rc) { /* half of it is under way */
		conn->lost = -EIO;
		return conn_lost(conn, err);
	}
	verbs_transfer_posted(rail, transfer, b.request_count);
	rail->bytes += b.bytes;
	return 0;
}

static bool rail_is_idler(const struct rail *rail, const struct rail *other)
{
	return rail->in_flight != other->in_flight ? rail->in_flight < other->in_flight : rail->bytes < other->bytes;
}

int verbs_submit(struct net_conn *conn, const struct net_key *key, struct net_transfer *transfer,
		 struct error *err)
{
	struct rail *idlest = &conn->rails[conn->first];

	for (unsigned i = 1; i < conn->rail_count; i++) {
		struct rail *other = &conn->rails[(conn->first + i) % conn->rail_count];

		if (rail_is_idler(other, idlest))
			idlest = other;
	}
	return verbs_submit_on(conn, idlest, key, transfer, err);
}

static int status_errno(enum ibv_wc_status status)
{
	switch (status) {
	case IBV_WC_SUCCESS:
		return 0;
	case IBV_WC_REM_ACCESS_ERR:
		return -EACCES;
	case IBV_WC_RETRY_EXC_ERR:
	case IBV_WC_RNR_RETRY_EXC_ERR:
	case IBV_WC_RESP_TIMEOUT_ERR:
		return -ETIMEDOUT;
	case IBV_WC_WR_FLUSH_ERR:
		return -ECANCELED;
	case IBV_WC_LOC_PROT_ERR:
		return -EFAULT;
	default:
		return -EIO;
	}
}

/* Takes completions that are there: how many transfers, or -errno. */
static int rail_completed(struct rail *rail, struct net_transfer **done, unsigned max)
{
	struct ibv_wc entries[REAP_BATCH];
	unsigned count = 0;
	int n, want;

	do {
		want = max - count < REAP_BATCH ? (int)(max - count) : REAP_BATCH;
		n = ibv_poll_cq(rail->cq, want, entries);
		if (n < 0)
			return count ? (int)count : -EIO;
		for (int i = 0; i < n; i++) {
			struct net_transfer *transfer =
			    (struct net_transfer *)(uintptr_t)(entries[i].wr_id & ~(uint64_t)LAST);
			struct flight *flight = flight_of(transfer);

			if (entries[i].status != IBV_WC_SUCCESS) {
				rail->failed = true;
				if (!flight->status)
					flight->status = status_errno(entries[i].status);
			}
			if (!(entries[i].wr_id & LAST))
				continue;
			transfer->status = flight->status;
			rail->posted -= flight->requests;
			rail->in_flight--;
			done[count++] = transfer;
		}
	} while (n == want && count < max);
	return (int)count;
}

static int conn_completed(struct net_conn *conn, struct net_transfer **done, unsigned max)
{
	unsigned count = 0;
	int n;

	for (unsigned i = 0; i < conn->rail_count && count < max; i++) {
		if (!conn->rails[i].in_flight)
			continue;
		n = rail_completed(&conn->rails[i], done + count, max - count);
		if (n < 0)
			return count ? (int)count : n;
		count += (unsigned)n;
	}
	return (int)count;
}

/* Events of a connection: whatever comes now means its end. */
static void rail_take_events(struct net_conn *conn, struct rail *rail)
{
	struct verbs_event event;
	int rc;

	while (!conn->lost && (rc = verbs_take_event(rail->events, &event))) {
		if (rc < 0)
			conn->lost = rc;
		else if (event.type == RDMA_CM_EVENT_DISCONNECTED || event.type == RDMA_CM_EVENT_DEVICE_REMOVAL)
			conn->lost = -ECONNRESET;
	}
}

static void rail_take_completion_event(struct net_conn *conn, struct rail *rail)
{
	struct ibv_cq *cq;
	void *context;

	if (ibv_get_cq_event(rail->completions, &cq, &context)) {
		conn->lost = -errno;
		return;
	}
	rail->unacked++;
	rail->armed = false;
}

/* Returns whether any was not: what completed before that fires nothing. */
static bool conn_arm(struct net_conn *conn)
{
	bool some = false;

	for (unsigned i = 0; i < conn->rail_count && !conn->lost; i++) {
		struct rail *rail = &conn->rails[i];

		if (rail->armed)
			continue;
		conn->lost = -ibv_req_notify_cq(rail->cq, 0);
		rail->armed = !conn->lost;
		some = true;
	}
	return some;
}

/* Until something may have completed, or the connection is lost. */
static void conn_sleep(struct net_conn *conn, int left_ms)
{
	struct pollfd fds[2 * NET_RAILS_MAX];
	int rc;

	if (conn_arm(conn))
		return; /* look again */
	for (unsigned i = 0; i < conn->rail_count; i++) {
		fds[2 * i] = (struct pollfd){.fd = conn->rails[i].completions->fd, .events = POLLIN};
		fds[2 * i + 1] = (struct pollfd){.fd = conn->rails[i].events->fd, .events = POLLIN};
	}
	rc = poll(fds, 2 * conn->rail_count, left_ms);
	if (rc < 0 && errno != EINTR)
		conn->lost = -errno;
	for (unsigned i = 0; rc > 0 && i < conn->rail_count; i++) {
		if (fds[2 * i].revents)
			rail_take_completion_event(conn, &conn->rails[i]);
		if (fds[2 * i + 1].revents)
			rail_take_events(conn, &conn->rails[i]);
	}
}

/* A rail that failed, and has handed over all that it had. */
static bool conn_ended(const struct net_conn *conn)
{
	bool ended = conn->lost;

	for (unsigned i = 0; i < conn->rail_count; i++)
		ended = ended || (conn->rails[i].failed && !conn->rails[i].in_flight);
	return ended;
}

int verbs_reap(struct net_conn *conn, struct net_transfer **done, unsigned max, uint64_t deadline,
	       struct error *err)
{
	int n, left_ms;

	for (;;) {
		n = conn_completed(conn, done, max);
		if (n > 0)
			return n;
		if (n < 0)
			conn->lost = n;
		/* What completed before the loss has been handed over. */
		if (conn_ended(conn))
			return conn_lost(conn, err);
		left_ms = deadline_left_ms(deadline);
		if (left_ms == 0)
			return error_set(err, -ETIMEDOUT, "no transfer completed in time, %u are in flight",
					 verbs_in_flight(conn));
		conn_sleep(conn, left_ms);
	}
}
