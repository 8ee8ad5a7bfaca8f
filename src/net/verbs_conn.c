/* SPDX-License-Identifier: BSD-3-Clause */
/* verbs_conn.c - the initiator's half: one connection, owned by one thread at a time. */
#include "net/verbs_conn.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "net/verbs_source.h"

#define CHUNK_BYTES_DEFAULT (1u << 20)
#define WINDOW_DEFAULT	    16u
#define INLINE_BYTES	    128u
#define READS_MAX	    16
#define RETRIES		    7
/* 4.096 us * 2^16 for an answer, RETRIES times: a peer that is gone is noticed within 2 to 8 s. */
#define ACK_TIMEOUT	    16
#define NEARER_MS	    1000u /* for a device to prove that it leads to the server, too */
#define REJECT_NO_SERVICE   8 /* of InfiniBand's connection manager: nobody listens */

static int conn_rejected(const struct verbs_event *event, struct error *err)
{
	if (event->bytes >= sizeof(VERBS_REJECTED) &&
	    !memcmp(event->data, VERBS_REJECTED, sizeof(VERBS_REJECTED)))
		return error_set(err, -EACCES,
				 "the server's data port rejected the token of this session: it is unknown, used or "
				 "withdrawn");
	if (event->status == REJECT_NO_SERVICE || event->status == -ECONNREFUSED)
		return error_set(err, -ECONNREFUSED,
				 "the server's data port refused the connection: nobody listens there");
	return error_set(err, -ECONNREFUSED,
			 "the server's data port refused the connection (reason %d of the connection manager): is it "
			 "the data port of a pmu-server, and has its device room for a connection?",
			 event->status);
}

static int conn_timed_out(struct error *err)
{
	return error_set(err, -ETIMEDOUT,
			 "the server's data port did not answer in time: is it the data port of a pmu-server, and does "
			 "the network carry RDMA (RoCE: UDP port 4791) to it?");
}

static int conn_failed(const struct verbs_event *event, struct error *err)
{
	const char *reason = event->status < 0 ? strerror(-event->status) : rdma_event_str(event->type);

	switch (event->type) {
	case RDMA_CM_EVENT_REJECTED:
		return conn_rejected(event, err);
	case RDMA_CM_EVENT_ADDR_ERROR:
	case RDMA_CM_EVENT_ROUTE_ERROR:
		return error_set(err, event->status == -ETIMEDOUT ? -ETIMEDOUT : -EHOSTUNREACH,
				 "no RDMA device of this machine reaches the server's data port: %s", reason);
	case RDMA_CM_EVENT_UNREACHABLE:
		if (event->status == -ETIMEDOUT)
			return conn_timed_out(err);
		return error_set(err, -EHOSTUNREACH, "the server's data port cannot be reached: %s", reason);
	default:
		return error_set(err, -ECONNRESET, "connecting to the server's data port failed: %s", reason);
	}
}

/* Waits for the event that the last step of connecting ends with. */
static int conn_await(struct net_conn *conn, enum rdma_cm_event_type wanted, uint64_t deadline,
		      struct error *err)
{
	struct pollfd fd = {.fd = conn->events->fd, .events = POLLIN};
	struct verbs_event event;
	int rc, left_ms;

	for (;;) {
		rc = verbs_take_event(conn->events, &event);
		if (rc < 0)
			return verbs_failed(err, -rc, "connecting to the server's data port failed");
		if (rc > 0)
			return event.type == wanted ? 0 : conn_failed(&event, err);
		left_ms = deadline_left_ms(deadline);
		if (left_ms == 0)
			return conn_timed_out(err);
		if (poll(&fd, 1, left_ms) < 0 && errno != EINTR)
			return verbs_failed(err, errno, "waiting for the server's data port failed");
	}
}

