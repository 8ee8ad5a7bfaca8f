/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ni.h - the NI: the process that maps one user's slots and exposes them to the fabric. It takes orders
 * from the PMM alone (wire/ni_wire.h), has no metadata, and opens no file: descriptors come with MAP.
 *
 * Threads: the main thread reads orders and does the short ones; workers (worker.h) do MAP, COMMIT and
 * VERIFY; the data plane's own threads make transfers progress.
 */
#ifndef HOLDFAST_NI_H
#define HOLDFAST_NI_H

#include <stdint.h>

/* Whose NI it is, and how large any of its slots' files may become. */
struct ni_owner {
	uint32_t uid;
	uint64_t file_bytes;
};

/* Serves the PMM at the other end of `socket` until it closes, as the owner where it may (confine.h); returns the exit
 * status. */
int ni_main(int socket, const struct ni_owner *owner);

#endif
