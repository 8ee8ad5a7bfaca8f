/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * request.h - the requests: which state each is legal in, and what is done. Handlers unpack, check, act,
 * and answer once by session_reply() or session_fail(), now or in a callback.
 */
#ifndef HOLDFAST_REQUEST_H
#define HOLDFAST_REQUEST_H

#include <stddef.h>
#include <stdint.h>
#include "pmu/rights.h"
#include "pmu/session.h"

/* Handles one request. One that is illegal or malformed gets an error, and ends the session. */
void request_handle(struct session *session, const struct wire_header *header, const void *payload);

typedef void request_fn(struct session *session, const void *payload, size_t bytes);

/* attach.c */
void request_hello(struct session *session, const void *payload, size_t bytes);
void request_proof(struct session *session, const void *payload, size_t bytes);
void request_open(struct session *session, const void *payload, size_t bytes);
void request_open_again(struct session *session); /* when the former primary is gone */
/* set.c */
void request_begin(struct session *session, const void *payload, size_t bytes);
void request_begin_again(struct session *session); /* when a merge has ended */
void request_commit(struct session *session, const void *payload, size_t bytes);
void request_abort(struct session *session, const void *payload, size_t bytes);
/* read.c */
void request_read(struct session *session, const void *payload, size_t bytes);
void request_close(struct session *session, const void *payload, size_t bytes);
void request_verify(struct session *session, const void *payload, size_t bytes);
/* list.c */
void request_list(struct session *session, const void *payload, size_t bytes);
void request_show(struct session *session, const void *payload, size_t bytes);
void request_stat(struct session *session, const void *payload, size_t bytes);
/* ask.c */
void request_ask(struct session *session, const void *payload, size_t bytes);
void request_asked(struct session *session, const void *payload, size_t bytes);
void request_record(struct session *session, const void *payload, size_t bytes);
void request_fence(struct session *session, const void *payload, size_t bytes);
void request_fence_again(struct session *session); /* when one that wrote the job is gone */
/* share.c */
void request_share(struct session *session, const void *payload, size_t bytes);
/* users.c */
void request_users(struct session *session, const void *payload, size_t bytes);
/* drop.c */
void request_drop(struct session *session, const void *payload, size_t bytes);

/* ---- shared by handlers ---- */

/* Unpacks, or refuses the request (-EBADMSG) and tells false. */
bool request_unpack(struct session *session, const void *payload, size_t bytes,
		    wire_fields_fn *fields, void *message);

/* The job that a tool names, if the session may do what takes `share`; else fails the request: -ENOENT, or, where the
 * session may know of the job, -EACCES. */
struct job *request_job(struct session *session, const struct wire_target *target, enum job_share share);

/* Ends every grant that reaches any of [offset, offset + bytes) of the slot's file, in the NI and in the ATT. */
void request_revoke(struct server *server, uint64_t file, uint64_t offset, uint64_t bytes);

/* Bytes of the largest increment that the log has room for; 0 where a full set is better: its slots have to grow first,
 * so that there is room for a base of all that there is. */
uint64_t request_log_room(const struct region *region);

/* Others get the room on the device that dropped regions had, where nobody can reach it any more. */
void request_release(struct server *server);

/* Makes the order to map `bytes` of the slot, which has so many, and its descriptor, the caller's. */
int request_map_order(struct region *region, unsigned slot, uint64_t bytes, struct ni_request *request, int *fd,
		      struct error *err);

/* Has the NI map the slot as large as it is, and goes on with `done`; or fails the request. */
void request_map(struct session *session, struct region *region, unsigned slot,
		 void (*done)(struct session *session, const struct ni_reply *reply));

#endif