/* A new identifier, on a device that leads there: that of the source, else the kernel's routes choose. */
static int conn_resolve_from(struct net_conn *conn, struct verbs_source *source, struct sockaddr_storage *to,
			     uint64_t deadline, struct error *err)
{
	struct sockaddr *from = source ? (struct sockaddr *)&source->address : NULL;

	conn->id = NULL;
	if (rdma_create_id(conn->events, &conn->id, NULL, RDMA_PS_TCP))
		return verbs_failed(err, errno, "opening the RDMA connection manager");
	if (rdma_resolve_addr(conn->id, from, (struct sockaddr *)to, deadline_left_ms(deadline)))
		return error_set(err, errno == ENODEV ? -ENODEV : -EHOSTUNREACH,
				 "no RDMA device of this machine leads to the server's data port: %s; see 'rdma link'",
				 strerror(errno));
	return conn_await(conn, RDMA_CM_EVENT_ADDR_RESOLVED, deadline, err);
}

static int conn_resolve_named(struct net_conn *conn, const char *name, struct sockaddr_storage *to, uint64_t deadline,
			      struct error *err)
{
	struct verbs_source source;
	char names[256];
	int rc = verbs_source_named(name, (struct sockaddr *)to, &source, err);

	if (rc)
		return rc;
	rc = conn_resolve_from(conn, &source, to, deadline, err);
	if (!rc)
		return 0;
	verbs_source_names((struct sockaddr *)to, names, sizeof(names));
	return error_set(err, rc,
			 "'%s', named by the variable fabric_device, does not lead to the server's data port (%s); this "
			 "machine has: %s",
			 name, strerror(-rc), names);
}

/* In place of the device where the kernel's routes lead: a nearer one, if it leads there as well. */
static void conn_resolve_nearer(struct net_conn *conn, struct sockaddr_storage *to, uint64_t deadline)
{
	uint64_t soon = deadline_in_ms(NEARER_MS);
	struct rdma_cm_id *usual = conn->id, *spare;
	struct verbs_source source;
	struct error why = {0};

	if (!usual->verbs || !verbs_source_nearer(ibv_get_device_name(usual->verbs->device), (struct sockaddr *)to, &source))
		return;
	if (conn_resolve_from(conn, &source, to, soon < deadline ? soon : deadline, &why)) {
		log_debug("verbs: %s is nearer but not used: %s", source.device, why.text);
		spare = conn->id;
		conn->id = usual;
	} else {
		spare = usual;
	}
	if (spare)
		rdma_destroy_id(spare);
}

static int conn_resolve(struct net_conn *conn, const char *device, struct sockaddr_storage *to, uint64_t deadline,
			struct error *err)
{
	bool named = device && *device;
	int rc = named ? conn_resolve_named(conn, device, to, deadline, err)
		       : conn_resolve_from(conn, NULL, to, deadline, err);

	if (rc)
		return rc;
	if (!named)
		conn_resolve_nearer(conn, to, deadline);
	if (rdma_resolve_route(conn->id, deadline_left_ms(deadline)))
		return verbs_failed(err, errno, "finding a route to the server's data port");
	return conn_await(conn, RDMA_CM_EVENT_ROUTE_RESOLVED, deadline, err);
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* As asked for, as far as the device goes. */
static int conn_limit(struct net_conn *conn, const struct net_params *params, struct ibv_device_attr *device,
		      struct error *err)
{
	struct net_limits *limits = &conn->limits;
	struct ibv_port_attr port;

