/* SPDX-License-Identifier: BSD-3-Clause */
/* fabric.h - what the data plane and the messages about it both name: addresses, keys, tokens, rights. */
#ifndef HOLDFAST_FABRIC_H
#define HOLDFAST_FABRIC_H

#include <stdint.h>

#define NET_TOKEN_BYTES	  16
#define NET_ADDRESS_BYTES 128
#define NET_NAME_BYTES	  32
#define NET_RAILS_MAX	  4

/*
 * Where a target listens. `format` is the back end's (libfabric's FI_SOCKADDR_IN and so on). With verbs it may be the
 * addresses of several rails, one behind the other.
 */
struct net_address {
	uint32_t format;
	uint32_t bytes;
	uint8_t raw[NET_ADDRESS_BYTES];
};

/* What a grant's key is, as it travels to the client. */
struct net_key {
	uint64_t address; /* of the first byte: virtual address, or 0 where the back end counts from 0 */
	uint64_t bytes;
	uint64_t keys[NET_RAILS_MAX]; /* of each rail; 0: the peer has no connection there */
};

/* FLUSH: what was written may be made durable by the peer (PERSIST_FLUSH); it goes with WRITE. */
enum net_rights { NET_READ = 1, NET_WRITE = 2, NET_FLUSH = 4 };

#endif
