/* SPDX-License-Identifier: BSD-3-Clause */
/* server.h - a pmu-server of the benchmark's own, on loopback, with its pool in the scratch one. */
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

#include <stdint.h>
#include "common/error.h"

struct server;

/* program: NULL looks for pmu-server in the build tree, beside us, and in PATH. */
/* rdma: an address that an RDMA device has, for a data plane of verbs; NULL for the default one. */
int server_start(const char *program, const char *scratch, uint64_t pool_bytes, const char *rdma,
		 struct server **server, struct error *err);
const char *server_address(const struct server *server);
/* Anonymous memory of the server and its NIs: what is mapped of slots and metadata is not in it. */
int server_memory(const struct server *server, uint64_t *bytes, struct error *err);
/* Puts the server's last words behind the error's text. */
void server_explain(const struct server *server, struct error *err);
/* Ends it and removes its pool. Takes NULL. */
void server_stop(struct server *server);

/* Removes a directory and all in it. */
void scratch_remove(const char *directory);

#endif