	if (ibv_query_device(conn->id->verbs, device) ||
	    ibv_query_port(conn->id->verbs, conn->id->port_num, &port))
		return verbs_failed(err, errno, "asking the RDMA device what it can do");
	limits->chunk_bytes = params->chunk_bytes ? params->chunk_bytes : CHUNK_BYTES_DEFAULT;
	if (limits->chunk_bytes > port.max_msg_sz)
		limits->chunk_bytes = port.max_msg_sz;
	/* A transfer of many ranges becomes several requests. */
	limits->local_ranges = limits->remote_ranges = NET_PIECES_MAX;
	conn->sges = least(NET_PIECES_MAX, (unsigned)device->max_sge);
	if (device->max_sge_rd > 0)
		conn->sges = least(conn->sges, (unsigned)device->max_sge_rd);
	limits->window = params->window ? params->window : WINDOW_DEFAULT;
	conn->depth = least((unsigned)device->max_qp_wr, (unsigned)device->max_cqe - 1);
	if (conn->depth < NET_PIECES_MAX)
		return error_set(err, -ENODEV, "the RDMA device %s takes %u requests at a time; %u are needed",
				 ibv_get_device_name(conn->id->verbs->device), conn->depth, NET_PIECES_MAX);
	limits->window = least(limits->window, conn->depth);
	conn->depth = least(conn->depth, limits->window * NET_PIECES_MAX);
	return 0;
}

/* A queue pair whose requests may be of these kinds, besides writes and reads: *_WITH_FLUSH and *_WITH_ATOMIC_WRITE. */
static int conn_create_queue_pair_for(struct net_conn *conn, uint64_t kinds, unsigned inline_bytes)
{
	struct ibv_qp_init_attr_ex attr = {
	    .send_cq = conn->cq,
	    .recv_cq = conn->cq,
	    .cap = {.max_send_wr = conn->depth,
		    .max_recv_wr = 1, /* nobody sends messages */
		    .max_send_sge = conn->sges,
		    .max_recv_sge = 1,
		    .max_inline_data = inline_bytes},
	    .qp_type = IBV_QPT_RC,
	    .comp_mask = IBV_QP_INIT_ATTR_PD,
	    .pd = conn->pd,
	};

	if (kinds) {
		attr.comp_mask |= IBV_QP_INIT_ATTR_SEND_OPS_FLAGS;
		attr.send_ops_flags = kinds | IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_READ;
	}
	if (rdma_create_qp_ex(conn->id, &attr))
		return -1;
	conn->inline_bytes = attr.cap.max_inline_data;
	return 0;
}

/* Whether a device has these requests is seen by asking for them; whether its peer takes them, by the first one. */
static int conn_create_queue_pair(struct net_conn *conn)
{
	static const uint64_t kinds[] = {
#ifdef HAVE_IBV_WR_FLUSH
	    IBV_QP_EX_WITH_FLUSH | IBV_QP_EX_WITH_ATOMIC_WRITE,
	    IBV_QP_EX_WITH_FLUSH,
#endif
	    0,
	};

	conn->limits.persist = 1u << PERSIST_SERVER | 1u << PERSIST_READ;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (kinds[i] && verbs_switched_off("HOLDFAST_VERBS_FLUSH"))
			continue;
		if (conn_create_queue_pair_for(conn, kinds[i], INLINE_BYTES) &&
		    conn_create_queue_pair_for(conn, kinds[i], 0))
			continue;
		conn->limits.persist |= kinds[i] ? VERBS_FLUSH : 0;
		conn->limits.seals = kinds[i] & IBV_QP_EX_WITH_ATOMIC_WRITE;
		return 0;
	}
	return -1;
}

static int conn_equip(struct net_conn *conn, struct error *err)
{
	const char *what = "opening a protection domain";

	conn->pd = ibv_alloc_pd(conn->id->verbs);
	if (!conn->pd)
		goto failed;
	conn->memory.pd = conn->pd;
	what = "opening a completion queue";
	conn->completions = ibv_create_comp_channel(conn->id->verbs);
	if (!conn->completions)
		goto failed;
	conn->cq = ibv_create_cq(conn->id->verbs, (int)conn->depth + 1, NULL, conn->completions, 0);
	if (!conn->cq)
		goto failed;
	what = "creating a queue pair (is the limit on locked memory, ulimit -l, too low?)";
	if (conn_create_queue_pair(conn))
		goto failed;
	return 0;

failed:
	return verbs_failed(err, errno, what);
}

