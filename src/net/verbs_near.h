/* SPDX-License-Identifier: BSD-3-Clause */
/* verbs_near.h - where devices are, seen from this process, by hwloc. */
#ifndef HOLDFAST_VERBS_NEAR_H
#define HOLDFAST_VERBS_NEAR_H

#include <hwloc.h>

#define NEAR_SHARE_ALL 1000u

struct verbs_near;

/* Loads the machine's topology, which takes some milliseconds. NULL: nothing is known. */
struct verbs_near *verbs_near_open(void);

/* How many thousandths of the processors that this process may run on are the device's own; 0 where nobody knows. */
unsigned verbs_near_share(const struct verbs_near *near, const char *device);

/* Takes NULL. */
void verbs_near_close(struct verbs_near *near);

/* The same, of sets of processors: the process's, the device's, the machine's. Who is near to all is near to none. */
unsigned verbs_near_share_of(hwloc_const_bitmap_t process, hwloc_const_bitmap_t device, hwloc_const_bitmap_t machine);

#endif
