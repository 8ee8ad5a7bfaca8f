/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * embedded.h - the embedded default: where no server is named, a pmu-server of the user's own on this node,
 * which is found, or started in the background and left running until nobody needs it.
 *
 *   POOL                 its pool
 *   POOL.start           whoever holds its flock(2) may start a server for the pool
 *   POOL.address         where the one that runs listens: its ready file
 *   holdfast-pmu-*.sock  its socket, in a directory that is the user's alone
 */
#ifndef HOLDFAST_EMBEDDED_H
#define HOLDFAST_EMBEDDED_H

#include <stdbool.h>
#include <stdint.h>
#include "client/option.h"
#include "common/address.h"
#include "common/error.h"

#define EMBEDDED_PATH_BYTES   272
#define EMBEDDED_SOCKET_BYTES 108 /* sun_path's */

struct embedded {
	char pool[EMBEDDED_PATH_BYTES];
	char socket[EMBEDDED_SOCKET_BYTES];
	uint64_t size_bytes; /* 0: what suits the file system when a server starts */
	uint64_t idle_ms;    /* after which the server ends by itself; 0: never */
	bool default_place;  /* nobody named the pool: the directories above it are made as needed */
	/* from embedded_find() and embedded_find_or_start() */
	char address[ADDRESS_TEXT_BYTES]; /* of the server, as for control_connect() */
	bool started;			  /* by us, at some time */
};

/* Where pool and socket are to be; looks at nothing but options and environment. -EINVAL. */
int embedded_locate(const struct options *options, struct embedded *embedded, struct error *err);

/* Sets `address`. -ENXIO: there is none; -EINVAL: the socket's directory is not the user's alone. */
int embedded_find(struct embedded *embedded, struct error *err);

/*
 * The same, and starts one where there is none; of processes that call this at the same time one does. It
 * shares nothing with the caller and outlives it. -EINVAL (what is in the way can be mended in configuration
 * or file system), -ENXIO (it does not start; the text has its own words), -ETIMEDOUT, -ENOMEM, after some
 * seconds at most a minute.
 */
int embedded_find_or_start(struct embedded *embedded, struct error *err);

#endif