static int conn_establish(struct net_conn *conn, const uint8_t token[NET_TOKEN_BYTES],
			  const struct ibv_device_attr *device, uint64_t deadline, struct error *err)
{
	struct rdma_conn_param param = {
	    .private_data = token,
	    .private_data_len = NET_TOKEN_BYTES,
	    .initiator_depth = (uint8_t)least(READS_MAX, (unsigned)device->max_qp_init_rd_atom),
	    .retry_count = RETRIES,
	    .rnr_retry_count = RETRIES,
	};
	uint8_t timeout = ACK_TIMEOUT;

	/* Where the kernel has no such option, its own holds, and the deadlines of transfers. */
	rdma_set_option(conn->id, RDMA_OPTION_ID, RDMA_OPTION_ID_ACK_TIMEOUT, &timeout, sizeof(timeout));
	if (rdma_connect(conn->id, &param))
		return verbs_failed(err, errno, "connecting to the server's data port failed");
	return conn_await(conn, RDMA_CM_EVENT_ESTABLISHED, deadline, err);
}

/* An application that forks keeps its memory: newer kernels see to that, older ones must be asked in time. */
static void prepare_for_forks(void)
{
	if (ibv_is_fork_initialized() == IBV_FORK_DISABLED && ibv_fork_init())
		log_debug("verbs: memory was registered before fork support was asked for; a child may lack pages");
}

int verbs_connect(const struct net_params *params, const struct net_address *address,
		  const uint8_t token[NET_TOKEN_BYTES], uint64_t deadline, struct net_conn **out,
		  struct error *err)
{
	struct ibv_device_attr device = {0};
	struct sockaddr_storage to;
	struct net_conn *conn;
	int rc = verbs_sockaddr(address, &to, err);

	if (rc)
		return rc;
	conn = calloc(1, sizeof(*conn));
	if (!conn)
		return error_nomem(err, "a connection");
	prepare_for_forks();
	rc = verbs_open_channel(&conn->events, err);
	if (!rc)
		rc = conn_resolve(conn, params->device, &to, deadline, err);
	if (!rc)
		rc = conn_limit(conn, params, &device, err);
	if (!rc)
		rc = conn_equip(conn, err);
	if (!rc)
		rc = conn_establish(conn, token, &device, deadline, err);
	/* That it was bound there proves no way from there to the server. */
	if (rc && conn->id && conn->id->verbs && params->device && *params->device)
		error_context(err, "over '%s', as the variable fabric_device says", params->device);
	if (rc) {
		verbs_disconnect(conn);
		return rc;
	}
	*out = conn;
	return 0;
}

void verbs_disconnect(struct net_conn *conn)
{
	if (!conn)
		return;
	/* The queue pair goes first: with it, the device's hold on local memory. */
	if (conn->id && conn->id->qp) {
		verbs_stop(conn->id->qp);
		rdma_disconnect(conn->id); /* tells the target */
		rdma_destroy_qp(conn->id);
	}
	verbs_memory_clear(&conn->memory);
	if (conn->cq) {
		ibv_ack_cq_events(conn->cq, conn->unacked);
		ibv_destroy_cq(conn->cq);
	}
	if (conn->completions)
		ibv_destroy_comp_channel(conn->completions);
	if (conn->pd)
		ibv_dealloc_pd(conn->pd);
	if (conn->id)
		rdma_destroy_id(conn->id);
	if (conn->events)
		rdma_destroy_event_channel(conn->events);
	free(conn);
}

void verbs_limits(const struct net_conn *conn, struct net_limits *limits)
{
	*limits = conn->limits;
}

int verbs_register_local(struct net_conn *conn, void *base, size_t bytes, unsigned use, void **registration,
			 struct error *err)
{
	struct verbs_range *range = NULL;
	int rc = verbs_memory_add(&conn->memory, base, bytes, use, &range, err);

	*registration = range;
	return rc;
}

void verbs_unregister_local(struct net_conn *conn, void *registration)
{
	if (registration)
		verbs_memory_drop(&conn->memory, registration);
}

void verbs_forget_local(struct net_conn *conn, const void *base, size_t bytes)
{
	verbs_memory_forget(&conn->memory, base, bytes);
}
