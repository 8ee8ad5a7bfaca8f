/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * client.h - one rank's view of one PMU: a session that holds the rank's own region (written by
 * client_put) and reads sets of any rank of the job (client_get). No MPI here.
 *
 * A client belongs to one thread at a time. When the server or the NI goes away, the next call connects
 * again and opens the region anew, for at most `reconnect_ms`; a region that somebody took over in the
 * meantime gives -ESTALE (fenced) from every later call.
 *
 * Errors are -errno: -ESTALE fenced, -EBUSY the primary is alive elsewhere, -ENOSPC, -ENOENT no such set
 * or job, -EILSEQ checksums do not match, -EACCES not authenticated, or not allowed,
 * -EDQUOT the user has all that he may, -EPROTO no pmu-server or another version, -ENXIO server not reachable
 * or away for too long (-ECONNRESET and its like: it was there, and the
 * connection to it, or to its data port, was lost or refused again and again), -ETIMEDOUT, -ERANGE other number of ranks,
 * -EMEDIUMTYPE other mode, -EUSERS the server has as many sessions as it may, -EINVAL, -ENOMEM, -EIO. `err` has the sentence.
 */
#ifndef HOLDFAST_CLIENT_H
#define HOLDFAST_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/command.h"
#include "common/error.h"
#include "common/set.h"

#define CLIENT_PORT_DEFAULT "7300"

struct embedded;

/* Where and how to connect. Strings, and what `embedded` points to, must live as long as the client. */
struct client_options {
	const char *server;	/* "HOST[:PORT]", "[V6ADDR]:PORT" or "unix:PATH" */
	/* That server is this node's own, `server` its address: started again where it is gone. NULL: not */
	struct embedded *embedded;
	const char *net;	/* back end of the data plane; NULL or "" for the default */
	const char *provider;	/* of the back end; NULL or "" for what the server names */
	const char *device;	/* RDMA device, as net_params.device; NULL or "" for the nearest */
	const char *auth;	/* "munge", "psk" or "none" */
	const char *key_file;	/* psk */
	const char *munge_socket; /* munge; NULL or "" for MUNGE's own choice */
	const char *server_user;  /* munge: name or uid of whose server is trusted; NULL or "": root's and our own */
	uint64_t timeout_ms;	/* for one request, or one transfer; 0: 10000 */
	uint64_t reconnect_ms;	/* for connecting again; 0: 30000 */
	size_t chunk_bytes;	/* 0: the back end's default */
	unsigned window;	/* 0: the back end's default */
	uint64_t pace_bytes;	/* a second, of what client_put() writes, at most; 0: as many as it can */
	unsigned threads;	/* that copy at a time where the data plane copies by itself; else a second one makes checksums while
				 * the caller's sends, for the time of client_put(); 0, 1: the caller's alone */
	uint64_t block_bytes;	/* of the sets that it writes, as set_block_ok() allows it; 0: SET_BLOCK_DEFAULT */
};

/* Whose region. */
struct client_identity {
	const char *job;
	uint32_t rank, ranks;
	enum region_mode mode;
	uint8_t launch[LAUNCH_BYTES]; /* the same in all ranks and incarnations of one launch */
	uint32_t incarnation;
	const char *owner; /* name or uid of the user who shares the job; NULL or "": it is our own */
	bool force; /* take over although the primary is alive */
};

struct client;

/*
 * Connects, authenticates, and takes the rank's region over, or creates it where there is none. A primary
 * that is alive, and not an earlier incarnation of the same launch, is waited for a few seconds (it may
 * be dying), then -EBUSY. The first connection gets `timeout_ms` only, not `reconnect_ms`.
 */
int client_open(const struct client_options *options, const struct client_identity *identity,
		struct client **client, struct error *err);

/* Ends the session. `finished`: drops the region with its sets first. The client is freed whatever is
 * returned. Takes NULL. */
int client_close(struct client *client, bool finished, struct error *err);

/* The sets that the rank's own region holds, as last told by the server, oldest first. The array is the
 * client's, valid until the next call that may change it (put, get, reopen). */
size_t client_sets(const struct client *client, const struct set_info **sets);

/* The generation of the rank's own region: 1, and one more for each time that it was taken over. */
uint64_t client_generation(const struct client *client);

/* That with which this launch took the region over for the first time: its sets have this one or a later. 0: the
 * region was made, and nobody took it over since. */
uint64_t client_launch_generation(const struct client *client);

/* How many increments followed the newest base of the rank's own region at its last COMMIT. */
uint32_t client_chain(const struct client *client);

/* Learns the list anew from the server (connecting again where needed). */
int client_refresh(struct client *client, struct error *err);

/* What tools ask of the job. Numbers as in the ASKED message. */
struct client_wish {
	bool checkpoint, leave;
	uint64_t count; /* number of the last wish; 0: none ever */
};

