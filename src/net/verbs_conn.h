/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verbs_conn.h - inside the initiator's half: connecting over one rail (verbs_rail.c) and over all (verbs_conn.c),
 * transfers (verbs_transfer.c).
 */
#ifndef HOLDFAST_VERBS_CONN_H
#define HOLDFAST_VERBS_CONN_H

#include "net/verbs_memory.h"

/* A reliable connection to one of the target's addresses. */
struct rail {
	unsigned number; /* of the address, and of the key for it */
	struct rdma_event_channel *events;
	struct rdma_cm_id *id; /* with the queue pair */
	unsigned domain;       /* of verbs_memory */
	struct ibv_comp_channel *completions;
	struct ibv_cq *cq;
	bool armed;	  /* the next completion fires the channel */
	unsigned unacked; /* events of the channel */

	struct net_limits limits;
	unsigned sges, inline_bytes; /* of one request */
	unsigned depth;		     /* requests that the queue takes */

	unsigned in_flight; /* transfers */
	unsigned posted;    /* their requests */
	uint64_t bytes;	    /* that were given to it so far */
	bool failed;	    /* a request failed: the queue pair does nothing more */
};

struct net_conn {
	struct rail rails[NET_RAILS_MAX];
	unsigned rail_count;
	unsigned first; /* the rail of the first transfer: not the same one for all of a job's ranks */
	struct net_limits limits;
	int lost; /* -errno once a rail is gone */
	struct verbs_memory memory;
};

/* ---- verbs_rail.c ---- */

/* Connects, from the device of this name, else from a near one that is none of `used`, names that end with NULL. */
int verbs_rail_open(struct rail *rail, const struct net_params *params, const char *device, const char *const used[],
		    struct sockaddr_storage *to, const uint8_t token[NET_TOKEN_BYTES], uint64_t deadline,
		    struct verbs_memory *memory, struct error *err);
const char *verbs_rail_device(const struct rail *rail);

/* Two steps: with the queue pair the device's hold on local memory goes; the rest, once that is unregistered. */
void verbs_rail_stop(struct rail *rail);
void verbs_rail_close(struct rail *rail);

/* ---- verbs_transfer.c ---- */

/* What comes next on `qp` is a request of the transfer; its last one asks for a completion. Returns 1. */
unsigned verbs_request_mark(struct ibv_qp_ex *qp, const struct net_transfer *transfer, bool last);

/* So many requests of the transfer are posted: it can be reaped. */
void verbs_transfer_posted(struct rail *rail, struct net_transfer *transfer, unsigned requests);

/* Transfers on all rails. */
unsigned verbs_in_flight(const struct net_conn *conn);

/* As net_ops.submit(), on this rail. */
int verbs_submit_on(struct net_conn *conn, struct rail *rail, const struct net_key *key, struct net_transfer *transfer,
		    struct error *err);

/* Gives up what is in flight, and the connection. */
void verbs_abandon(struct net_conn *conn, int status);

#endif
