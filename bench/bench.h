/* SPDX-License-Identifier: BSD-3-Clause */
/* bench.h - what is to be measured, and the rows that come out. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include "common/error.h"

struct report;

struct plan {
	bool (*wants)(const char *row); /* whether --only leaves this row in */
	unsigned ranks;			/* 0: what the benchmark thinks best */
	uint64_t bytes;			/* a rank; 0: likewise */
	unsigned runs;			/* that count, after those that warm up */
	uint64_t chunk;			/* bytes of one transfer of a client; 0: its default */
	unsigned window;		/* its transfers in flight; 0: its default */
	unsigned threads;		/* client_options.threads; 0: what the row thinks best */
	const char *tracker;		/* of increments; NULL: auto */
	const char *rdma;		/* an address that an RDMA device has; NULL: none is named */
	bool only;			/* rows were named */
	const char *server;		/* pmu-server; NULL: look for it */
	const char *scratch;		/* directory of our own, on tmpfs by default */
	struct report *report;
};

/* One function for each family of rows. */
int transfer_bench(const struct plan *plan, struct error *err);
int local_bench(const struct plan *plan, struct error *err);
int verbs_bench(const struct plan *plan, struct error *err);
int crowd_bench(const struct plan *plan, struct error *err);
int commit_bench(const struct plan *plan, struct error *err);
int increment_bench(const struct plan *plan, struct error *err);
int sessions_bench(const struct plan *plan, struct error *err);
int chain_bench(const struct plan *plan, struct error *err);
int async_bench(const struct plan *plan, struct error *err);
int overhead_bench(const struct plan *plan, struct error *err);
int instead_bench(const struct plan *plan, struct error *err);
int relaunch_bench(const struct plan *plan, struct error *err);

#endif
