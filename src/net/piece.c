/* SPDX-License-Identifier: BSD-3-Clause */
/* piece.c - what back ends share about transfers and their pieces. */
#include "net/piece.h"

#include <errno.h>

struct net_piece piece_at(const struct net_transfer *transfer, unsigned i)
{
	return i ? transfer->more[i - 1]
		 : (struct net_piece){transfer->local, transfer->offset, transfer->bytes, transfer->checksums};
}

int pieces_check(const struct net_transfer *transfer, const struct net_key *key, size_t chunk_bytes,
		 struct error *err)
{
	size_t bytes = 0;

	if (transfer->more_count >= NET_PIECES_MAX)
		return error_set(err, -EINVAL, "a transfer of %u pieces; %u are allowed",
				 transfer->more_count + 1, NET_PIECES_MAX);
	for (unsigned i = 0; i <= transfer->more_count; i++) {
		struct net_piece piece = piece_at(transfer, i);

		if (piece.bytes == 0 || piece.bytes > chunk_bytes - bytes)
			return error_set(err, -EINVAL, "a transfer of %zu bytes; 1 to %zu are allowed",
					 bytes + piece.bytes, chunk_bytes);
		if (piece.offset > key->bytes || piece.bytes > key->bytes - piece.offset)
			return error_set(err, -ERANGE, "a transfer beyond the end of the grant");
		bytes += piece.bytes;
	}
	return 0;
}

size_t chunk_wanted(const struct net_params *params, size_t usual)
{
	if (params->chunk_bytes)
		return params->chunk_bytes;
	return params->block_bytes > usual ? params->block_bytes : usual;
}
