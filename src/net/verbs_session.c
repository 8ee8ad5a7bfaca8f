/* SPDX-License-Identifier: BSD-3-Clause */
/* verbs_session.c - a peer's connection to the target, and the end of it. */
#include "net/verbs_target.h"

#include <errno.h>
#include <sched.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"

#define REQUESTS	4 /* one at a time is posted */
#define ESTABLISH_MS	5000
#define REQUEST_MS	2000
#define SPIN_NS		1000000 /* after which a wait sleeps between its looks */

struct session *verbs_session_find(struct session *from, uint64_t peer)
{
	while (from && from->peer != peer)
		from = from->next;
	return from;
}

struct session *verbs_session_of_serial(struct net_target *target, uintptr_t serial)
{
	struct session *session = target->sessions;

	while (session && session->serial != serial)
		session = session->next;
	return session;
}

static const struct device *device_of(const struct net_target *target, const struct ibv_context *verbs)
{
	for (unsigned i = 0; i < target->device_count; i++) {
		if (target->devices[i].verbs == verbs)
			return &target->devices[i];
	}
	return NULL;
}

static int session_equip(struct session *session)
{
	struct ibv_context *verbs = session->id->verbs;
	struct ibv_qp_init_attr attr = {
	    .qp_context = (void *)session->serial,
	    .cap = {.max_send_wr = REQUESTS,
		    .max_recv_wr = 1, /* nobody sends messages */
		    .max_send_sge = 1,
		    .max_recv_sge = 1},
	    .qp_type = IBV_QPT_RC,
	};

	session->pd = ibv_alloc_pd(verbs);
	if (!session->pd)
		return -1;
	session->cq = ibv_create_cq(verbs, REQUESTS + 1, NULL, NULL, 0);
	if (!session->cq)
		return -1;
	attr.send_cq = attr.recv_cq = session->cq;
	return rdma_create_qp(session->id, session->pd, &attr);
}

/* Ends what the peer opened with tokens that it had before this one. */
static void sessions_end_older(struct net_target *target, uint64_t peer, const uint8_t token[NET_TOKEN_BYTES])
{
	struct session *session = verbs_session_find(target->sessions, peer), *next;

	for (; session; session = next) {
		next = verbs_session_find(session->next, peer);
		if (sodium_memcmp(session->token, token, NET_TOKEN_BYTES) != 0)
			verbs_session_close(session);
	}
}

static bool rail_is_taken(const struct net_target *target, uint64_t peer, unsigned rail)
{
	const struct session *session = verbs_session_find(target->sessions, peer);

	while (session && session->rail != rail)
		session = verbs_session_find(session->next, peer);
	return session;
}

static unsigned rail_of(const struct net_target *target, const struct rdma_cm_id *listener)
{
	unsigned rail = 0;

	while (rail + 1 < target->rails && target->listeners[rail] != listener)
		rail++;
	return rail;
}

int verbs_session_accept(struct net_target *target, const struct verbs_event *event, uint64_t peer,
			 struct error *err)
{
	static atomic_uintptr_t serials;
	const struct device *device = device_of(target, event->id->verbs);
	struct rdma_conn_param param = {.responder_resources = event->reads};
	unsigned rail = rail_of(target, event->listener);
	struct session *session = NULL;
	struct ibv_device_attr attr;
	bool taken;
	int rc;

	sessions_end_older(target, peer, event->data);
	taken = rail_is_taken(target, peer, rail);
	if (!taken)
		session = calloc(1, sizeof(*session));
	if (!session) {
		rdma_reject(event->id, NULL, 0);
		rdma_destroy_id(event->id);
		return taken ? error_set(err, -EACCES, "a second connection on one rail was refused")
			     : error_nomem(err, "a session");
	}
	*session = (struct session){
	    .target = target,
	    .next = target->sessions,
	    .serial = atomic_fetch_add(&serials, 1) + 1,
	    .peer = peer,
	    .rail = rail,
	    .establish_by = deadline_in_ms(ESTABLISH_MS),
	    .id = event->id,
	    .windows = device && device->windows,
	};
	memcpy(session->token, event->data, sizeof(session->token));
	session->id->context = (void *)session->serial;
	target->sessions = session;
	if (!ibv_query_device(event->id->verbs, &attr) && param.responder_resources > attr.max_qp_rd_atom)
		param.responder_resources = (uint8_t)attr.max_qp_rd_atom;
	if (!session_equip(session) && !rdma_accept(session->id, &param))
		return 0;
	rc = verbs_failed(err, errno, "accepting a data connection (is the limit on locked memory too low?)");
	rdma_reject(session->id, NULL, 0);
	verbs_session_close(session);
	return rc;
}

void verbs_session_close(struct session *session)
{
	struct session **at = &session->target->sessions;

	while (*at != session)
		at = &(*at)->next;
	*at = session->next;
	session->closed = true;
	/* Windows hold on to their queue pair, and it, with an access that is under way, to the memory. */
	if (session->id->qp)
		verbs_stop(session->id->qp);
	for (struct binding *binding = session->bindings; binding; binding = binding->next)
		verbs_binding_end_window(binding);
	if (session->id->qp) {
		rdma_disconnect(session->id); /* tells the peer */
		rdma_destroy_qp(session->id);
	}
	for (struct binding *binding = session->bindings; binding; binding = binding->next)
		verbs_binding_end_registration(binding);
	verbs_areas_forget(session, 0, SIZE_MAX);
	if (session->cq)
		ibv_destroy_cq(session->cq);
	if (session->pd && ibv_dealloc_pd(session->pd))
		log_error("data plane: the protection domain of peer %llu could not be freed: %s",
			  (unsigned long long)session->peer, strerror(errno));
	rdma_destroy_id(session->id);
	session->id = NULL;
	if (!session->bindings)
		free(session);
}

int verbs_session_do(struct session *session, struct ibv_send_wr *request, struct error *err)
{
	uint64_t begin_ns = clock_monotonic_ns(), deadline = deadline_in_ms(REQUEST_MS);
	struct ibv_send_wr *refused;
	struct ibv_wc done;
	int n, rc;

	request->send_flags = IBV_SEND_SIGNALED;
	rc = ibv_post_send(session->id->qp, request, &refused);
	if (rc)
		return verbs_failed(err, rc, "a request to the RDMA device failed");
	while (!(n = ibv_poll_cq(session->cq, 1, &done))) {
		if (deadline_left_ms(deadline) == 0)
			return error_set(err, -ETIMEDOUT, "the RDMA device did not answer in time");
		if (clock_monotonic_ns() - begin_ns < SPIN_NS)
			sched_yield();
		else
			deadline_sleep_ms(deadline, 1);
	}
	if (n < 0)
		return error_set(err, -EIO, "the RDMA device failed");
	if (done.status == IBV_WC_WR_FLUSH_ERR)
		return error_set(err, -ENOTCONN, "the client's data connection is gone");
	if (done.status != IBV_WC_SUCCESS)
		return error_set(err, -EIO, "the RDMA device refused a memory window: %s",
				 ibv_wc_status_str(done.status));
	return 0;
}
