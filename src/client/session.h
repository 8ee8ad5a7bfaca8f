/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session.h - inside the client: its connections, and how they come back when the server went away. Calls
 * of client.h are written as attempts that client_retry() repeats on a fresh session.
 */
#ifndef HOLDFAST_CLIENT_SESSION_H
#define HOLDFAST_CLIENT_SESSION_H

#include "client/client.h"
#include "client/control.h"
#include "net/net.h"

struct client {
	struct client_options options;
	struct client_identity identity;
	char *job;
	uint32_t owner; /* of the job; WIRE_UID_SELF */
	uint8_t id[16]; /* of this process, random */
	struct control control;
	const struct net_ops *net;
	struct net_conn *conn; /* NULL: no data plane */
	bool attached;
	enum persist_method persist; /* of this session */
	bool persist_failed;	     /* once, other than PERSIST_SERVER: not tried again */
	uint64_t generation; /* 0: never attached */
	uint64_t launch_generation;
	bool fenced;
	struct error fence;
	uint64_t log_room; /* append mode: what the server said last */
	uint32_t chain;	   /* append mode: as log_room, increments that follow the newest base */
	size_t set_count;
	struct set_info *sets; /* room for one more than there are */
};

/* One try of something, on a session that is attached. -errno; retried where session_is_transient(). */
typedef int session_attempt_fn(struct client *client, void *arg, struct error *err);

/* Attaches where needed and calls `attempt`, until it succeeds, fails for good, or the server was away
 * for reconnect_ms. */
int session_retry(struct client *client, session_attempt_fn *attempt, void *arg, struct error *err);

/* The same, once, and without waiting: what fails drops the session, unless the server just said no. */
int session_try(struct client *client, session_attempt_fn *attempt, void *arg, struct error *err);

/* Drops both connections; the server discards an unfinished set. */
void session_drop(struct client *client);

/* A deadline for a request in which the server works on `bytes` bytes: timeout_ms, and what a slow medium
 * takes (20 MB/s). */
uint64_t session_deadline(const struct client *client, uint64_t bytes);

#endif
