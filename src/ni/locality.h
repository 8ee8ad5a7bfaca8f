/* SPDX-License-Identifier: BSD-3-Clause */
/* locality.h - where a NI's threads should run: near the pool's memory and the fabric's device. */
#ifndef HOLDFAST_LOCALITY_H
#define HOLDFAST_LOCALITY_H

#include <stdint.h>

/* Binds the calling thread to the cores near NUMA node `numa_node` (NI_NUMA_UNKNOWN) and the PCI device
 * `device` ("" if unknown), both where both have cores in common, and says in the log what it did. What
 * cannot be bound stays free. */
void locality_bind(const char *what, unsigned index, uint32_t numa_node, const char *device);

#endif
