/* SPDX-License-Identifier: BSD-3-Clause */
/* checksum.h - XXH3-64, seed 0, over blocks of a set, tables and records. Not cryptographic. */
#ifndef HOLDFAST_CHECKSUM_H
#define HOLDFAST_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

uint64_t checksum(const void *data, size_t bytes);

#endif
