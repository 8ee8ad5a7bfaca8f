/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verbs_binding.c - what a session may reach: a type-2B memory window, bound to its queue pair and to an area that stays
 * registered from one grant to the next; or a registration of its own, where the device has no windows.
 */
#include "net/verbs_target.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"

#define IDLE_AREAS_MAX 8u

static int remote_access(unsigned rights)
{
	return (rights & NET_READ ? IBV_ACCESS_REMOTE_READ : 0) | (rights & NET_WRITE ? IBV_ACCESS_REMOTE_WRITE : 0) |
	       (rights & NET_FLUSH ? VERBS_ACCESS_FLUSH : 0);
}

static int memory_register(struct ibv_pd *pd, void *base, size_t bytes, int access, struct ibv_mr **mr, bool *on_demand,
			  struct error *err)
{
	int rc = verbs_register(pd, base, bytes, access, mr, on_demand, err);

	if ((rc == -EINVAL || rc == -EOPNOTSUPP) && access & VERBS_ACCESS_FLUSH)
		return error_set(err, rc, "the RDMA device %s cannot flush this memory to persistence: it is no persistent "
				 "memory to it, or it has no RDMA FLUSH. Start the server with --persist server",
				 ibv_get_device_name(pd->context->device));
	return rc;
}

/* ---- areas ---- */

static void area_end(struct area **at)
{
	struct area *area = *at;

	*at = area->next;
	if (ibv_dereg_mr(area->mr))
		log_error("data plane: %zu bytes of memory could not be unregistered: %s", area->bytes,
			  strerror(errno));
	free(area);
}

void verbs_areas_forget(struct session *session, uintptr_t base, size_t bytes)
{
	for (struct area **at = &session->areas; *at;) {
		const struct area *area = *at;
		bool apart = base < area->base ? area->base - base >= bytes : base - area->base >= area->bytes;

		if (apart || area->bindings)
			at = &(*at)->next;
		else
			area_end(at);
	}
}

static void areas_trim(struct session *session, unsigned keep)
{
	for (struct area **at = &session->areas; *at;) {
		if ((*at)->bindings) {
			at = &(*at)->next;
		} else if (keep) {
			keep--;
			at = &(*at)->next;
		} else {
			area_end(at);
		}
	}
}

static bool area_contains(const struct area *area, uintptr_t base, size_t bytes)
{
	return base >= area->base && base - area->base <= area->bytes &&
	       bytes <= area->bytes - (base - area->base);
}

/* The area that has this memory, made where there is none; NULL without an error: it cannot have windows. */
static int area_take(struct session *session, void *base, size_t bytes, unsigned rights, struct area **out,
		     struct error *err)
{
	const int access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_MW_BIND | remote_access(rights & NET_FLUSH);
	struct area **at = &session->areas, *area;
	bool on_demand;
	int rc;

	while (*at && (!area_contains(*at, (uintptr_t)base, bytes) || (rights & NET_FLUSH & ~(*at)->rights)))
		at = &(*at)->next;
	area = *at;
	if (area) {
		*at = area->next;
		goto out;
	}
	/* A set that has outgrown its area: that one would not be used again. */
	verbs_areas_forget(session, (uintptr_t)base, bytes);
	area = calloc(1, sizeof(*area));
	if (!area)
		return error_nomem(err, "an area");
	rc = memory_register(session->pd, base, bytes, access, &area->mr, &on_demand, err);
	if (rc == -ENOMEM) {
		areas_trim(session, 0);
		rc = memory_register(session->pd, base, bytes, access, &area->mr, &on_demand, err);
	}
	if (!rc && on_demand) { /* devices bind no windows to such memory */
		ibv_dereg_mr(area->mr);
		free(area);
		*out = NULL;
		return 0;
	}
	if (rc) {
		free(area);
		return rc;
	}
	area->base = (uintptr_t)base;
	area->bytes = bytes;
	area->rights = rights & NET_FLUSH;
out:
	area->next = session->areas;
	session->areas = area;
	*out = area;
	return 0;
}

/* ---- windows ---- */

static int window_bind(struct binding *binding, struct area *area, void *base, size_t bytes, unsigned rights,
		       struct error *err)
{
	struct session *session = binding->session;
	struct ibv_send_wr request = {.opcode = IBV_WR_BIND_MW};
	int rc;

