/* SPDX-License-Identifier: BSD-3-Clause */
/* ofi_target.c - the target's half of the contract; ofi_target.h says how it works. */
#include "net/ofi_target.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/thread.h"

#define KEY_TRIES 8

static void target_name_device(struct net_target *target)
{
	const struct fid_nic *nic = target->info->nic;

	if (!nic || !nic->bus_attr || nic->bus_attr->bus_type != FI_BUS_PCI)
		return;
	snprintf(target->device, sizeof(target->device), "%04x:%02x:%02x.%x",
		 nic->bus_attr->attr.pci.domain_id, nic->bus_attr->attr.pci.bus_id,
		 nic->bus_attr->attr.pci.device_id, nic->bus_attr->attr.pci.function_id);
}

static int target_bind(struct net_target *target, struct net_address *address, struct error *err)
{
	size_t bytes = sizeof(address->raw);
	int rc;

	rc = fi_fabric(target->info->fabric_attr, &target->fabric, NULL);
	if (rc)
		return ofi_failed(err, rc, "opening the fabric");
	rc = ofi_open_eq(target->fabric, &target->pep_eq, &target->pep_eq_fd);
	if (rc)
		return ofi_failed(err, rc, "opening an event queue");
	rc = fi_passive_ep(target->fabric, target->info, &target->pep, NULL);
	if (!rc)
		rc = fi_pep_bind(target->pep, &target->pep_eq->fid, 0);
	if (!rc)
		rc = fi_listen(target->pep);
	if (!rc)
		rc = fi_getname(&target->pep->fid, address->raw, &bytes);
	if (rc)
		return ofi_failed(err, rc, "listening for data connections");
	address->format = target->info->addr_format;
	address->bytes = (uint32_t)bytes;
	return ofi_handshakes_open(address, &target->handshakes, err);
}

int ofi_listen(const struct net_params *params, struct net_target **out,
	       struct net_address *address, struct error *err)
{
	unsigned count = params->threads ? params->threads : 1;
	struct net_target *target;
	struct net_address bound = {0};
	int rc;

	/* libfabric 2's tcp keeps 1024 buffers of 16 KiB a domain for messages, and we send none.
	 * Nobody but us uses libfabric in the target's process; what the administrator set stays.
	 */
	setenv("FI_TCP_MAX_RX_SIZE", "256", 0);
	if (sodium_init() < 0)
		return error_set(err, -EIO, "libsodium could not be initialised");
	target = calloc(1, sizeof(*target));
	if (!target)
		return error_nomem(err, "a data-plane target");
	pthread_mutex_init(&target->lock, NULL);
	sem_init(&target->thread_started, 0, 0);
	target->thread_start = params->thread_start;
	target->thread_arg = params->thread_arg;
	target->workers = calloc(count, sizeof(*target->workers));
	if (!target->workers) {
		rc = error_nomem(err, "progress threads");
		goto err_close;
	}
	target->worker_count = count;
	rc = ofi_query(params->provider, params->node, NULL, &target->info, err);
	if (rc)
		goto err_close;
	target_name_device(target);
	rc = target_bind(target, &bound, err);
	if (rc)
		goto err_close;
	for (unsigned i = 0; i < count && !rc; i++)
		rc = ofi_worker_open(&target->workers[i], target, i);
	target->listener_source.kind = SOURCE_LISTENER;
	if (!rc)
		rc = ofi_worker_watch(&target->workers[0], target->pep_eq_fd,
				      &target->listener_source);
	for (unsigned i = 0; i < count && !rc; i++)
		rc = ofi_worker_start(&target->workers[i]);
	if (rc) {
		error_set(err, rc, "starting progress threads: %s", strerror(-rc));
		goto err_close;
	}
	for (unsigned i = 0; i < count; i++)
		thread_await(&target->thread_started);
	*address = bound;
	*out = target;
	return 0;

err_close:
	ofi_target_close(target);
	return rc;
}

