/* SPDX-License-Identifier: BSD-3-Clause */
/* verbs_conn.h - inside the initiator's half: connecting (verbs_conn.c) and transfers (verbs_transfer.c). */
#ifndef HOLDFAST_VERBS_CONN_H
#define HOLDFAST_VERBS_CONN_H

#include "net/verbs_memory.h"

struct net_conn {
	struct rdma_event_channel *events;
	struct rdma_cm_id *id; /* with the queue pair */
	struct ibv_pd *pd;
	struct ibv_comp_channel *completions;
	struct ibv_cq *cq;
	bool armed;	  /* the next completion fires the channel */
	unsigned unacked; /* events of the channel */

	struct net_limits limits;
	unsigned sges, inline_bytes; /* of one request */
	unsigned depth;		     /* requests that the queue takes */

	unsigned in_flight; /* transfers */
	unsigned posted;    /* their requests */
	bool failed;	    /* a request failed: the queue pair does nothing more */
	int lost;	    /* -errno once the connection is gone */
	struct verbs_memory memory;
};

/* ---- verbs_transfer.c ---- */

/* What comes next on `qp` is a request of the transfer; its last one asks for a completion. Returns 1. */
unsigned verbs_request_mark(struct ibv_qp_ex *qp, const struct net_transfer *transfer, bool last);

/* So many requests of the transfer are posted: it can be reaped. */
void verbs_transfer_posted(struct net_conn *conn, struct net_transfer *transfer, unsigned requests);

/* Gives up what is in flight, and the connection. */
void verbs_abandon(struct net_conn *conn, int status);

#endif
