/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net.h - the data plane: one-sided writes and reads between a client's memory and ranges of slots that
 * the NI exposes. No messages travel on it. Back ends are `const struct net_ops`.
 *
 * Target side (in the NI): net_ops.listen starts the back end's own progress threads; a client that
 * connects with a one-time token which the NI told it about (target_admit) becomes a *peer*. Grants are
 * exposed to one peer only; another peer's key is worthless. All target functions may be called from
 * any thread, and none of them waits for a client.
 *
 * Initiator side (in the client): a connection belongs to one thread at a time. Transfers are submitted
 * while the window has room and reaped as they complete, in any order: never rely on their order. A
 * completion says that the target's memory holds the data, not that it is durable.
 */
#ifndef HOLDFAST_NET_H
#define HOLDFAST_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/error.h"
#include "common/fabric.h"
#include "common/persist.h"

#define NET_ABI		  8

struct net_params {
	const char *provider; /* ofi: "tcp", ...; NULL or "" for the default; verbs has none */
	/* target: address or name to listen on; NULL for any. verbs: up to NET_RAILS_MAX of them, with commas between,
	 * are its rails: a client has a connection to each, and spreads its transfers over them. */
	const char *node;
	/* initiator, verbs: RDMA device "NAME" or "NAME:PORT", or an address of its interface; NULL or "" for the
	 * nearest. Several, with commas between, are for the server's rails in turn. */
	const char *device;
	/* target: progress threads, at least 1; initiator: threads that may copy at a time, where it copies by itself */
	unsigned threads;
	bool stores_persist;  /* target, local: what processes of this node store past their caches is durable then */
	size_t chunk_bytes;   /* initiator: largest single transfer; 0 for the default */
	size_t block_bytes;   /* initiator: a default chunk has room for so many */
	unsigned window;      /* initiator: transfers in flight, on each rail; 0 for the default */
	unsigned round_trip_us; /* initiator: of the network, at least 1; 0: not known */
	/* target: called at the start of each progress thread, before listen() returns, to bind it near memory
	 * and device; may be NULL. `device` is the fabric device's PCI address ("0000:3b:00.0") or "". */
	void (*thread_start)(void *arg, unsigned thread, const char *device);
	void *thread_arg;
};

/* What transfers do with local memory: writes take from it, reads put into it. */
enum net_use { NET_SOURCE = 1, NET_SINK = 2, NET_KEEP = 4 };

struct net_target;
struct net_grant;
struct net_conn;

#define NET_PIECES_MAX 16

struct net_piece {
	void *local;
	uint64_t offset; /* in the grant */
	size_t bytes;
	/* With limits.checksums: gets the checksum of each block of what was moved, the last one maybe shorter; NULL: they
	 * are not wanted. */
	uint64_t *checksums;
};

struct net_transfer {
	/* The first piece, and those that go with it: all to or from one grant, chunk_bytes together at most, within the
	 * limits of the connection. */
	void *local;
	uint64_t offset;
	size_t bytes;
	uint64_t *checksums;
	size_t block_bytes; /* of checksums */
	const struct net_piece *more; /* must stay as long as the transfer is in flight */
	unsigned more_count;
	bool write;
	int status; /* at reap: 0 or -errno */
	void *context;
	void *reserved[8]; /* the back end's, while in flight */
};

struct net_limits {
	size_t chunk_bytes;
	unsigned window; /* on all rails together */
	/* The processor of who submits reads what is written, and writes what is read, so that his caches have it: so many
	 * for who then makes a checksum of it, with more under way they would have lost it. 0: a device does. */
	unsigned hashed_window;
	/* How many ranges a transfer may have here and there; pieces that touch are one range. */
	unsigned local_ranges, remote_ranges;
	unsigned persist; /* 1 << each method that persist_range() has here */
	bool seals;	  /* it takes a seal */
	bool checksums;	  /* it makes checksums of what it moves, which costs little then */
};

#define NET_SEAL_BYTES 8

/* Stored in one piece once all else is durable, and then made durable, too. */
struct net_seal {
	uint64_t offset; /* in the grant; a multiple of NET_SEAL_BYTES */
	uint8_t bytes[NET_SEAL_BYTES];
};

struct net_ops {
	unsigned abi;
	const char *name;
	bool opens_devices; /* the target opens its RDMA device, where it has one, for each connection anew */
	unsigned persist; /* 1 << each method that its clients may have, besides PERSIST_SERVER */

