/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * att.h - the address protection and translation table: which session may reach which slot, how, and in
 * which generation. An entry is a grant; the NI holds the fabric's side of it under the same number.
 */
#ifndef HOLDFAST_ATT_H
#define HOLDFAST_ATT_H

#include <stdint.h>
#include "net/net.h"

struct session;

struct att_entry {
	uint64_t grant;
	struct session *session;
	uint64_t file; /* slot file number */
	uint64_t offset, bytes;
	uint32_t rights; /* enum net_rights */
	uint64_t generation;
	struct att_entry *next;
};

struct att {
	struct att_entry *first;
	uint64_t last_grant;
	uint64_t count;
};

/* A new entry, with a number that was never used; NULL without memory. The table's. */
struct att_entry *att_add(struct att *att, struct session *session, uint64_t file, uint64_t offset,
			  uint64_t bytes, uint32_t rights, uint64_t generation);

/* The entry, if it is this session's; else NULL. */
struct att_entry *att_find(struct att *att, const struct session *session, uint64_t grant);

/* Removes one entry, or all of a session. */
void att_remove(struct att *att, uint64_t grant);
void att_remove_session(struct att *att, const struct session *session);

/* The first entry that reaches any of [offset, offset + bytes) of a slot file; NULL where there is none. */
struct att_entry *att_find_range(struct att *att, uint64_t file, uint64_t offset, uint64_t bytes);

#endif
