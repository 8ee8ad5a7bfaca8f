/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session.h - one client's control connection: its state, what it said of itself, and what it holds. It is
 * a lease: when the connection ends, so does the session, and an unfinished set with it.
 *
 * A request that needs the NI goes on in a callback; until its reply is sent, the session handles no other
 * (`busy`). A session that ends meanwhile is only closed then, and freed when nothing of it is pending in
 * the NI and the NI has cut its peer off: so that whoever waits to take over finds nothing still moving.
 */
#ifndef HOLDFAST_SESSION_H
#define HOLDFAST_SESSION_H

#include <event2/bufferevent.h>
#include <stdbool.h>
#include <stdint.h>
#include "common/address.h"
#include "pmu/ni_process.h"
#include "wire/seal.h"
#include "wire/wire.h"

struct server;
struct job;
struct region;

enum session_state {
	SESSION_NEW,	   /* connected; nothing said */
	SESSION_CHALLENGED, /* HELLO answered; PROOF is due */
	SESSION_READY,	   /* authenticated; holds no region */
	SESSION_ATTACHED,  /* primary of a region, no set begun */
	SESSION_WRITING,   /* a set is begun, its slot exposed */
	SESSION_CLOSED,	   /* ended; waits for the NI */
};

struct session {
	struct server *server;
	struct session *next, **at; /* of the server's list */
	uint64_t id; /* the peer's number in the NI, too */
	enum session_state state;
	struct bufferevent *connection; /* NULL once closed */
	struct event *end; /* there from the start: what frees the session must not want memory */
	char peer[ADDRESS_TEXT_BYTES];
	bool local_socket; /* uid and pid are the kernel's */
	uint64_t since_ns, accepted_ns; /* of the clock on the wall, for people; monotonic */

	struct wire_hello hello;
	struct wire_hello_reply challenge;
	uint32_t uid, gid; /* gid may be RIGHTS_NO_GROUP */
	uint32_t *groups;  /* others of the peer's, where the kernel tells them */
	unsigned group_count;
	bool logged_in; /* authenticated */
	struct error refusal; /* that is to be sent in a while */
	struct seal seal; /* of its frames */

	/* the request being handled */
	bool busy;
	uint16_t type;
	uint64_t request_id;
	unsigned pending; /* orders that the NI has not answered */
	struct session *waits_for; /* its end, to take over or (FENCE) to answer */
	unsigned waiters;	   /* whose waits_for this is */
	const struct merging *waits_for_merge; /* its end, to begin a full set */

	/* READY and on */
	struct wire_open open;
	uint8_t token[NET_TOKEN_BYTES];
	struct ni_process *ni; /* NULL before, and where it died */
	struct job *job;
	struct region *region;
	uint64_t generation;
	bool mapped[SLOTS_MAX];
	bool merged; /* sets went since the last reply to COMMIT */

	/* the set begun */
	struct wire_begin begin;
	struct wire_commit commit;
	unsigned slot, step;
	uint64_t place; /* in the slot; not 0 in the log only */
	uint64_t capacity_bytes, grant, withdrawn_first, withdrawn_last;
	bool replaced; /* the slot lay on bad blocks, or was suspect, and what it held is withdrawn */
	bool local;    /* the client has mapped the slot, or may have */

	/* READ, VERIFY, FENCE */
	struct wire_read read;
	struct wire_grant read_grants[WIRE_READ_GRANTS_MAX];
	unsigned read_granted;
	struct wire_target target;
	struct region *target_region;
	uint64_t verified_digest; /* of the set's table */
};

/* Takes a connection over. */
void session_accept(struct server *server, int fd, const struct address *peer);

/* Ends the session, with the reason for the log. */
void session_close(struct session *session, const char *why);

/* Ends all sessions that use this NI (NULL: all sessions). */
void session_close_all_of(struct server *server, const struct ni_process *ni, const char *why);

/* Sends the reply to the request being handled, and handles the next. */
void session_reply(struct session *session, wire_fields_fn *fields, void *message);
void session_fail(struct session *session, const struct error *err);

/* As session_fail(), and ends the session once the reply is sent. */
void session_refuse(struct session *session, const struct error *err);

/* As session_refuse(), after a while: who guesses at secrets waits for each answer. */
void session_refuse_slowly(struct session *session, const struct error *err);

/* Somebody else has to do with it: it is not freed before the last session_unhold(), which tells whether it is still open. */
void session_hold(struct session *session);
bool session_unhold(struct session *session);

/* The set that was begun is given up; its client may not know. */
void session_slot_left(struct session *session);

/* It holds this region of the job, which no other session holds: it is the region's holder until it is freed. */
void session_enter_job(struct session *session, struct job *job, struct region *region);
/* The region was removed. */
void session_lose_region(struct session *session);
/* It holds nothing of its job any more: the job goes where nobody does. */
void session_leave_job(struct session *session);
/* The same, and it never began. */
void session_undo_job(struct session *session);

/* It has authenticated: false where there are too many sessions, or of this user, and it was refused. */
bool session_login(struct session *session);

/* An order to the session's NI; `done` gets the session, after `pending` went down. */
void session_order(struct session *session, struct ni_request *request, int fd,
		   void (*done)(struct session *session, const struct ni_reply *reply));

/* It waits for the other one's end; NULL: it does not wait any more. */
void session_wait_for(struct session *session, struct session *other);

const char *session_state_name(enum session_state state);

#endif
