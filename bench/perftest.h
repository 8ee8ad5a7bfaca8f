/* SPDX-License-Identifier: BSD-3-Clause */
/* perftest.h - ib_write_bw and ib_read_bw of perftest: the limit of what verbs can reach on this device. */
#ifndef BENCH_PERFTEST_H
#define BENCH_PERFTEST_H

#include <stdbool.h>
#include <stdint.h>
#include "common/error.h"

/*
 * Has two processes of it move `bytes` in messages of RMA_CHUNK_BYTES over the RDMA device that has `address`; gives
 * GB/s. -ENOENT where perftest is not installed.
 */
int perftest_run(const char *address, bool write, uint64_t bytes, double *speed, struct error *err);

#endif
