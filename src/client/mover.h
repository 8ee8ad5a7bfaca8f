/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mover.h - moves ranges between local memory and grants, with as many transfers in flight as the data
 * plane's window allows, and calls back as each completes.
 */
#ifndef HOLDFAST_MOVER_H
#define HOLDFAST_MOVER_H

#include <stdbool.h>
#include <stdint.h>
#include "net/net.h"

struct mover;

/* Either may be NULL. */
struct mover_calls {
	/* A piece has been moved well. A value other than 0 ends the whole move with it. */
	int (*done)(void *arg, const struct net_piece *piece, void *context, struct error *err);
	/* There is nothing to do but to wait: does some microseconds of other work; false: it has none. */
	bool (*spare)(void *arg);
};

/*
 * `calls` lives as long as the mover. Each transfer may take `timeout_ms`; checksums are of blocks of `block_bytes`.
 * -ENOMEM. The connection is the mover's alone until mover_free().
 */
int mover_new(const struct net_ops *net, struct net_conn *conn, uint64_t timeout_ms, size_t block_bytes,
	      const struct mover_calls *calls, void *arg, struct mover **mover, struct error *err);

/* The largest piece. */
size_t mover_chunk_bytes(const struct mover *mover);

/* Does the data plane make checksums of blocks of `block_bytes`? Pieces with checksums begin where a block does. */
bool mover_checksums(const struct mover *mover, size_t block_bytes);

/*
 * Starts to move one piece of at most mover_chunk_bytes() to or from the grant's `offset`, waiting for room first.
 * Small ones wait until they make a transfer together with the next, as long as these are of the same grant (`key` is
 * the same pointer) and in the same direction; those that lie in the order of their offsets, side by side, go best.
 */
int mover_start(struct mover *mover, const struct net_key *key, bool write, const struct net_piece *piece,
		void *context, struct error *err);

/* From here on transfers begin at such times that `bytes_per_s` are moved in a second, at most; 0: as soon as they can. */
void mover_pace(struct mover *mover, uint64_t bytes_per_s);

/* Starts what still waits for a next one. */
int mover_flush(struct mover *mover, struct error *err);

/* Starts what still waits for a next one, and waits until at least one transfer has completed. -EIO: none is under way. */
int mover_wait(struct mover *mover, struct error *err);

/* Waits until all have completed. */
int mover_drain(struct mover *mover, struct error *err);

/* Takes NULL. After an error the connection can only be closed, which must come first. */
void mover_free(struct mover *mover);

#endif
