/* SPDX-License-Identifier: BSD-3-Clause */
/* verbs.h - what the two halves of the verbs back end share: verbs_target.c and verbs_conn.c. */
#ifndef HOLDFAST_VERBS_H
#define HOLDFAST_VERBS_H

#include "config.h"

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>
#include <sys/socket.h>

#include "common/error.h"
#include "net/net.h"

/* What the target says when it rejects a token, so that it differs from a port nobody listens on. */
#define VERBS_REJECTED "holdfast: token"

/* What this rdma-core can do of RDMA FLUSH. */
#ifdef HAVE_IBV_WR_FLUSH
#define VERBS_FLUSH	   (1u << PERSIST_FLUSH)
#define VERBS_ACCESS_FLUSH (IBV_ACCESS_FLUSH_GLOBAL | IBV_ACCESS_FLUSH_PERSISTENT)
#else
#define VERBS_FLUSH	   0u
#define VERBS_ACCESS_FLUSH 0
#endif

/* An event of connection management, already acknowledged: who frees its id waits for nobody. */
struct verbs_event {
	enum rdma_cm_event_type type;
	int status;
	struct rdma_cm_id *id;		   /* of a request: the new one, the taker's */
	const struct rdma_cm_id *listener; /* of a request */
	uintptr_t context;		   /* of the id */
	uint8_t reads;			   /* of a request: reads that the peer wants in flight */
	size_t bytes;
	uint8_t data[64];
};

/* "what: reason" for a positive errno, which is returned negative. */
int verbs_failed(struct error *err, int code, const char *what);

/* A channel that never blocks. -ENODEV: this machine has no RDMA. */
int verbs_open_channel(struct rdma_event_channel **channel, struct error *err);

/* What came with an event, as much of it as there is room for. */
void verbs_event_keep(struct verbs_event *event, const void *data, size_t bytes);

/* The next event: 1, 0 where there is none, -errno. */
int verbs_take_event(struct rdma_event_channel *channel, struct verbs_event *event);

/* An address came over the wire, with one of each rail: how many, or -EINVAL where it is not what its family says. */
int verbs_sockaddrs(const struct net_address *address, struct sockaddr_storage sockaddrs[NET_RAILS_MAX],
		    struct error *err);

socklen_t verbs_sockaddr_bytes(const struct sockaddr *address);

/*
 * Registers memory: by demand paging where it cannot be pinned, the device can do that, and HOLDFAST_VERBS_ODP is not
 * "no" (*on_demand, which may be NULL, tells). The error says what is in the way and what helps.
 */
int verbs_register(struct ibv_pd *pd, void *base, size_t bytes, int access, struct ibv_mr **mr, bool *on_demand,
		   struct error *err);

/* Is this environment variable "no"? */
bool verbs_switched_off(const char *name);

/* Cuts a queue pair off: nothing comes in or goes out any more. */
void verbs_stop(struct ibv_qp *qp);

int verbs_listen(const struct net_params *params, struct net_target **target, struct net_address *address,
		 struct error *err);
int verbs_target_admit(struct net_target *target, uint64_t peer, uint64_t group, const uint8_t token[NET_TOKEN_BYTES],
		       struct error *err);
void verbs_target_expel(struct net_target *target, uint64_t peer);
int verbs_expose(struct net_target *target, uint64_t peer, void *base, size_t bytes, unsigned rights,
		 struct net_grant **grant, struct net_key *key, struct error *err);
void verbs_revoke(struct net_grant *grant);
void verbs_forget(struct net_target *target, const void *base, size_t bytes);
int verbs_try_memory(struct net_target *target, void *base, size_t bytes, unsigned rights, struct error *err);
void verbs_target_close(struct net_target *target);

int verbs_connect(const struct net_params *params, const struct net_address *address,
		  const uint8_t token[NET_TOKEN_BYTES], uint64_t deadline, struct net_conn **conn,
		  struct error *err);
void verbs_limits(const struct net_conn *conn, struct net_limits *limits);
int verbs_register_local(struct net_conn *conn, void *base, size_t bytes, unsigned use, void **registration,
			 struct error *err);
void verbs_unregister_local(struct net_conn *conn, void *registration);
void verbs_forget_local(struct net_conn *conn, const void *base, size_t bytes);
int verbs_submit(struct net_conn *conn, const struct net_key *key, struct net_transfer *transfer,
		 struct error *err);
int verbs_reap(struct net_conn *conn, struct net_transfer **done, unsigned max, uint64_t deadline,
	       struct error *err);
int verbs_persist_range(struct net_conn *conn, const struct net_key *key, enum persist_method method, uint64_t bytes,
			const struct net_seal *seal, uint64_t deadline, struct error *err);
void verbs_disconnect(struct net_conn *conn);

#endif
