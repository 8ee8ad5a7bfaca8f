/* SPDX-License-Identifier: BSD-3-Clause */
/* verbs_source.c - the initiator's choice of a device: addresses of this machine that connections can come from. */
#include "net/verbs_source.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "net/verbs_near.h"

struct sources {
	struct verbs_source *list;
	size_t count;
};

/* The bytes that a network's mask is about. */
static const uint8_t *address_raw(const struct sockaddr *address, size_t *bytes)
{
	if (address->sa_family == AF_INET6) {
		*bytes = sizeof(struct in6_addr);
		return (const uint8_t *)&((const struct sockaddr_in6 *)address)->sin6_addr;
	}
	*bytes = sizeof(struct in_addr);
	return (const uint8_t *)&((const struct sockaddr_in *)address)->sin_addr;
}

static bool same_network(const struct sockaddr *a, const struct sockaddr *b, const struct sockaddr *mask)
{
	size_t bytes;
	const uint8_t *raw_a = address_raw(a, &bytes), *raw_b = address_raw(b, &bytes), *raw_mask;

	if (!mask)
		return false;
	raw_mask = address_raw(mask, &bytes);
	for (size_t i = 0; i < bytes; i++)
		if ((raw_a[i] ^ raw_b[i]) & raw_mask[i])
			return false;
	return true;
}

/* Which device an address is at can only be seen by binding it. */
static bool source_bind(struct rdma_event_channel *channel, const struct ifaddrs *at, struct verbs_source *source)
{
	struct rdma_cm_id *id;
	bool found;

	if (rdma_create_id(channel, &id, NULL, RDMA_PS_TCP))
		return false;
	found = !rdma_bind_addr(id, at->ifa_addr) && id->verbs;
	if (found) {
		*source = (struct verbs_source){.port = id->port_num};
		snprintf(source->device, sizeof(source->device), "%s", ibv_get_device_name(id->verbs->device));
		memcpy(&source->address, at->ifa_addr, verbs_sockaddr_bytes(at->ifa_addr));
	}
	rdma_destroy_id(id);
	return found;
}

static void sources_add(struct sources *sources, const struct verbs_source *source)
{
	struct verbs_source *list = realloc(sources->list, (sources->count + 1) * sizeof(*list));

	if (!list)
		return;
	sources->list = list;
	list[sources->count++] = *source;
}

/* All of the family of `to`, those on the server's network first. */
static struct sources sources_find(const struct sockaddr *to)
{
	struct sources sources = {0};
	struct rdma_event_channel *channel;
	struct verbs_source source;
	struct ifaddrs *list;

	if (verbs_open_channel(&channel, NULL))
		return sources;
	if (getifaddrs(&list))
		list = NULL;
	for (int on_link = 1; on_link >= 0; on_link--) {
		for (const struct ifaddrs *at = list; at; at = at->ifa_next) {
			if (!at->ifa_addr || at->ifa_addr->sa_family != to->sa_family ||
			    (at->ifa_flags & (IFF_UP | IFF_LOOPBACK)) != IFF_UP ||
			    same_network(at->ifa_addr, to, at->ifa_netmask) != on_link ||
			    !source_bind(channel, at, &source))
				continue;
			source.on_link = on_link;
			sources_add(&sources, &source);
		}
	}
	if (list)
		freeifaddrs(list);
	rdma_destroy_event_channel(channel);
	return sources;
}

static bool source_is(const struct verbs_source *source, const char *name)
{
	const struct sockaddr *address = (const struct sockaddr *)&source->address;
	char full[IBV_SYSFS_NAME_MAX + 16];
	uint8_t wanted[sizeof(struct in6_addr)];
	size_t bytes;
	const uint8_t *raw = address_raw(address, &bytes);

	if (inet_pton(address->sa_family, name, wanted) == 1)
		return !memcmp(raw, wanted, bytes);
	snprintf(full, sizeof(full), "%s:%u", source->device, source->port);
	return !strcmp(name, source->device) || !strcmp(name, full);
}

static void sources_print(const struct sources *sources, char *text, size_t bytes)
{
	char address[NI_MAXHOST];
	size_t used = 0;

	snprintf(text, bytes, "none");
	for (size_t i = 0; i < sources->count && used < bytes; i++) {
		const struct sockaddr *at = (const struct sockaddr *)&sources->list[i].address;

		if (getnameinfo(at, verbs_sockaddr_bytes(at), address, sizeof(address), NULL, 0, NI_NUMERICHOST))
			snprintf(address, sizeof(address), "?");
		used += (size_t)snprintf(text + used, bytes - used, "%s%s:%u (%s)", i ? ", " : "",
					 sources->list[i].device, sources->list[i].port, address);
	}
}

void verbs_source_names(const struct sockaddr *to, char *text, size_t bytes)
{
	struct sources sources = sources_find(to);

	sources_print(&sources, text, bytes);
	free(sources.list);
}

int verbs_source_named(const char *name, const struct sockaddr *to, struct verbs_source *source, struct error *err)
{
	struct sources sources = sources_find(to);
	char names[256];
	size_t i = 0;

	while (i < sources.count && !source_is(&sources.list[i], name))
		i++;
	if (i < sources.count)
		*source = sources.list[i];
	else
		sources_print(&sources, names, sizeof(names));
	free(sources.list);
	if (i < sources.count)
		return 0;
	return error_set(err, -ENODEV,
			 "this machine has no RDMA device, or address of one, '%s', as the variable fabric_device says, "
			 "with an %s address; there is: %s",
			 name, to->sa_family == AF_INET6 ? "IPv6" : "IPv4", names);
}

static bool is_among(const char *device, const char *const names[])
{
	while (*names && strcmp(*names, device) != 0)
		names++;
	return *names;
}

/* A device that is not used yet before all that are, then the nearest. */
static unsigned device_merit(const struct verbs_near *near, const char *device, const char *const used[])
{
	return (is_among(device, used) ? 0 : NEAR_SHARE_ALL + 1) + (near ? verbs_near_share(near, device) : 0);
}

/* The best of those on the server's network; a tie is the kernel's to decide. */
static bool sources_better(const struct sources *sources, const char *device, const char *const used[],
			   struct verbs_source *best)
{
	struct verbs_near *near = verbs_near_open();
	unsigned merit, most = device_merit(near, device, used);
	bool found = false;

	for (size_t i = 0; i < sources->count && sources->list[i].on_link; i++) {
		merit = device_merit(near, sources->list[i].device, used);
		if (merit <= most)
			continue;
		most = merit;
		*best = sources->list[i];
		found = true;
	}
	verbs_near_close(near);
	return found;
}

bool verbs_source_better(const char *device, const char *const used[], const struct sockaddr *to,
			 struct verbs_source *source)
{
	struct sources sources = sources_find(to);
	bool others = false, found;

	for (size_t i = 0; i < sources.count && sources.list[i].on_link; i++)
		others = others || strcmp(sources.list[i].device, device) != 0;
	found = others && sources_better(&sources, device, used, source);
	free(sources.list);
	return found;
}
