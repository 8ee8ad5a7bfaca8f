/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wire.h - the control protocol: every message between a client (or tool) and the PMM, its version, and
 * how it is packed. docs/protocol.md tells the story.
 *
 * A frame is a header of WIRE_HEADER_BYTES and a payload; behind it, once a session is authenticated by a method
 * that gives it a key, a seal (wire/seal.h), which the header does not count. Requests come from the client, one at a time;
 * each gets one reply with the same type and id. A reply whose status is not 0 (-errno, Linux numbers)
 * carries one string, the sentence for the user, instead of its fields.
 *
 * The version rises when a message changes or gains a field. HELLO offers a range, the reply picks.
 * Messages of an unknown type get -ENOSYS; a malformed one gets -EBADMSG and ends the session.
 */
#ifndef HOLDFAST_WIRE_H
#define HOLDFAST_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/command.h"
#include "common/error.h"
#include "common/fabric.h"
#include "common/persist.h"
#include "common/set.h"
#include "wire/cursor.h"

#define WIRE_MAGIC	  0x31574648u /* "HFW1" */
#define WIRE_VERSION	  9
#define WIRE_HEADER_BYTES 24
#define WIRE_PAYLOAD_MAX  (1u << 20)
#define WIRE_LOGIN_MAX	  8192 /* payload of HELLO and PROOF: nobody else may send more */
#define WIRE_REPLY	  0x8000u
#define WIRE_HOST_BYTES	  64
#define WIRE_NONCE_BYTES  32
#define WIRE_PROOF_BYTES  4096
#define WIRE_NAME_BYTES	  32
#define WIRE_UID_SELF	  UINT32_MAX
#define WIRE_RANK_ALL	  UINT32_MAX
#define WIRE_STATS_MAX	  1024
#define WIRE_LIST_BYTES	  (256u << 10) /* a page of a list is closed when it passes this */

enum wire_type {
	WIRE_HELLO = 1, /* who I am; answered by a nonce */
	WIRE_PROOF,	/* that I am; answered by the server's own proof */
	WIRE_CREATE,	/* make my rank's region, and be its primary */
	WIRE_OPEN,	/* be the primary of a region that exists: takeover, or again after a lost connection */
	WIRE_BEGIN,	/* a slot to write a set into */
	WIRE_COMMIT,	/* make it durable and publish it */
	WIRE_ABORT,	/* forget it */
	WIRE_READ,	/* layout of a set, and a grant to read it */
	WIRE_CLOSE,	/* end a grant */
	WIRE_DROP,	/* remove my region, or (tools) a job */
	WIRE_LIST,	/* the jobs */
	WIRE_SHOW,	/* the regions and sets of one job */
	WIRE_VERIFY,	/* re-read a set and check every block */
	WIRE_STAT,	/* what the server says of itself */
	WIRE_ASK,	/* (tools) ask a running job for a checkpoint, and to leave after it */
	WIRE_ASKED,	/* what is asked of a job, and what of it was served */
	WIRE_RECORD,	/* the command line that runs my job */
	WIRE_FENCE,	/* (tools) cut all ranks of a job off */
	WIRE_SHARE,	/* (tools) let a group share in a job */
	WIRE_USERS,	/* (tools) what users take, and may take */
	WIRE_TYPE_END
};

struct wire_header {
	uint32_t magic;
	uint16_t version;
	uint16_t type; /* enum wire_type, with WIRE_REPLY */
	uint32_t bytes; /* of the payload */
	int32_t status; /* replies */
	uint64_t id;
};

struct wire_hello {
	uint16_t version_min, version_max;
	char auth[WIRE_NAME_BYTES];
	uint32_t uid, gid, pid;
	char host[WIRE_HOST_BYTES];
	uint8_t nonce[WIRE_NONCE_BYTES];
};

struct wire_hello_reply {
	uint16_t version;
	char auth[WIRE_NAME_BYTES]; /* what the server demands */
	uint32_t uid; /* of the server */
	uint8_t nonce[WIRE_NONCE_BYTES];
};

struct wire_proof { /* and its reply */
	uint16_t bytes;
	uint8_t proof[WIRE_PROOF_BYTES];
};

enum wire_open_flags {
	WIRE_OPEN_FORCE = 1,	/* although the primary is alive */
	WIRE_OPEN_REATTACH = 2, /* I am the primary of `generation`, and lost my connection */
};

struct wire_open { /* CREATE and OPEN */
	char job[JOB_NAME_BYTES];
	uint32_t rank, ranks;
	uint32_t mode; /* enum region_mode */
	uint32_t flags;
	uint64_t generation;
	uint8_t launch[LAUNCH_BYTES]; /* the same in all incarnations of one launch */
	uint8_t client[16]; /* of this very process, random */
	uint32_t incarnation;
	uint32_t uid; /* the job's owner: WIRE_UID_SELF, or another user, who shares it */
};

