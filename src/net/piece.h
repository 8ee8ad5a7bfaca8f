/* SPDX-License-Identifier: BSD-3-Clause */
/* piece.h - what back ends share about transfers and their pieces. */
#ifndef HOLDFAST_PIECE_H
#define HOLDFAST_PIECE_H

#include "net/net.h"

/* The i-th piece of a transfer; 0 is the transfer's own. */
struct net_piece piece_at(const struct net_transfer *transfer, unsigned i);

/* -EINVAL: too many, or none or more than chunk_bytes in all; -ERANGE: beyond the grant. */
int pieces_check(const struct net_transfer *transfer, const struct net_key *key, size_t chunk_bytes,
		 struct error *err);

/* Bytes of a chunk as asked for, else as `usual`, with room for a block. */
size_t chunk_wanted(const struct net_params *params, size_t usual);

#endif
