/* SPDX-License-Identifier: BSD-3-Clause */
/* verbs_near.c - where devices are, seen from this process, by hwloc. */
#include "net/verbs_near.h"

#include <stdlib.h>
#include <string.h>
#include <infiniband/verbs.h>
#include <hwloc/openfabrics-verbs.h>

struct verbs_near {
	hwloc_topology_t topology;
	hwloc_bitmap_t process;
	struct ibv_device **devices;
};

static int near_load(struct verbs_near *near)
{
	if (hwloc_topology_init(&near->topology))
		return -1;
	near->process = hwloc_bitmap_alloc();
	near->devices = ibv_get_device_list(NULL);
	return near->process && near->devices && !hwloc_topology_load(near->topology)
		       ? hwloc_get_cpubind(near->topology, near->process, HWLOC_CPUBIND_PROCESS)
		       : -1;
}

struct verbs_near *verbs_near_open(void)
{
	struct verbs_near *near = calloc(1, sizeof(*near));

	if (near && near_load(near)) {
		verbs_near_close(near);
		near = NULL;
	}
	return near;
}

unsigned verbs_near_share_of(hwloc_const_bitmap_t process, hwloc_const_bitmap_t device, hwloc_const_bitmap_t machine)
{
	hwloc_bitmap_t common = hwloc_bitmap_alloc();
	int shared = 0, all = hwloc_bitmap_weight(process);

	if (common && !hwloc_bitmap_isincluded(machine, device) && !hwloc_bitmap_and(common, process, device))
		shared = hwloc_bitmap_weight(common);
	hwloc_bitmap_free(common);
	return shared > 0 && all > 0 ? (unsigned)((long long)NEAR_SHARE_ALL * shared / all) : 0;
}

unsigned verbs_near_share(const struct verbs_near *near, const char *name)
{
	hwloc_const_bitmap_t machine = hwloc_topology_get_topology_cpuset(near->topology);
	hwloc_bitmap_t device = hwloc_bitmap_alloc();
	unsigned share = 0;

	for (struct ibv_device **at = near->devices; device && *at; at++) {
		if (!strcmp(ibv_get_device_name(*at), name) &&
		    !hwloc_ibv_get_device_cpuset(near->topology, *at, device))
			share = verbs_near_share_of(near->process, device, machine);
	}
	hwloc_bitmap_free(device);
	return share;
}

void verbs_near_close(struct verbs_near *near)
{
	if (!near)
		return;
	if (near->devices)
		ibv_free_device_list(near->devices);
	hwloc_bitmap_free(near->process);
	if (near->topology)
		hwloc_topology_destroy(near->topology);
	free(near);
}
