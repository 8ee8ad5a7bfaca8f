/* SPDX-License-Identifier: BSD-3-Clause */
/* verbs_rail.c - the initiator's connection over one rail. */
#include "net/verbs_conn.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "net/piece.h"
#include "net/verbs_source.h"

#define CHUNK_BYTES_DEFAULT (1u << 20)
#define WINDOW_DEFAULT	    16u
#define INLINE_BYTES	    128u
#define READS_MAX	    16
#define RETRIES		    7
/* 4.096 us * 2^16 for an answer, RETRIES times: a peer that is gone is noticed within 2 to 8 s. */
#define ACK_TIMEOUT	    16
#define BETTER_MS	    1000u /* for a device to prove that it leads to the server, too */
#define REJECT_NO_SERVICE   8 /* of InfiniBand's connection manager: nobody listens */

const char *verbs_rail_device(const struct rail *rail)
{
	return ibv_get_device_name(rail->id->verbs->device);
}

static int rail_rejected(const struct verbs_event *event, struct error *err)
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

static int rail_timed_out(struct error *err)
{
	return error_set(err, -ETIMEDOUT,
			 "the server's data port did not answer in time: is it the data port of a pmu-server, and does "
			 "the network carry RDMA (RoCE: UDP port 4791) to it?");
}

static int rail_failed(const struct verbs_event *event, struct error *err)
{
	const char *reason = event->status < 0 ? strerror(-event->status) : rdma_event_str(event->type);

	switch (event->type) {
	case RDMA_CM_EVENT_REJECTED:
		return rail_rejected(event, err);
	case RDMA_CM_EVENT_ADDR_ERROR:
	case RDMA_CM_EVENT_ROUTE_ERROR:
		return error_set(err, event->status == -ETIMEDOUT ? -ETIMEDOUT : -EHOSTUNREACH,
				 "no RDMA device of this machine reaches the server's data port: %s", reason);
	case RDMA_CM_EVENT_UNREACHABLE:
		if (event->status == -ETIMEDOUT)
			return rail_timed_out(err);
		return error_set(err, -EHOSTUNREACH, "the server's data port cannot be reached: %s", reason);
	default:
		return error_set(err, -ECONNRESET, "connecting to the server's data port failed: %s", reason);
	}
}

/* Waits for the event that the last step of connecting ends with. */
static int rail_await(struct rail *rail, enum rdma_cm_event_type wanted, uint64_t deadline,
		      struct error *err)
{
	struct pollfd fd = {.fd = rail->events->fd, .events = POLLIN};
	struct verbs_event event;
	int rc, left_ms;

	for (;;) {
		rc = verbs_take_event(rail->events, &event);
		if (rc < 0)
			return verbs_failed(err, -rc, "connecting to the server's data port failed");
		if (rc > 0)
			return event.type == wanted ? 0 : rail_failed(&event, err);
		left_ms = deadline_left_ms(deadline);
		if (left_ms == 0)
			return rail_timed_out(err);
		if (poll(&fd, 1, left_ms) < 0 && errno != EINTR)
			return verbs_failed(err, errno, "waiting for the server's data port failed");
	}
}

/* A new identifier, on a device that leads there: that of the source, else the kernel's routes choose. */
static int rail_resolve_from(struct rail *rail, struct verbs_source *source, struct sockaddr_storage *to,
			     uint64_t deadline, struct error *err)
{
	struct sockaddr *from = source ? (struct sockaddr *)&source->address : NULL;

	rail->id = NULL;
	if (rdma_create_id(rail->events, &rail->id, NULL, RDMA_PS_TCP))
		return verbs_failed(err, errno, "opening the RDMA connection manager");
	if (rdma_resolve_addr(rail->id, from, (struct sockaddr *)to, deadline_left_ms(deadline)))
		return error_set(err, errno == ENODEV ? -ENODEV : -EHOSTUNREACH,
				 "no RDMA device of this machine leads to the server's data port: %s; see 'rdma link'",
				 strerror(errno));
	return rail_await(rail, RDMA_CM_EVENT_ADDR_RESOLVED, deadline, err);
}

static int rail_resolve_named(struct rail *rail, const char *name, struct sockaddr_storage *to, uint64_t deadline,
			      struct error *err)
{
	struct verbs_source source;
	char names[256];
	int rc = verbs_source_named(name, (struct sockaddr *)to, &source, err);

