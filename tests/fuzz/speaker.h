/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * speaker.h - a peer of a live server, which says what it may, and what it may not: requests in any state, fields with
 * any value, frames that are cut, too long or none at all.
 *
 * It knows what the server has to make of that: a frame that is whole is answered, or the connection ends, in time; a
 * reply is well formed, and one to what was asked; what the session's state forbids is refused, and ends it. A server
 * that does otherwise fails the test.
 */
#ifndef HOLDFAST_SPEAKER_H
#define HOLDFAST_SPEAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "net/net.h"
#include "wire/auth.h"
#include "wire/wire.h"

#define SPEAKER_ASKED_MAX 4
#define SPEAKER_STRANGER  12345 /* uid of some; as root only */
#define SPEAKER_HONEST	  "honest" /* what names of jobs begin with that are none of theirs */

enum speaker_mood {
	SPEAKER_SPEAKS, /* in whole frames so far */
	SPEAKER_RAVES,	/* the server cannot know where a frame begins */
	SPEAKER_ENDS,	/* the server has to end the connection */
};

struct asked {
	uint16_t type;
	uint64_t id;
	bool own;     /* DROP: of the session's own region */
	bool foreign; /* of a job of somebody else */
};

struct bytes {
	uint8_t *at;
	size_t count;
};

struct speaker {
	int fd;		  /* -1: not connected */
	bool stranger;	  /* another user than the honest ones, and no administrator */
	unsigned states;  /* bit set: in which states the server may have the session */
	enum speaker_mood mood;
	uint64_t deadline; /* of the oldest reply, or of the connection's end; 0: nothing is due */
	uint64_t last_id;
	struct asked asked[SPEAKER_ASKED_MAX]; /* oldest first */
	unsigned asked_count;
	struct bytes in, out;
	bool trickles; /* a few bytes at a time */

	struct wire_hello hello;
	struct wire_hello_reply challenge;
	struct auth_exchange exchange;
	struct seal seal;

	struct wire_open open; /* the last one that was sent */
	struct wire_open_reply opened;
	struct net_conn *data; /* NULL: none */
	uint64_t epoch;	       /* the newest one that it knows of */
	struct wire_begin begin;
	struct wire_begin_reply begun;
	struct wire_set set; /* what was written, to be committed; no segments: nothing was */
	struct segment segment;
	struct wire_grant read;
};

/* How they, and the honest, authenticate. */
extern const struct auth_ops *speaker_auth;
extern struct auth_key speaker_key;

/* Does something: connects, asks, writes, says nonsense, goes away. */
void speaker_act(struct speaker *s);

/* Sends what is to be sent and takes what has come, without waiting. */
void speaker_pump(struct speaker *s);

/* Is it for others to do something? */
bool speaker_waits(const struct speaker *s);

/* Says no more, and looks at nothing more. */
void speaker_leave(struct speaker *s);

/* What was asked and done so far by all, for the log. */
struct speaker_counts {
	uint64_t frames, granted, refused, ended, transfers;
	uint64_t granted_by[WIRE_TYPE_END];
};
extern struct speaker_counts speaker_counts;

#endif