void ofi_target_close(struct net_target *target)
{
	if (!target)
		return;
	atomic_store(&target->stop, true);
	for (unsigned i = 0; i < target->worker_count; i++) {
		if (target->workers[i].started)
			ofi_worker_wake(&target->workers[i]);
	}
	for (unsigned i = 0; i < target->worker_count; i++) {
		if (target->workers[i].started)
			pthread_join(target->workers[i].thread, NULL);
	}
	while (target->sessions)
		ofi_session_close(target->sessions);
	for (unsigned i = 0; i < target->worker_count; i++)
		ofi_worker_close(&target->workers[i]);
	ofi_handshakes_close(target->handshakes, target->pep_eq);
	ofi_close(target->pep);
	ofi_close(target->pep_eq);
	ofi_close(target->fabric);
	fi_freeinfo(target->info);
	token_clear(&target->tokens);
	pthread_mutex_destroy(&target->lock);
	sem_destroy(&target->thread_started);
	free(target->workers);
	free(target);
}

int ofi_target_admit(struct net_target *target, uint64_t peer, uint64_t group, const uint8_t bytes[NET_TOKEN_BYTES],
		     struct error *err)
{
	struct token *token = token_new(peer, group, bytes, 1, err);

	if (!token)
		return -ENOMEM;
	pthread_mutex_lock(&target->lock);
	token_add(&target->tokens, token);
	pthread_mutex_unlock(&target->lock);
	return 0;
}

void ofi_target_expel(struct net_target *target, uint64_t peer)
{
	struct session *session;

	pthread_mutex_lock(&target->lock);
	token_remove(&target->tokens, peer);
	pthread_mutex_unlock(&target->lock);
	while ((session = ofi_session_find(target, peer))) {
		ofi_worker_lock(session->worker);
		ofi_session_close(session);
		ofi_worker_unlock(session->worker);
		ofi_worker_wake(session->worker);
		ofi_session_release(session);
	}
}

int ofi_expose(struct net_target *target, uint64_t peer, void *base, size_t bytes, unsigned rights,
	       struct net_grant **out, struct net_key *key, struct error *err)
{
	uint64_t access =
	    (rights & NET_READ ? FI_REMOTE_READ : 0) | (rights & NET_WRITE ? FI_REMOTE_WRITE : 0);
	struct net_grant *grant = calloc(1, sizeof(*grant));
	struct session *session;
	bool virtual_address;
	int rc = -ENOTCONN;

	if (!grant)
		return error_nomem(err, "a grant");
	session = ofi_session_find(target, peer);
	if (!session) {
		free(grant);
		return error_set(err, rc, "the client has no data connection");
	}
	ofi_worker_lock(session->worker);
	if (session->closed || !session->ep)
		goto err_unlock;
	for (unsigned i = 0; i < KEY_TRIES; i++) {
		rc = ofi_register(session->domain->domain, session->info, session->ep, base, bytes, access,
				  ofi_random_key(session->info), &grant->mr);
		if (rc != -FI_ENOKEY)
			break;
	}
	if (rc)
		goto err_unlock;
	virtual_address = session->info->domain_attr->mr_mode & FI_MR_VIRT_ADDR;
	*key = (struct net_key){
	    .address = virtual_address ? (uintptr_t)base : 0,
	    .bytes = bytes,
	    .keys = {fi_mr_key(grant->mr)},
	};
	grant->session = session; /* with the reference */
	grant->next = session->grants;
	grant->at = &session->grants;
	if (grant->next)
		grant->next->at = &grant->next;
	session->grants = grant;
	ofi_worker_unlock(session->worker);
	*out = grant;
	return 0;

err_unlock:
	ofi_worker_unlock(session->worker);
	ofi_session_release(session);
	free(grant);
	if (rc == -ENOTCONN)
		return error_set(err, rc, "the client's data connection is gone");
	return ofi_failed(err, rc, "registering memory with the fabric failed");
}

void ofi_revoke(struct net_grant *grant)
{
	struct session *session;

	if (!grant)
		return;
	session = grant->session;
	ofi_worker_lock(session->worker);
	ofi_close(grant->mr);
	*grant->at = grant->next;
	if (grant->next)
		grant->next->at = grant->at;
	ofi_worker_unlock(session->worker);
	ofi_session_release(session);
	free(grant);
}

/* Each grant has a registration of its own, which goes with it. */
void ofi_forget(struct net_target *target, const void *base, size_t bytes)
{
	(void)target;
	(void)base;
	(void)bytes;
}
