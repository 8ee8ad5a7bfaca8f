/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ni_wire.h - what the PMM and a NI say to each other, over a SOCK_SEQPACKET socketpair, one datagram a
 * message. Both are the same program, so there is no version. The PMM asks, the NI answers each request
 * once, not always in order. EXPEL, EXPOSE, REVOKE, UNMAP, ADMIT, TRY, CANCEL are done in the order in which they come;
 * MAP, COMMIT, VERIFY and MERGE take long, and go on beside the rest.
 */
#ifndef HOLDFAST_NI_WIRE_H
#define HOLDFAST_NI_WIRE_H

#include <stdint.h>
#include "common/error.h"
#include "common/fabric.h"
#include "common/set.h"
#include "wire/cursor.h"
#include "wire/wire.h"

#define NI_MESSAGE_BYTES 2048
#define NI_NUMA_UNKNOWN	 UINT32_MAX

enum ni_type {
	NI_START = 1, /* listen: text = node, net, provider, count = threads; answers address, and in text how it is confined */
	NI_ADMIT,     /* peer, one of group (whose user it is), may connect with token */
	NI_EXPEL,     /* peer is cut off */
	NI_MAP,	      /* descriptor attached: give file its bytes (allocate where flagged), map, populate */
	NI_UNMAP,     /* forget file, when its last use ends */
	NI_EXPOSE,    /* `bytes` of file from offset on to peer as grant, with rights; answers key */
	NI_REVOKE,    /* end grant */
	NI_COMMIT,    /* end grant; persist set at offset in file, unless flagged; check its digest, and if flagged every block */
	NI_VERIFY,    /* check every block of set at offset in file; answers blocks, bad_blocks, text */
	NI_MERGE,     /* struct ni_merge in the descriptor: make one set of its sources, at offset in file, in `bytes`
		       * at most, within `count` ms; set.kind is what it becomes; answers set. One at a time */
	NI_TRY,	      /* `bytes` of file from offset on could be exposed, with rights: tried, and undone */
	NI_CANCEL,    /* the MERGE under way ends soon, with -ECANCELED */
};

enum ni_flags {
	NI_ALLOCATE = 1,
	NI_CHECK_BLOCKS = 2,
	NI_DURABLE = 4, /* COMMIT: the set is, by its client */
	NI_SECCOMP = 8, /* START */
	NI_LOCAL = 16,	/* START: clients on this node may map slots; EXPOSE's reply: this one does */
};

struct ni_request {
	uint64_t id;
	uint32_t type;
	uint32_t flags;
	uint64_t peer, group, file, grant, offset, bytes;
	uint32_t rights; /* enum net_rights */
	uint32_t rank;	 /* of the set */
	uint32_t count;
	uint32_t numa_node; /* START: of the pool's memory; NI_NUMA_UNKNOWN */
	uint32_t granularity; /* START: of slots, enum media_granularity */
	uint8_t token[NET_TOKEN_BYTES];
	struct set_info set;
	char text[256], net[NET_NAME_BYTES], provider[NET_NAME_BYTES];
	uint32_t extent_count; /* MAP: the descriptor is a device's, and file these pieces of it; 0: it is file's own */
	struct extent extents[SLOT_EXTENTS];
};

struct ni_reply {
	uint64_t id;
	int32_t status;
	uint32_t flags;
	struct net_address address, local; /* START: of the data plane, and of that for clients on this node */
	struct net_key key;
	uint64_t blocks, bad_blocks;
	struct set_info set; /* MERGE: data_bytes, table_* */
	char text[ERROR_TEXT_BYTES];
};

/* A set that is to be merged, and where it lies. */
struct ni_source {
	uint64_t file, place;
	struct set_info set;
};

/* What a MERGE is of. */
struct ni_merge {
	uint64_t state_bytes_max; /* no layout has more */
	uint32_t source_count;	  /* 2 and more */
	struct ni_source *sources; /* oldest first; malloced by unpack */
	struct wire_set last;	   /* the last of them, with its layout; malloced, too */
};

void ni_request_fields(struct cursor *c, void *m);
void ni_reply_fields(struct cursor *c, void *m);
void ni_merge_fields(struct cursor *c, void *m);

/* Packs a MERGE's sources into a memory file for its descriptor; -errno. */
int ni_merge_pack(struct ni_merge *m, int *fd, struct error *err);
/* Unpacks them; ni_merge_free() in any case. */
int ni_merge_unpack(int fd, struct ni_merge *m, struct error *err);
void ni_merge_free(struct ni_merge *m);

#endif
