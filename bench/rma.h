/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rma.h - one-sided transfers by libfabric and nothing else: the limit of what Holdfast can reach.
 *
 * MSG endpoints, FI_DELIVERY_COMPLETE, one connection and one file of the target for each client.
 * Written against libfabric alone, so that a mistake in src/net cannot hide in both.
 */
#ifndef BENCH_RMA_H
#define BENCH_RMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/error.h"

#define RMA_CHUNK_BYTES (1u << 20)
#define RMA_WINDOW	16
#define RMA_CLIENTS_MAX 64
#define RMA_THREADS	2 /* as many as a NI has by default */

struct rma_target {
	const char *provider;
	void *const *bases; /* one range of memory for each client */
	uint64_t bytes;	    /* in each */
	unsigned clients;
	unsigned threads; /* that make progress */
};

/* Listens on loopback, writes its port (uint16_t) to `ready_fd`, takes one connection from each
 * client, and serves them until it is killed. Returns only on failure. */
int rma_serve(const struct rma_target *target, int ready_fd, struct error *err);

struct rma_conn;

/* Connects as client number `client`. */
int rma_connect(const char *provider, uint16_t port, unsigned client, struct rma_conn **conn,
		struct error *err);
/* All of base[0..bytes) to the same offsets of the client's range, or from there. */
int rma_transfer(struct rma_conn *conn, bool write, void *base, uint64_t bytes, struct error *err);
void rma_close(struct rma_conn *conn);

#endif