struct wire_open_reply {
	uint64_t generation;
	uint64_t launch_generation; /* with which this launch took the region over first; 0: it was made, and never */
	uint64_t session;
	char net[WIRE_NAME_BYTES];
	char provider[WIRE_NAME_BYTES];
	char persist[WIRE_NAME_BYTES];
	struct net_address address; /* a wildcard IP means: that of the control connection */
	struct net_address local;   /* for who is on the server's node: of net "local"; bytes 0: there is none */
	uint8_t token[NET_TOKEN_BYTES];
	uint64_t log_room; /* append mode: bytes of the largest increment that fits now */
	uint32_t set_count;
	struct set_info *sets; /* oldest first; malloced by unpack */
};

struct wire_begin {
	uint64_t epoch;
	uint32_t kind; /* enum set_kind */
	uint64_t keep; /* newest complete epoch; 0: none. An increment: what it is an increment to */
	uint64_t bytes; /* data and table */
	uint64_t block_bytes; /* of the set; an increment: as of `keep` */
	uint32_t persist;     /* enum persist_method: SERVER, or what the reply to OPEN names */
};

struct wire_grant {
	uint64_t grant;
	struct net_key key;
};

struct wire_begin_reply {
	struct wire_grant grant;
	/* Sets that are gone: all of these epochs; first 0: none. Append mode: all newer than `keep`, too. */
	uint64_t withdrawn_first, withdrawn_last;
};

struct wire_set { /* COMMIT; part of READ's and SHOW's replies */
	struct set_info info;
	struct segment *segments; /* info.segment_count; malloced by unpack */
	uint8_t damaged; /* SHOW: it is known to be */
};

struct wire_commit {
	uint64_t grant;
	struct wire_set set;
};

struct wire_commit_reply {
	uint64_t log_room; /* as in CREATE's and OPEN's replies */
	uint32_t chain;	   /* increments that follow the newest base */
	/* All that the region holds, where sets were merged since the last reply; else none. */
	uint32_t epoch_count;
	uint64_t *epochs; /* malloced by unpack */
};

struct wire_abort {
	uint64_t epoch;
};

struct wire_read {
	uint32_t rank;
	uint64_t epoch;
	uint8_t layout_only;
};

#define WIRE_READ_GRANTS_MAX 16 /* the base's slot, and ranges of the log */

/* One set of a chain, and where it begins: `place` bytes into what `grants[grant]` exposes. */
struct wire_part {
	struct set_info info;
	uint32_t grant;
	uint64_t place;
};

struct wire_read_reply {
	uint32_t grant_count; /* 0 for layout_only, which has no parts */
	struct wire_grant grants[WIRE_READ_GRANTS_MAX];
	struct wire_set set; /* of the epoch asked for: the last part, with its layout */
	uint32_t part_count;
	struct wire_part *parts; /* oldest first: a full set, then increments; malloced by unpack */
};

struct wire_close {
	uint64_t grant;
};

struct wire_target { /* DROP, SHOW, VERIFY, LIST, FENCE, USERS; part of ASK, ASKED and SHARE */
	char job[JOB_NAME_BYTES]; /* DROP: "" is the session's own region */
	uint32_t uid;		  /* WIRE_UID_SELF, or (administrators, groups) another user's; LIST, USERS: SELF
				   * is all that one may see */
	uint32_t rank;		  /* VERIFY: of the set; SHOW, LIST, USERS: index to start at */
	uint64_t epoch;		  /* VERIFY; ASKED: of the checkpoint that served; SHOW: of `rank`, sets newer
				   * than this only */
};

enum wire_ask_flags {
	WIRE_ASK_CHECKPOINT = 1,
	WIRE_ASK_LEAVE = 2, /* after a checkpoint */
};

struct wire_ask {
	struct wire_target target;
	uint32_t flags;
};

struct wire_ask_reply {
	uint64_t count; /* the wish's number; rising */
};

struct wire_asked {
	struct wire_target target; /* job "": the session's own */
	uint64_t served; /* a primary's: all wishes up to this number are fulfilled, by target.epoch; 0: none */
};

struct wire_asked_reply {
	uint32_t flags; /* of what is not served yet; 0: nothing is asked */
	uint32_t sessions;
	uint64_t count;	 /* number of the last wish */
	uint64_t served; /* of the last one that was served; 0: none */
	uint64_t epoch;	 /* which served it */
};

struct wire_command { /* RECORD; its reply: what was recorded before; part of SHOW's reply */
	struct command_line command; /* its text is malloced by unpack */
};

struct wire_share {
	struct wire_target target;
	uint32_t group;
	uint32_t share; /* enum job_share */
};

struct wire_job {
	char name[JOB_NAME_BYTES];
	uint32_t uid, ranks, regions, sessions;
	uint64_t complete_epoch, reserved_bytes, created_ns;
	uint32_t group, share; /* enum job_share */
	uint32_t damaged;      /* sets of it that are known to be */
};

struct wire_list_reply {
	uint32_t next; /* index to go on at; 0: that was all */
	uint32_t count;
	struct wire_job *jobs;
};

