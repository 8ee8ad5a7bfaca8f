/* SPDX-License-Identifier: BSD-3-Clause */
/* verbs_target.c - the target's half of the contract; verbs_target.h says how it works. */
#include "net/verbs_target.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "common/log.h"
#include "common/thread.h"

#define BACKLOG 128

/* ---- listening ---- */

static int target_devices(struct net_target *target, struct error *err)
{
	int count = 0, flags;

	target->contexts = rdma_get_devices(&count);
	if (!target->contexts || !count)
		return error_set(err, -ENODEV,
				 "this machine has no RDMA device that works: see 'rdma link' and 'ibv_devinfo', or use the "
				 "data plane 'ofi'");
	target->devices = calloc((size_t)count, sizeof(*target->devices));
	target->fds = calloc((size_t)count + 2, sizeof(*target->fds));
	if (!target->devices || !target->fds)
		return error_nomem(err, "RDMA devices");
	target->device_count = (unsigned)count;
	target->fds[0] = (struct pollfd){.fd = target->wake_fd, .events = POLLIN};
	target->fds[1] = (struct pollfd){.fd = target->events->fd, .events = POLLIN};
	for (int i = 0; i < count; i++) {
		struct ibv_context *verbs = target->contexts[i];

		flags = fcntl(verbs->async_fd, F_GETFL);
		if (flags < 0 || fcntl(verbs->async_fd, F_SETFL, flags | O_NONBLOCK) < 0)
			return verbs_failed(err, errno, "opening an RDMA device");
		target->devices[i].verbs = verbs;
		target->fds[2 + i] = (struct pollfd){.fd = verbs->async_fd, .events = POLLIN};
	}
	return 0;
}

static int rail_bind(struct rdma_cm_id *listener, const char *node, const struct addrinfo *at, struct error *err)
{
	int rc = rdma_bind_addr(listener, at->ai_addr) ? errno : 0;

	if (rc == ENODEV || rc == EADDRNOTAVAIL)
		return error_set(err, -rc,
				 "no RDMA device has the address %s; see 'rdma link' and 'ip addr', and name one with "
				 "--fabric-listen", node ? node : "any");
	if (rc)
		return verbs_failed(err, rc, "binding the data port");
	if (rdma_listen(listener, BACKLOG))
		return verbs_failed(err, errno, "listening for data connections");
	return 0;
}

/* A further rail, whose address is appended. */
static int target_add_rail(struct net_target *target, const char *node, struct net_address *address, struct error *err)
{
	const struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_family = node ? AF_UNSPEC : AF_INET,
				       .ai_socktype = SOCK_STREAM};
	struct rdma_cm_id **listener = &target->listeners[target->rails];
	struct addrinfo *found;
	int rc;

	if (target->rails == NET_RAILS_MAX)
		return error_set(err, -EINVAL, "there may be %u addresses of rails at most", NET_RAILS_MAX);
	rc = getaddrinfo(node, "0", &hints, &found);
	if (rc)
		return error_set(err, -EINVAL, "'%s' is no address: %s", node ? node : "any", gai_strerror(rc));
	if (target->rails && address->format != (uint32_t)found->ai_family)
		rc = error_set(err, -EINVAL, "the addresses of rails are to be of one family, IPv4 or IPv6");
	else if (rdma_create_id(target->events, listener, NULL, RDMA_PS_TCP))
		rc = verbs_failed(err, errno, "opening the RDMA connection manager");
	else
		target->rails++;
	if (!rc)
		rc = rail_bind(*listener, node, found, err);
	if (!rc) {
		memcpy(address->raw + address->bytes, rdma_get_local_addr(*listener), found->ai_addrlen);
		address->format = (uint32_t)found->ai_family;
		address->bytes += (uint32_t)found->ai_addrlen;
	}
	freeaddrinfo(found);
	return rc;
}

/* `nodes` is one address, or several with commas between; NULL for any. */
static int target_add_rails(struct net_target *target, const char *nodes, struct net_address *address,
			    struct error *err)
{
	char *list = nodes ? strdup(nodes) : NULL, *rest = list, *node;
	int rc = 0;

	if (!nodes)
		return target_add_rail(target, NULL, address, err);
	if (!list)
		return error_nomem(err, "addresses");
	while (!rc && (node = strsep(&rest, ",")))
		rc = target_add_rail(target, node, address, err);
	free(list);
	for (unsigned i = 0; i < target->rails && target->rails > 1 && !rc; i++)
		if (!target->listeners[i]->verbs)
			rc = error_set(err, -EINVAL,
				       "an address of a rail must be of one device: none that stands for all may be among several");
	return rc;
}

