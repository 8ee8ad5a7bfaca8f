/* SPDX-License-Identifier: BSD-3-Clause */
/* locality.c - binding of NI threads by hwloc. */
#include "ni/locality.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <hwloc.h>
#include "common/log.h"
#include "wire/ni_wire.h"

/* One for all threads, which only read it; they wait for it before the NI serves. Devices are looked for where there is
 * one to be near to: that takes longer than all the rest. */
static hwloc_topology_t topology_of_node(bool devices)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static hwloc_topology_t topology;
	static bool tried;

	pthread_mutex_lock(&lock);
	if (!tried && !hwloc_topology_init(&topology)) {
		if (devices)
			hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
		if (hwloc_topology_load(topology)) {
			hwloc_topology_destroy(topology);
			topology = NULL;
		}
	}
	tried = true;
	pthread_mutex_unlock(&lock);
	return topology;
}

static hwloc_obj_t numa_object(hwloc_topology_t topology, uint32_t numa_node)
{
	if (numa_node == NI_NUMA_UNKNOWN)
		return NULL;
	return hwloc_get_numanode_obj_by_os_index(topology, numa_node);
}

static hwloc_obj_t device_object(hwloc_topology_t topology, const char *device)
{
	hwloc_obj_t pci = *device ? hwloc_get_pcidev_by_busidstring(topology, device) : NULL;

	return pci ? hwloc_get_non_io_ancestor_obj(topology, pci) : NULL;
}

/* Narrows `cpus` to the object's where they have some in common; tells whether they do. */
static bool narrow(hwloc_bitmap_t cpus, hwloc_obj_t object)
{
	if (!object || !hwloc_bitmap_intersects(cpus, object->cpuset))
		return false;
	hwloc_bitmap_and(cpus, cpus, object->cpuset);
	return true;
}

void locality_bind(const char *what, unsigned index, uint32_t numa_node, const char *device)
{
	hwloc_topology_t topology = topology_of_node(*device);
	hwloc_bitmap_t cpus = topology ? hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(topology)) : NULL;
	bool by_memory, by_device;
	char *list = NULL;

	if (!cpus)
		return;
	by_memory = narrow(cpus, numa_object(topology, numa_node));
	by_device = narrow(cpus, device_object(topology, device));
	hwloc_bitmap_list_asprintf(&list, cpus);
	if (!by_memory && !by_device)
		log_info("%s %u may run on all cores (%s): neither the pool's memory nor the fabric's "
			 "device tells where it is",
			 what, index, list ? list : "?");
	else if (hwloc_set_cpubind(topology, cpus, HWLOC_CPUBIND_THREAD))
		log_warning("%s %u could not be bound to cores %s: %s", what, index, list ? list : "?",
			    strerror(errno));
	else
		log_info("%s %u is bound to cores %s, near %s%s%s", what, index, list ? list : "?",
			 by_memory ? "the pool's memory" : "", by_memory && by_device ? " and " : "",
			 by_device ? "the fabric's device" : "");
	free(list);
	hwloc_bitmap_free(cpus);
}