/* Quotas: 0: as much as there is. */
struct wire_user {
	uint32_t uid;
	uint64_t jobs, regions, reserved_bytes, sessions;
	uint64_t quota_regions, quota_bytes, quota_sessions;
};

struct wire_users_reply {
	uint32_t next; /* index to go on at; 0: that was all */
	uint32_t count;
	struct wire_user *users; /* by uid */
};

struct wire_region {
	uint32_t rank, mode;
	uint64_t generation, reserved_bytes;
	uint64_t log_bytes, log_used_bytes; /* append mode */
	uint8_t alive; /* it has a primary: */
	char host[WIRE_HOST_BYTES];
	uint32_t pid;
	uint64_t since_ns;
	uint32_t set_count;
	/* Oldest first; malloced by unpack. Without segments: those of the set before it, which is in this reply. */
	struct wire_set *sets;
};

struct wire_show_reply {
	struct wire_job job;
	struct wire_command command; /* none but on the first page */
	/* Rank to go on at, and, where the last region here has more sets, the newest epoch of it here. Both 0: that
	 * was all. */
	uint32_t next;
	uint64_t next_epoch;
	uint32_t count;
	struct wire_region *regions;
};

struct wire_verify_reply {
	uint64_t blocks, bad_blocks;
	char detail[256]; /* where the first bad one is; "" if none */
};

struct wire_stat {
	char key[64];
	char value[256];
};

struct wire_stat_reply {
	uint32_t count;
	struct wire_stat *stats;
};

/* "COMMIT" and so on; "?" for what is none. */
const char *wire_type_name(unsigned type);

void wire_header_fields(struct cursor *c, struct wire_header *m);
void wire_set_info_fields(struct cursor *c, struct set_info *m);
void wire_set_fields(struct cursor *c, struct wire_set *m);
void wire_net_key_fields(struct cursor *c, struct net_key *m);
void wire_net_address_fields(struct cursor *c, struct net_address *m);
/* -EPROTO where these bytes are no frame of ours, with a reason that helps. */
int wire_header_check(const struct wire_header *m, struct error *err);

void wire_hello_fields(struct cursor *c, void *m);
void wire_hello_reply_fields(struct cursor *c, void *m);
void wire_proof_fields(struct cursor *c, void *m);
void wire_open_fields(struct cursor *c, void *m);
void wire_open_reply_fields(struct cursor *c, void *m);
void wire_begin_fields(struct cursor *c, void *m);
void wire_begin_reply_fields(struct cursor *c, void *m);
void wire_commit_fields(struct cursor *c, void *m);
void wire_commit_reply_fields(struct cursor *c, void *m);
void wire_abort_fields(struct cursor *c, void *m);
void wire_read_fields(struct cursor *c, void *m);
void wire_read_reply_fields(struct cursor *c, void *m);
void wire_close_fields(struct cursor *c, void *m);
void wire_target_fields(struct cursor *c, void *m);
void wire_list_reply_fields(struct cursor *c, void *m);
void wire_show_reply_fields(struct cursor *c, void *m);
void wire_verify_reply_fields(struct cursor *c, void *m);
void wire_stat_reply_fields(struct cursor *c, void *m);
void wire_ask_fields(struct cursor *c, void *m);
void wire_ask_reply_fields(struct cursor *c, void *m);
void wire_asked_fields(struct cursor *c, void *m);
void wire_asked_reply_fields(struct cursor *c, void *m);
void wire_command_fields(struct cursor *c, void *m);
void wire_share_fields(struct cursor *c, void *m);
void wire_users_reply_fields(struct cursor *c, void *m);
void wire_nothing_fields(struct cursor *c, void *m);

/* Fields of a message, for both directions. */
typedef void wire_fields_fn(struct cursor *c, void *message);

/*
 * Packs header and message into a malloced frame, the caller's, with room for a seal (SEAL_BYTES) behind it; NULL where
 * memory or WIRE_PAYLOAD_MAX does not suffice. With status != 0 the payload is `text`.
 */
uint8_t *wire_frame(const struct wire_header *header, wire_fields_fn *fields, void *message,
		    const char *text, size_t *bytes);

/* Unpacks a payload: 0, or -EBADMSG. What was allocated on the way is in the message, to be freed. */
int wire_unpack(const void *payload, size_t bytes, wire_fields_fn *fields, void *message);

/* The text of an error reply, into `err` with its status. Returns the status. */
int wire_error(const struct wire_header *header, const void *payload, struct error *err);

/* A job name that may be stored and shown: not empty, short enough, no control characters, no '/'. */
bool wire_job_name_ok(const char *name);

/* Frees what unpack allocated. */
void wire_open_reply_free(struct wire_open_reply *m);
void wire_read_reply_free(struct wire_read_reply *m);
void wire_list_reply_free(struct wire_list_reply *m);
void wire_users_reply_free(struct wire_users_reply *m);
void wire_region_free(struct wire_region *m);
void wire_show_reply_free(struct wire_show_reply *m);

/* Bytes of a set's description on the wire, to close pages of a list by. */
size_t wire_set_bytes(const struct set_info *info);

#endif