	/* ---- target ---- */
	int (*listen)(const struct net_params *params, struct net_target **target,
		      struct net_address *address, struct error *err);
	/* One client may connect, once on each rail, with this token; it becomes the peer `peer`. A peer whose
	 * connection is lost may be admitted again, with another token, which takes the place of the first.
	 * Peers of one `group` may share what it costs to keep them apart: a key of one of them may do for another,
	 * should he get to know it. */
	int (*target_admit)(struct net_target *target, uint64_t peer, uint64_t group,
			    const uint8_t token[NET_TOKEN_BYTES], struct error *err);
	/* Cuts the peer off (connection closed, grants revoked, token forgotten). After its return
	 * nothing that the peer sent, or still sends, is stored. Unknown peers are fine. */
	void (*target_expel)(struct net_target *target, uint64_t peer);
	/* The memory base[0..bytes) is what the file `fd`, the caller's, begins with. NULL: that does not matter. */
	int (*remember)(struct net_target *target, void *base, size_t bytes, int fd, struct error *err);
	/* Exposes base[0..bytes) to the peer, under a fresh random key where the fabric lets us choose.
	 * -ENOTCONN: the peer has not connected, or is gone. The memory must stay until the revoke. */
	int (*expose)(struct net_target *target, uint64_t peer, void *base, size_t bytes, unsigned rights,
		      struct net_grant **grant, struct net_key *key, struct error *err);
	/* After its return no new access with the key succeeds; frees the grant. Takes NULL. An access
	 * that is under way may go on where the fabric is software: tcp receives a write that it has begun
	 * to the end. So revoke the grants of a client that says that all its transfers are complete (at
	 * COMMIT; one that lies spoils its own set, and checksums tell); expel the peer in all other cases,
	 * before the memory is read, reused or unmapped. */
	void (*revoke)(struct net_grant *grant);
	/* The memory is about to be unmapped, all grants of it are revoked: nothing that the back end kept of it for
	 * the next expose() is left after the return. */
	void (*forget)(struct net_target *target, const void *base, size_t bytes);
	/* Can memory of this kind be exposed, with these rights? Tried, and undone: 0, or what expose() would fail with. NULL:
	 * all can. */
	int (*try_memory)(struct net_target *target, void *base, size_t bytes, unsigned rights, struct error *err);
	/* Stops the threads, closes all. All grants are revoked by then. Takes NULL. */
	void (*target_close)(struct net_target *target);

	/* ---- initiator ---- */
	/* -ECONNREFUSED: nobody listens; -EACCES: the token was rejected; -ETIMEDOUT: no answer. Rails that cannot be
	 * reached are done without, as long as there is one. */
	int (*connect)(const struct net_params *params, const struct net_address *address,
		       const uint8_t token[NET_TOKEN_BYTES], uint64_t deadline, struct net_conn **conn,
		       struct error *err);
	/* What this connection uses. */
	void (*limits)(const struct net_conn *conn, struct net_limits *limits);
	/* Makes local memory known to the device, where it must be, for the `use` that transfers make of it; a no-op
	 * elsewhere. Each piece of a transfer must lie within one registered range. With NET_KEEP it may stay known
	 * after unregister_local(), so that the next time costs nothing: the caller promises forget_local() before
	 * the memory is unmapped, or another is mapped in its place. */
	int (*register_local)(struct net_conn *conn, void *base, size_t bytes, unsigned use,
			      void **registration, struct error *err);
	void (*unregister_local)(struct net_conn *conn, void *registration);
	/* Nothing in [base, base + bytes) is kept any more. No transfer of it is in flight. */
	void (*forget_local)(struct net_conn *conn, const void *base, size_t bytes);
	/* Starts one transfer; it and its memory stay the back end's until reaped. -EAGAIN: the window is
	 * full, reap first. Other errors: nothing was started. */
	int (*submit)(struct net_conn *conn, const struct net_key *key, struct net_transfer *transfer,
		      struct error *err);
	/* Is the grant still there? NULL: it need not be asked, for transfers fail where it is not. Else what they read
	 * after its end may be another set's: 0, -ECONNRESET (it is not), -ETIMEDOUT. */
	int (*check)(struct net_conn *conn, const struct net_key *key, struct error *err);
	/* Waits until at least one transfer completed or the deadline passed; stores up to `max` completed
	 * ones. Returns how many (> 0), -ETIMEDOUT, or -errno where the connection is lost: then all that
	 * is in flight is forgotten and only close() remains. A refused transfer may take the connection
	 * with it (on tcp it does): it and all behind it are reaped with a status, and then it is lost. */
	int (*reap)(struct net_conn *conn, struct net_transfer **done, unsigned max, uint64_t deadline,
		    struct error *err);
	/*
	 * Makes the first `bytes` bytes of a grant durable, all transfers being reaped, by a method of limits.persist:
	 * PERSIST_FLUSH, where the grant has NET_FLUSH, or PERSIST_READ, where it has NET_READ. PERSIST_FLUSH may have a
	 * `seal` in these bytes, where limits.seals; else it is NULL. -EINVAL: nothing was asked of the device; other
	 * errors: whether it is durable is not known, and the connection is lost.
	 */
	int (*persist_range)(struct net_conn *conn, const struct net_key *key, enum persist_method method,
			     uint64_t bytes, const struct net_seal *seal, uint64_t deadline, struct error *err);
	/* Closes; what is in flight is abandoned, local memory is untouched afterwards. Takes NULL. */
	void (*close)(struct net_conn *conn);
};

/* The back end of this name; NULL where there is none. "" and NULL mean the default, "ofi". */
const struct net_ops *net_find(const char *name);

/*
 * Begins, in a thread of its own, what the default back end does once a process and takes long over (libfabric: it
 * loads all its providers; that of verbs reads the kernel's whole symbol table, twice): listen() and connect() then
 * find it done, or wait for it, and so does fork(). Returns at once; not to call it costs time only.
 */
void net_prepare(void);

extern const struct net_ops net_ofi, net_verbs, net_local;

#endif