	if (rc)
		return rc;
	rc = rail_resolve_from(rail, &source, to, deadline, err);
	if (!rc)
		return 0;
	verbs_source_names((struct sockaddr *)to, names, sizeof(names));
	return error_set(err, rc,
			 "'%s', named by the variable fabric_device, does not lead to the server's data port (%s); this "
			 "machine has: %s",
			 name, strerror(-rc), names);
}

/* In place of the device where the kernel's routes lead: a better one, if it leads there as well. */
static void rail_resolve_better(struct rail *rail, const char *const used[], struct sockaddr_storage *to,
				uint64_t deadline)
{
	uint64_t soon = deadline_in_ms(BETTER_MS);
	struct rdma_cm_id *usual = rail->id, *spare;
	struct verbs_source source;
	struct error why = {0};

	if (!usual->verbs || !verbs_source_better(verbs_rail_device(rail), used, (struct sockaddr *)to, &source))
		return;
	if (rail_resolve_from(rail, &source, to, soon < deadline ? soon : deadline, &why)) {
		log_debug("verbs: %s would be better but is not used: %s", source.device, why.text);
		spare = rail->id;
		rail->id = usual;
	} else {
		spare = usual;
	}
	if (spare)
		rdma_destroy_id(spare);
}

static int rail_resolve(struct rail *rail, const char *device, const char *const used[], struct sockaddr_storage *to,
			uint64_t deadline, struct error *err)
{
	int rc = device ? rail_resolve_named(rail, device, to, deadline, err)
			: rail_resolve_from(rail, NULL, to, deadline, err);

	if (rc)
		return rc;
	if (!device)
		rail_resolve_better(rail, used, to, deadline);
	if (rdma_resolve_route(rail->id, deadline_left_ms(deadline)))
		return verbs_failed(err, errno, "finding a route to the server's data port");
	return rail_await(rail, RDMA_CM_EVENT_ROUTE_RESOLVED, deadline, err);
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* As asked for, as far as the device goes. */
static int rail_limit(struct rail *rail, const struct net_params *params, struct ibv_device_attr *device,
		      struct error *err)
{
	struct net_limits *limits = &rail->limits;
	struct ibv_port_attr port;

	if (ibv_query_device(rail->id->verbs, device) ||
	    ibv_query_port(rail->id->verbs, rail->id->port_num, &port))
		return verbs_failed(err, errno, "asking the RDMA device what it can do");
	limits->chunk_bytes = chunk_wanted(params, CHUNK_BYTES_DEFAULT);
	if (limits->chunk_bytes > port.max_msg_sz)
		limits->chunk_bytes = port.max_msg_sz;
	/* A transfer of many ranges becomes several requests. */
	limits->local_ranges = limits->remote_ranges = NET_PIECES_MAX;
	rail->sges = least(NET_PIECES_MAX, (unsigned)device->max_sge);
	if (device->max_sge_rd > 0)
		rail->sges = least(rail->sges, (unsigned)device->max_sge_rd);
	limits->window = params->window ? params->window : WINDOW_DEFAULT;
	rail->depth = least((unsigned)device->max_qp_wr, (unsigned)device->max_cqe - 1);
	if (rail->depth < NET_PIECES_MAX)
		return error_set(err, -ENODEV, "the RDMA device %s takes %u requests at a time; %u are needed",
				 verbs_rail_device(rail), rail->depth, NET_PIECES_MAX);
	limits->window = least(limits->window, rail->depth);
	rail->depth = least(rail->depth, limits->window * NET_PIECES_MAX);
	return 0;
}

/* A queue pair whose requests may be of these kinds, besides writes and reads: *_WITH_FLUSH and *_WITH_ATOMIC_WRITE. */
static int rail_create_queue_pair_for(struct rail *rail, struct ibv_pd *pd, uint64_t kinds, unsigned inline_bytes)
{
	struct ibv_qp_init_attr_ex attr = {
	    .send_cq = rail->cq,
	    .recv_cq = rail->cq,
	    .cap = {.max_send_wr = rail->depth,
		    .max_recv_wr = 1, /* nobody sends messages */
		    .max_send_sge = rail->sges,
		    .max_recv_sge = 1,
		    .max_inline_data = inline_bytes},
	    .qp_type = IBV_QPT_RC,
	    .comp_mask = IBV_QP_INIT_ATTR_PD,
	    .pd = pd,
	};

	if (kinds) {
		attr.comp_mask |= IBV_QP_INIT_ATTR_SEND_OPS_FLAGS;
		attr.send_ops_flags = kinds | IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_READ;
	}
	if (rdma_create_qp_ex(rail->id, &attr))
		return -1;
	rail->inline_bytes = attr.cap.max_inline_data;
	return 0;
}

/* Whether a device has these requests is seen by asking for them; whether its peer takes them, by the first one. */
static int rail_create_queue_pair(struct rail *rail, struct ibv_pd *pd)
{
	static const uint64_t kinds[] = {
#ifdef HAVE_IBV_WR_FLUSH
	    IBV_QP_EX_WITH_FLUSH | IBV_QP_EX_WITH_ATOMIC_WRITE,
	    IBV_QP_EX_WITH_FLUSH,
#endif
	    0,
	};

	rail->limits.persist = 1u << PERSIST_SERVER | 1u << PERSIST_READ;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (kinds[i] && verbs_switched_off("HOLDFAST_VERBS_FLUSH"))
			continue;
		if (rail_create_queue_pair_for(rail, pd, kinds[i], INLINE_BYTES) &&
		    rail_create_queue_pair_for(rail, pd, kinds[i], 0))
			continue;
		rail->limits.persist |= kinds[i] ? VERBS_FLUSH : 0;
		rail->limits.seals = kinds[i] & IBV_QP_EX_WITH_ATOMIC_WRITE;
		return 0;
	}
	return -1;
}