static void target_name_device(struct net_target *target)
{
	char path[IBV_SYSFS_PATH_MAX + 8], link[256];
	unsigned domain, bus, slot, function;
	const char *name;
	ssize_t n;

	if (!target->listeners[0]->verbs)
		return;
	snprintf(path, sizeof(path), "%s/device", target->listeners[0]->verbs->device->ibdev_path);
	n = readlink(path, link, sizeof(link) - 1);
	if (n <= 0)
		return;
	link[n] = '\0';
	name = strrchr(link, '/');
	name = name ? name + 1 : link;
	if (sscanf(name, "%4x:%2x:%2x.%1x", &domain, &bus, &slot, &function) == 4)
		snprintf(target->device_name, sizeof(target->device_name), "%04x:%02x:%02x.%x", domain, bus, slot,
			 function);
}

/* ---- windows ---- */

static bool device_offers_windows(struct ibv_context *verbs)
{
	struct ibv_device_attr attr;

	return !ibv_query_device(verbs, &attr) && attr.device_cap_flags & IBV_DEVICE_MEM_WINDOW_TYPE_2B;
}

static void device_decide(struct net_target *target, struct ibv_context *verbs, const struct sockaddr *address)
{
	struct device *device = NULL;

	for (unsigned i = 0; i < target->device_count; i++) {
		if (target->devices[i].verbs == verbs)
			device = &target->devices[i];
	}
	if (!device || device->windows || !device_offers_windows(verbs))
		return;
	device->windows = verbs_probe_windows(address);
	if (!device->windows)
		log_warning("data plane: the memory windows of the RDMA device %s do not work as they should; each grant "
			    "gets a registration of its own, which is slower", ibv_get_device_name(verbs->device));
}

/* Which device an address is at can only be seen by binding it. */
static void address_decide(struct net_target *target, struct sockaddr *address)
{
	struct rdma_event_channel *channel;
	struct rdma_cm_id *id;

	if (verbs_open_channel(&channel, NULL))
		return;
	if (!rdma_create_id(channel, &id, NULL, RDMA_PS_TCP)) {
		if (!rdma_bind_addr(id, address) && id->verbs)
			device_decide(target, id->verbs, address);
		rdma_destroy_id(id);
	}
	rdma_destroy_event_channel(channel);
}

static void addresses_decide(struct net_target *target)
{
	struct ifaddrs *list, *at;

	if (getifaddrs(&list))
		return;
	for (at = list; at; at = at->ifa_next) {
		int family = at->ifa_addr && !(at->ifa_flags & IFF_LOOPBACK) ? at->ifa_addr->sa_family : AF_UNSPEC;

		if (family == AF_INET || family == AF_INET6)
			address_decide(target, at->ifa_addr);
	}
	freeifaddrs(list);
}

static void target_decide_windows(struct net_target *target, enum verbs_windows windows)
{
	if (windows == WINDOWS_NEVER || (windows == WINDOWS_PROBED && verbs_switched_off("HOLDFAST_VERBS_WINDOWS")))
		return;
	if (windows == WINDOWS_TRUSTED) {
		for (unsigned i = 0; i < target->device_count; i++)
			target->devices[i].windows = true;
		return;
	}
	for (unsigned i = 0; i < target->rails; i++) {
		struct rdma_cm_id *listener = target->listeners[i];

		if (listener->verbs)
			device_decide(target, listener->verbs, rdma_get_local_addr(listener));
		else
			addresses_decide(target);
	}
}

/* ---- the contract ---- */

int verbs_listen_with(const struct net_params *params, enum verbs_windows windows, struct net_target **out,
		      struct net_address *address, struct error *err)
{
	struct net_address bound = {0};
	struct net_target *target;
	int rc;

	if (sodium_init() < 0)
		return error_set(err, -EIO, "libsodium could not be initialised");
	target = calloc(1, sizeof(*target));
	if (!target)
		return error_nomem(err, "a data-plane target");
	pthread_mutex_init(&target->lock, NULL);
	sem_init(&target->thread_started, 0, 0);
	target->thread_start = params->thread_start;
	target->thread_arg = params->thread_arg;
	target->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	rc = target->wake_fd < 0 ? verbs_failed(err, errno, "opening an eventfd") : 0;
	if (!rc)
		rc = verbs_open_channel(&target->events, err);
	if (!rc)
		rc = target_devices(target, err);
	if (!rc)
		rc = target_add_rails(target, params->node, &bound, err);
	if (rc)
		goto err_close;
	target_name_device(target);
	target_decide_windows(target, windows);
	rc = pthread_create(&target->thread, NULL, verbs_listener_run, target);
	target->started = !rc;
	if (rc) {
		rc = verbs_failed(err, rc, "starting the data plane's thread");
		goto err_close;
	}
	thread_await(&target->thread_started);
	*address = bound;
	*out = target;
	return 0;

err_close:
	verbs_target_close(target);
	return rc;
}

