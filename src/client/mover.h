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

/* A piece has been moved well. A value other than 0 ends the whole move with it. */
typedef int mover_done_fn(void *arg, const struct net_piece *piece, void *context, struct error *err);

/*
 * Each transfer may take `timeout_ms`; checksums are of blocks of `block_bytes`.
 * -ENOMEM. The connection is the mover's alone until mover_free().
 */
int mover_new(const struct net_ops *net, struct net_conn *conn, uint64_t timeout_ms, size_t block_bytes,
	      mover_done_fn *done, void *arg, struct mover **mover, struct error *err);

/* The largest piece. */
size_t mover_chunk_bytes(const struct mover *mover);

/* Does the data plane make checksums of blocks of `block_bytes`? Pieces with checksums begin where a block does. */
bool mover_checksums(const struct mover *mover, size_t block_bytes);

/* The caller makes checksums of each piece just after mover_start(), or when it is told of it: no more are under way at
 * a time than suits that. Nothing has been started yet. False: it does not matter, a device reads and writes them. */
bool mover_hashed(struct mover *mover);

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