static int rail_equip(struct rail *rail, struct verbs_memory *memory, struct error *err)
{
	const char *what = "opening a completion queue";
	int domain = verbs_memory_domain(memory, rail->id->verbs, err);

	if (domain < 0)
		return domain;
	rail->domain = (unsigned)domain;
	rail->completions = ibv_create_comp_channel(rail->id->verbs);
	if (!rail->completions)
		goto failed;
	rail->cq = ibv_create_cq(rail->id->verbs, (int)rail->depth + 1, NULL, rail->completions, 0);
	if (!rail->cq)
		goto failed;
	what = "creating a queue pair (is the limit on locked memory, ulimit -l, too low?)";
	if (rail_create_queue_pair(rail, memory->domains[domain]))
		goto failed;
	return 0;

failed:
	return verbs_failed(err, errno, what);
}

static int rail_establish(struct rail *rail, const uint8_t token[NET_TOKEN_BYTES],
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
	rdma_set_option(rail->id, RDMA_OPTION_ID, RDMA_OPTION_ID_ACK_TIMEOUT, &timeout, sizeof(timeout));
	if (rdma_connect(rail->id, &param))
		return verbs_failed(err, errno, "connecting to the server's data port failed");
	return rail_await(rail, RDMA_CM_EVENT_ESTABLISHED, deadline, err);
}

int verbs_rail_open(struct rail *rail, const struct net_params *params, const char *device, const char *const used[],
		    struct sockaddr_storage *to, const uint8_t token[NET_TOKEN_BYTES], uint64_t deadline,
		    struct verbs_memory *memory, struct error *err)
{
	struct ibv_device_attr attr = {0};
	unsigned domains = memory->domain_count;
	int rc = verbs_open_channel(&rail->events, err);

	if (!rc)
		rc = rail_resolve(rail, device, used, to, deadline, err);
	if (!rc)
		rc = rail_limit(rail, params, &attr, err);
	if (!rc)
		rc = rail_equip(rail, memory, err);
	if (!rc)
		rc = rail_establish(rail, token, &attr, deadline, err);
	if (!rc)
		return 0;
	/* That it was bound there proves no way from there to the server. */
	if (rail->id && rail->id->verbs && device)
		error_context(err, "over '%s', as the variable fabric_device says", device);
	verbs_rail_stop(rail);
	verbs_memory_trim(memory, domains);
	verbs_rail_close(rail);
	return rc;
}

void verbs_rail_stop(struct rail *rail)
{
	if (!rail->id || !rail->id->qp)
		return;
	verbs_stop(rail->id->qp);
	rdma_disconnect(rail->id); /* tells the target */
	rdma_destroy_qp(rail->id);
}

void verbs_rail_close(struct rail *rail)
{
	if (rail->cq) {
		ibv_ack_cq_events(rail->cq, rail->unacked);
		ibv_destroy_cq(rail->cq);
	}
	if (rail->completions)
		ibv_destroy_comp_channel(rail->completions);
	if (rail->id)
		rdma_destroy_id(rail->id);
	if (rail->events)
		rdma_destroy_event_channel(rail->events);
	*rail = (struct rail){0};
}