/*
 * Asks the server what is wanted of the job, and tells that all wishes up to number `served` are fulfilled, by
 * `epoch` (0: nothing is told). One try, which connects again where that is needed, and no waiting for a server
 * that is away: trouble here is none of the job's.
 */
int client_asked(struct client *client, uint64_t served, uint64_t epoch, struct client_wish *wish,
		 struct error *err);

/* Records the command line that runs the job. `before` is what was recorded until now; its text is malloced. */
int client_record(struct client *client, const struct command_line *command, struct command_line *before,
		  struct error *err);

/* One segment to write, or to read into: `at` is the application's memory. */
struct client_segment {
	struct segment segment;
	void *at;
	/* An increment: what has changed, in order, each from a multiple of the block size to another or to the
	 * segment's end. NULL: all of it. */
	const struct segment_range *ranges;
	size_t range_count;
	/* One a block, or NULL: client_put() believes those that are not 0, and fills in the
	 * others of what it writes. */
	uint64_t *checksums;
	/* The memory stays where it is till client_forget(): what the network device knows of it may be kept. */
	bool held;
	uint32_t hint; /* the caller's own */
};

/*
 * Writes one set and commits it: returns 0 once it is durable. `keep` is the newest complete epoch, which is not
 * touched; 0 where there is none. Connects again and starts over where the server went away. A set of this epoch
 * that is there already, with the same digest, counts as written.
 *
 * *kind (NULL: SET_FULL) is what to write: SET_INCREMENT, in append mode, is what has changed since epoch `keep`. It
 * becomes a full set where the log has no room, `keep` is gone, or has another block size; *kind tells what was
 * written. In append mode all sets that are newer than `keep` go. The caller sees to it that a segment whose description
 * is not the one that it had in `keep` is given whole. -EINVAL: ranges out of order, or not at blocks.
 */
int client_put(struct client *client, uint64_t epoch, uint64_t keep, enum set_kind *kind,
	       const struct client_segment *segments, size_t count, struct error *err);

/* Memory that a source's bytes lie in. `held`: as of a segment. */
struct client_memory {
	void *at;
	uint64_t bytes;
	bool held;
};

/*
 * Where client_put_from() has the bytes of a set from: not from the segments' own memory, which may change or go
 * meanwhile. All calls come from the thread that is in client_put_from().
 */
struct client_source {
	/* An attempt begins: everything is taken from the start, and what was taken is given back. An error, which must
	 * be none that another attempt would follow (-ENODATA, say, as of take()): it cannot be taken once more. */
	int (*begin)(void *arg, struct error *err);
	/*
	 * Bytes of segment number `index` from `offset` on, which is at a block; *bytes are wanted, and may become
	 * fewer, of whole blocks. They stay as they are at *at until they are given back. It is called in the order of
	 * the set. -EAGAIN: there is room for no more before something is given back.
	 */
	int (*take)(void *arg, size_t index, uint64_t offset, uint64_t *bytes, void **at, struct error *err);
	/* These bytes, a part of what was taken, have been shipped. */
	void (*give)(void *arg, void *at, uint64_t bytes);
	/* All that *at points into: it stays until client_put_from() has returned. Asked for after each begin(). */
	const struct client_memory *(*memory)(void *arg, size_t *count);
	void *arg;
};

/* As client_put(), with the bytes from `source` (NULL: from the segments). An increment never becomes a full set, for the
 * rest of that is not at hand: -ENOSPC or -ENOENT. */
int client_put_from(struct client *client, uint64_t epoch, uint64_t keep, enum set_kind *kind,
		    const struct client_segment *segments, size_t count, const struct client_source *source,
		    struct error *err);

/* Would an increment to `keep` of this be one, as far as is known here: has the log room for it? */
bool client_can_increment(const struct client *client, uint64_t keep, const struct client_segment *segments,
			  size_t count);

/* The memory, of segments that were `held`, may be unmapped or become another's. */
void client_forget(struct client *client, const void *at, uint64_t bytes);

/* What the set of this epoch, of any rank's region of the job, holds. *segments is malloced. */
int client_layout(struct client *client, uint32_t rank, uint64_t epoch, struct segment **segments,
		  size_t *count, struct error *err);

/*
 * Reads whole segments (those whose `at` is not NULL) of a set, each byte checked before this returns 0.
 * name, type, element_bytes and count must match the set's: -ENOMSG names the one that does not; memory is
 * then untouched. -EILSEQ: damaged.
 */
int client_get(struct client *client, uint32_t rank, uint64_t epoch,
	       const struct client_segment *segments, size_t count, struct error *err);

/* Reads bytes [offset, offset + bytes) of one segment, checked. -ENOMSG: no such segment or range. */
int client_get_range(struct client *client, uint32_t rank, uint64_t epoch, const char *name,
		     uint64_t offset, void *into, uint64_t bytes, struct error *err);

#endif
