/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mover.h - moves ranges between local memory and one grant, with as many transfers in flight as the data
 * plane's window allows, and calls back as each completes.
 */
#ifndef HOLDFAST_MOVER_H
#define HOLDFAST_MOVER_H

#include <stdint.h>
#include "net/net.h"

struct mover;

/* Called when a transfer has completed well. A value other than 0 ends the whole move with it. */
typedef int mover_done_fn(void *arg, const struct net_transfer *transfer, struct error *err);

/*
 * `done` may be NULL. Each transfer may take `timeout_ms`. -ENOMEM. The connection is the mover's alone
 * until mover_free().
 */
int mover_new(const struct net_ops *net, struct net_conn *conn, const struct net_key *key,
	      uint64_t timeout_ms, mover_done_fn *done, void *arg, struct mover **mover,
	      struct error *err);

/* The largest transfer. */
size_t mover_chunk_bytes(const struct mover *mover);

/* Starts one transfer of at most mover_chunk_bytes(), waiting for room first. */
int mover_start(struct mover *mover, bool write, void *local, uint64_t offset, size_t bytes,
		void *context, struct error *err);

/* Waits until all have completed. */
int mover_drain(struct mover *mover, struct error *err);

/* Takes NULL. After an error the connection can only be closed, which must come first. */
void mover_free(struct mover *mover);

#endif
