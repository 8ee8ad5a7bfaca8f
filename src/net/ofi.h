/* SPDX-License-Identifier: BSD-3-Clause */
/* ofi.h - what the two halves of the libfabric back end share: ofi_target.c and ofi_conn.c. */
#ifndef HOLDFAST_OFI_H
#define HOLDFAST_OFI_H

#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>

#include "common/error.h"
#include "net/net.h"

/* What the target says when it rejects a token, so that it differs from a port nobody listens on.
 */
#define OFI_REJECTED "holdfast: token"
#define OFI_FULL     "holdfast: room " /* as long */

/* Room for an event and the private data of a connection request; providers pass 256 bytes at most.
 */
union ofi_event {
	struct fi_eq_cm_entry cm;
	uint8_t room[sizeof(struct fi_eq_cm_entry) + 256];
};

/* What the provider offers: to listen on `node` where `dest` is NULL, else to connect to `dest`. */
int ofi_query(const char *provider, const char *node, const struct net_address *dest,
	      struct fi_info **info, struct error *err);

int ofi_open_cq(struct fid_domain *domain, size_t size, struct fid_cq **cq, int *fd);
int ofi_open_eq(struct fid_fabric *fabric, struct fid_eq **eq, int *fd);

/* Registers memory, with the key `key` where the provider lets us choose, and all that mr_mode
 * asks. */
int ofi_register(struct fid_domain *domain, const struct fi_info *info, struct fid_ep *ep,
		 void *base, size_t bytes, uint64_t access, uint64_t key, struct fid_mr **mr);

/* A random key that fits the provider's. */
uint64_t ofi_random_key(const struct fi_info *info);

/* Closes and forgets; takes NULL. */
#define ofi_close(object)                                                                          \
	do {                                                                                       \
		if (object)                                                                        \
			fi_close(&(object)->fid);                                                  \
		(object) = NULL;                                                                   \
	} while (0)

/* libfabric's own codes are beyond errno's: -EIO for those. */
int ofi_errno(ssize_t code);

/* "what: reason" for a negative libfabric code, which is returned as ofi_errno() has it. */
int ofi_failed(struct error *err, ssize_t code, const char *what);

int ofi_listen(const struct net_params *params, struct net_target **target,
	       struct net_address *address, struct error *err);
int ofi_target_admit(struct net_target *target, uint64_t peer, uint64_t group, const uint8_t token[NET_TOKEN_BYTES],
		     struct error *err);
void ofi_target_expel(struct net_target *target, uint64_t peer);
int ofi_expose(struct net_target *target, uint64_t peer, void *base, size_t bytes, unsigned rights,
	       struct net_grant **grant, struct net_key *key, struct error *err);
void ofi_revoke(struct net_grant *grant);
void ofi_forget(struct net_target *target, const void *base, size_t bytes);
void ofi_target_close(struct net_target *target);

int ofi_connect(const struct net_params *params, const struct net_address *address,
		const uint8_t token[NET_TOKEN_BYTES], uint64_t deadline, struct net_conn **conn,
		struct error *err);
void ofi_limits(const struct net_conn *conn, struct net_limits *limits);
int ofi_register_local(struct net_conn *conn, void *base, size_t bytes, unsigned use,
		       void **registration, struct error *err);
void ofi_unregister_local(struct net_conn *conn, void *registration);
void ofi_forget_local(struct net_conn *conn, const void *base, size_t bytes);
int ofi_submit(struct net_conn *conn, const struct net_key *key, struct net_transfer *transfer,
	       struct error *err);
int ofi_reap(struct net_conn *conn, struct net_transfer **done, unsigned max, uint64_t deadline,
	     struct error *err);
void ofi_disconnect(struct net_conn *conn);

#endif
