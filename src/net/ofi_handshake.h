/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ofi_handshake.h - bounds what connections cost that never finish libfabric's handshake.
 *
 * tcp keeps such sockets to itself until a request has arrived, without limit; and 1.17 reads the
 * request's body from a blocking socket. So we look for them among our own descriptors. Other kinds
 * of addresses have no such sockets: everything here does nothing for them.
 */
#ifndef HOLDFAST_OFI_HANDSHAKE_H
#define HOLDFAST_OFI_HANDSHAKE_H

#include "net/ofi.h"

struct ofi_handshakes;

/* For the listener at `address`, which listens by now. */
int ofi_handshakes_open(const struct net_address *address, struct ofi_handshakes **handshakes,
			struct error *err);

/* Ends those that idle for long, and all beyond a limit; returns how many there were. Call it, and
 * read the listener's event queue, in one thread only. */
unsigned ofi_handshakes_trim(struct ofi_handshakes *handshakes);

/* Ends all, and has the provider free them by reading its event queue. Takes NULL. */
void ofi_handshakes_close(struct ofi_handshakes *handshakes, struct fid_eq *eq);

#endif
