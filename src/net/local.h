/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * local.h - the data plane of clients on the server's own node: they map the files that slots are, and copy. What is
 * said for that goes over a UNIX socket (SOCK_SEQPACKET) of a random abstract name, which only processes in the same
 * network namespace can reach: a client that can is on this node.
 *
 * A client says HELLO with its token once, and then MAP for each file that it has not mapped yet; each gets one answer,
 * with the file's descriptor where it is MAP's. Transfers need nobody's help. CHECK asks whether a grant is still there:
 * for nobody stops a reader whose set is being overwritten, and checksums alone cannot tell that from damage. Both ends are of
 * one node and one release, so the messages are these structs as they are, and HELLO tells a release by LOCAL_VERSION.
 *
 * The kernel isolates: a file is one slot of one user's, and the socket gives descriptors to that user's processes
 * only (SO_PEERCRED). What a fence cannot do here is to take a mapping away: so whoever may still have mapped a slot
 * to write it is kept off by the slot's getting another file (src/pmm/region.h, region_suspect()).
 */
#ifndef HOLDFAST_NET_LOCAL_H
#define HOLDFAST_NET_LOCAL_H

#include "net/net.h"

#define LOCAL_VERSION	 2
#define LOCAL_STORES	 1 /* flag of a reply: net_params.stores_persist */
#define LOCAL_FORMAT	 0x4c434f4cu /* net_address.format: raw is the socket's name, without the leading zero */
#define LOCAL_NAME_BYTES 41	      /* "holdfast-" and 128 random bits in hexadecimal */

enum local_type { LOCAL_HELLO = 1, LOCAL_MAP, LOCAL_CHECK };

struct local_request {
	uint32_t version;
	uint32_t type; /* enum local_type */
	uint8_t token[NET_TOKEN_BYTES]; /* HELLO */
	uint64_t grant;	 /* MAP and CHECK: that of a key (keys[1]; keys[0] tells files apart) */
	uint32_t rights; /* MAP and CHECK: NET_READ or NET_WRITE */
	uint32_t reserved;
};

struct local_reply {
	int32_t status; /* -errno, or 0 */
	uint32_t flags; /* HELLO: LOCAL_STORES */
	uint64_t bytes; /* MAP: of the file, to be mapped */
};

/* ---- local_target.c ---- */

int local_listen(const struct net_params *params, struct net_target **target, struct net_address *address,
		 struct error *err);
int local_target_admit(struct net_target *target, uint64_t peer, uint64_t group,
		       const uint8_t token[NET_TOKEN_BYTES], struct error *err);
void local_target_expel(struct net_target *target, uint64_t peer);
int local_remember(struct net_target *target, void *base, size_t bytes, int fd, struct error *err);
void local_forget(struct net_target *target, const void *base, size_t bytes);
int local_expose(struct net_target *target, uint64_t peer, void *base, size_t bytes, unsigned rights,
		 struct net_grant **grant, struct net_key *key, struct error *err);
void local_revoke(struct net_grant *grant);
void local_target_close(struct net_target *target);

#endif