int verbs_listen(const struct net_params *params, struct net_target **target, struct net_address *address,
		 struct error *err)
{
	return verbs_listen_with(params, WINDOWS_PROBED, target, address, err);
}

void verbs_target_close(struct net_target *target)
{
	uint64_t one = 1;

	if (!target)
		return;
	atomic_store(&target->stop, true);
	if (target->started) {
		if (write(target->wake_fd, &one, sizeof(one)) < 0)
			log_error("data plane: the thread cannot be woken: %s", strerror(errno));
		pthread_join(target->thread, NULL);
	}
	while (target->sessions)
		verbs_session_close(target->sessions);
	for (unsigned i = 0; i < target->rails; i++)
		rdma_destroy_id(target->listeners[i]);
	if (target->events)
		rdma_destroy_event_channel(target->events);
	if (target->contexts)
		rdma_free_devices(target->contexts);
	if (target->wake_fd >= 0)
		close(target->wake_fd);
	token_clear(&target->tokens);
	pthread_mutex_destroy(&target->lock);
	sem_destroy(&target->thread_started);
	free(target->devices);
	free(target->fds);
	free(target);
}

/* Each session has its own queue pairs and windows whatever its group. */
int verbs_target_admit(struct net_target *target, uint64_t peer, uint64_t group, const uint8_t bytes[NET_TOKEN_BYTES],
		       struct error *err)
{
	struct token *token = token_new(peer, group, bytes, target->rails, err);

	if (!token)
		return -ENOMEM;
	pthread_mutex_lock(&target->lock);
	token_add(&target->tokens, token);
	pthread_mutex_unlock(&target->lock);
	return 0;
}

void verbs_target_expel(struct net_target *target, uint64_t peer)
{
	struct session *session;

	pthread_mutex_lock(&target->lock);
	token_remove(&target->tokens, peer);
	while ((session = verbs_session_find(target->sessions, peer)))
		verbs_session_close(session);
	pthread_mutex_unlock(&target->lock);
}

/* With the lock held. */
static void grant_end(struct net_grant *grant)
{
	for (unsigned i = 0; i < grant->count; i++)
		verbs_binding_close(&grant->bindings[i]);
	free(grant);
}

int verbs_expose(struct net_target *target, uint64_t peer, void *base, size_t bytes, unsigned rights,
		 struct net_grant **out, struct net_key *key, struct error *err)
{
	struct net_grant *grant = calloc(1, sizeof(*grant));
	struct session *session, *next;
	int rc = 0;

	if (!grant)
		return error_nomem(err, "a grant");
	*key = (struct net_key){0};
	grant->target = target;
	pthread_mutex_lock(&target->lock);
	for (session = verbs_session_find(target->sessions, peer); session && !rc; session = next) {
		next = verbs_session_find(session->next, peer);
		rc = verbs_binding_open(&grant->bindings[grant->count], session, base, bytes, rights, key, err);
		if (!rc)
			grant->count++;
		else if (rc == -ENOTCONN || rc == -EIO || rc == -ETIMEDOUT)
			/* A window that could not be bound took the queue pair with it. */
			verbs_session_close(session);
	}
	if (!rc && !grant->count)
		rc = error_set(err, -ENOTCONN, "the client has no data connection");
	if (rc)
		grant_end(grant);
	pthread_mutex_unlock(&target->lock);
	if (!rc)
		*out = grant;
	return rc;
}

void verbs_revoke(struct net_grant *grant)
{
	struct net_target *target;

	if (!grant)
		return;
	target = grant->target;
	pthread_mutex_lock(&target->lock);
	grant_end(grant);
	pthread_mutex_unlock(&target->lock);
}

void verbs_forget(struct net_target *target, const void *base, size_t bytes)
{
	pthread_mutex_lock(&target->lock);
	for (struct session *session = target->sessions; session; session = session->next)
		verbs_areas_forget(session, (uintptr_t)base, bytes);
	pthread_mutex_unlock(&target->lock);
}