	binding->window = ibv_alloc_mw(session->pd, IBV_MW_TYPE_2);
	if (!binding->window)
		return verbs_failed(err, errno, "making a memory window");
	/* The low byte of a key is ours to choose; it has to differ from the last one. */
	binding->window_key = (binding->window->rkey & ~0xffu) |
			      ((binding->window->rkey + 1 + randombytes_uniform(255)) & 0xffu);
	request.bind_mw.mw = binding->window;
	request.bind_mw.rkey = binding->window_key;
	request.bind_mw.bind_info.mr = area->mr;
	request.bind_mw.bind_info.addr = (uintptr_t)base;
	request.bind_mw.bind_info.length = bytes;
	request.bind_mw.bind_info.mw_access_flags = (unsigned)remote_access(rights);
	rc = verbs_session_do(session, &request, err);
	if (rc) {
		ibv_dealloc_mw(binding->window);
		binding->window = NULL;
		return rc;
	}
	binding->window->rkey = binding->window_key;
	binding->area = area;
	area->bindings++;
	return 0;
}

int verbs_binding_open(struct binding *binding, struct session *session, void *base, size_t bytes, unsigned rights,
		       struct net_key *key, struct error *err)
{
	int access = remote_access(rights) | (rights & NET_WRITE ? IBV_ACCESS_LOCAL_WRITE : 0);
	struct area *area = NULL;
	int rc = 0;

	binding->session = session;
	if (session->windows)
		rc = area_take(session, base, bytes, rights, &area, err);
	if (!rc && area)
		rc = window_bind(binding, area, base, bytes, rights, err);
	else if (!rc)
		rc = memory_register(session->pd, base, bytes, access, &binding->mr, NULL, err);
	if (rc)
		return rc;
	binding->next = session->bindings;
	binding->at = &session->bindings;
	if (binding->next)
		binding->next->at = &binding->next;
	session->bindings = binding;
	key->address = (uintptr_t)base;
	key->bytes = bytes;
	key->keys[session->rail] = binding->window ? binding->window_key : binding->mr->rkey;
	return 0;
}

/* ---- a trial ---- */

static int device_try(struct ibv_context *verbs, void *base, size_t bytes, unsigned rights, struct error *err)
{
	const int access = remote_access(rights) | IBV_ACCESS_LOCAL_WRITE;
	struct ibv_pd *pd = ibv_alloc_pd(verbs);
	struct ibv_mr *mr;
	int rc;

	if (!pd)
		return verbs_failed(err, errno, "making a protection domain");
	rc = memory_register(pd, base, bytes, access, &mr, NULL, err);
	if (!rc)
		ibv_dereg_mr(mr);
	ibv_dealloc_pd(pd);
	return rc;
}

int verbs_try_memory(struct net_target *target, void *base, size_t bytes, unsigned rights, struct error *err)
{
	bool some = false;
	int rc = 0;

	for (unsigned i = 0; i < target->rails && target->listeners[i]->verbs && !rc; i++) {
		rc = device_try(target->listeners[i]->verbs, base, bytes, rights, err);
		some = true;
	}
	if (some)
		return rc;
	/* Clients may come to any: one that they can use is enough. */
	for (unsigned i = 0; i < target->device_count; i++) {
		int failed = device_try(target->devices[i].verbs, base, bytes, rights, err);

		if (failed && err)
			log_warning("data plane: %s", err->text);
		some = some || !failed;
		rc = failed ? failed : rc;
	}
	return some ? 0 : rc;
}

/* ---- the end of a binding ---- */

void verbs_binding_end_window(struct binding *binding)
{
	if (!binding->window)
		return;
	if (ibv_dealloc_mw(binding->window))
		log_error("data plane: a memory window could not be freed: %s", strerror(errno));
	binding->window = NULL;
	binding->area->bindings--;
	binding->area = NULL;
}

void verbs_binding_end_registration(struct binding *binding)
{
	if (binding->mr && ibv_dereg_mr(binding->mr))
		log_error("data plane: memory could not be unregistered: %s", strerror(errno));
	binding->mr = NULL;
}

static void binding_end(struct binding *binding)
{
	struct ibv_send_wr request = {.opcode = IBV_WR_LOCAL_INV, .invalidate_rkey = binding->window_key};
	struct session *session = binding->session;
	struct error err;

	if (session->closed)
		return;
	if (binding->window && verbs_session_do(session, &request, &err)) {
		log_debug("data plane: peer %llu: %s", (unsigned long long)session->peer, err.text);
		verbs_session_close(session);
		return;
	}
	verbs_binding_end_window(binding);
	verbs_binding_end_registration(binding);
	areas_trim(session, IDLE_AREAS_MAX);
}

void verbs_binding_close(struct binding *binding)
{
	struct session *session = binding->session;

	binding_end(binding);
	*binding->at = binding->next;
	if (binding->next)
		binding->next->at = binding->at;
	if (session->closed && !session->bindings)
		free(session);
}
