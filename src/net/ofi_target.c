/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ofi_target.c - the target's half: listener, tokens, sessions, grants, progress threads.
 *
 * Software providers move data only in calls that we make, so each session belongs to a progress thread,
 * which waits for the descriptors of its sessions' queues in one epoll set. Every session has a domain of
 * its own (keys are per domain) with one endpoint, one completion queue and one event queue.
 *
 * Locks, in this order:
 *   worker.lock  all libfabric objects of the worker's sessions and grants: libfabric 1.17's tcp looks keys
 *                up without a lock, and may receive into a closed descriptor's successor while another
 *                thread closes the endpoint. It is held while a session makes progress, so that who holds
 *                it knows that no byte is being stored.
 *   target.lock  tokens, the list of sessions, loads, reference counts.
 * A session is freed with its last reference: its worker's, a grant's, or that of a call in progress.
 */
#include "net/ofi.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/log.h"
#include "net/ofi_handshake.h"

#define EVENTS_MAX	  64
#define CQ_ENTRIES	  8	/* only failures are ever reported to a target */
#define HANDSHAKE_LOOK_MS 1000	/* how often unfinished handshakes are looked at, while there are any */
#define HANDSHAKE_PAUSE	  64	/* fruitless wake-ups of the listener after which we look at once */
#define LISTENER_REST_MS  100	/* how long a listener that cannot accept is left alone */
#define KEY_TRIES	  8

enum source_kind { SOURCE_WAKE, SOURCE_LISTENER, SOURCE_CQ, SOURCE_EQ };

/* What a descriptor in a worker's epoll set stands for. */
struct source {
	enum source_kind kind;
	struct session *session;
};

struct session {
	struct net_target *target;
	struct worker *worker;
	uint64_t peer;

	/* worker.lock */
	struct fi_info *info;
	struct fid_domain *domain;
	struct fid_cq *cq;
	struct fid_eq *eq;
	struct fid_ep *ep;
	struct net_grant *grants;
	bool closed;

	/* the worker's thread only */
	struct session *next_ready;
	bool ready, eq_ready;

	/* target.lock */
	struct session *next, *next_dead;
	unsigned references;

	struct source cq_source, eq_source;
};

struct net_grant {
	struct session *session;
	struct net_grant *next, **at; /* worker.lock; at: NULL once unlinked */
	struct fid_mr *mr;	      /* worker.lock; NULL once the session is closed */
};

struct worker {
	struct net_target *target;
	unsigned index;
	pthread_t thread;
	bool started;
	int epoll_fd, wake_fd;
	struct source wake_source;
	struct session *ready; /* the worker's thread only */
	pthread_mutex_t gate, lock;

	/* target.lock */
	unsigned load;
	struct session *dead;
};

struct token {
	struct token *next;
	uint64_t peer;
	uint8_t bytes[NET_TOKEN_BYTES];
};

struct net_target {
	struct fi_info *info;
	struct fid_fabric *fabric;
	struct fid_pep *pep;
	struct fid_eq *pep_eq;
	int pep_eq_fd;
	struct source listener_source;
	struct ofi_handshakes *handshakes;
	uint64_t look_at;  /* the first worker's thread: when to look at handshakes; 0: not needed */
	uint64_t rest_till; /* the first worker's thread: the listener is left alone; 0: it is not */
	unsigned fruitless;
	bool listener_ready;

	void (*thread_start)(void *arg, unsigned thread, const char *device);
	void *thread_arg;
	char device[32];

	struct worker *workers;
	unsigned worker_count;
	_Atomic bool stop;

	pthread_mutex_t lock;
	struct token *tokens;
	struct session *sessions;
};

/*
 * Whoever waits for the lock holds the gate: a worker with much to do gives the lock up between two
 * sessions, and cannot take it again before him.
 */
static void worker_lock(struct worker *worker)
{
	pthread_mutex_lock(&worker->gate);
	pthread_mutex_lock(&worker->lock);
	pthread_mutex_unlock(&worker->gate);
}

static void worker_unlock(struct worker *worker)
{
	pthread_mutex_unlock(&worker->lock);
}

static void worker_wake(struct worker *worker)
{
	uint64_t one = 1;

	if (write(worker->wake_fd, &one, sizeof(one)) < 0)
		assert(errno == EAGAIN); /* the counter is full: it is awake */
}

static int worker_watch(struct worker *worker, int fd, struct source *source)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};

	return epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

/* ---- sessions ---- */

static void session_release(struct session *session)
{
	struct net_target *target = session->target;
	bool last;

	pthread_mutex_lock(&target->lock);
	last = --session->references == 0;
	pthread_mutex_unlock(&target->lock);
	if (last)
		free(session);
}

static struct session *session_find(struct net_target *target, uint64_t peer)
{
	struct session *session;

	pthread_mutex_lock(&target->lock);
	for (session = target->sessions; session && session->peer != peer; session = session->next)
		;
	if (session)
		session->references++;
	pthread_mutex_unlock(&target->lock);
	return session;
}

/*
 * With worker.lock held. Once it returns, the provider stores nothing more for this peer: the endpoint is
 * closed first, since tcp goes on receiving a write that it has begun whatever becomes of its key. The
 * worker's own reference is dropped in its thread, which may still hold the session in a list of events.
 */
static void session_close(struct session *session)
{
	struct net_target *target = session->target;
	struct worker *worker = session->worker;

	if (session->closed)
		return;
	session->closed = true;
	ofi_close(session->ep);
	for (struct net_grant *grant = session->grants; grant; grant = grant->next)
		ofi_close(grant->mr);
	ofi_close(session->cq); /* closing a descriptor takes it out of the epoll set */
	ofi_close(session->eq);
	ofi_close(session->domain);
	fi_freeinfo(session->info);
	session->info = NULL;

	pthread_mutex_lock(&target->lock);
	for (struct session **at = &target->sessions; *at; at = &(*at)->next) {
		if (*at == session) {
			*at = session->next;
			break;
		}
	}
	worker->load--;
	session->next_dead = worker->dead;
	worker->dead = session;
	pthread_mutex_unlock(&target->lock);
}

static void session_set_ready(struct session *session)
{
	if (session->ready)
		return;
	session->ready = true;
	session->next_ready = session->worker->ready;
	session->worker->ready = session;
}

/* Events of the connection; false when it is gone. With worker.lock held. */
static bool session_events(struct session *session)
{
	for (;;) {
		struct fi_eq_err_entry failed = {0};
		union ofi_event event;
		uint32_t type;
		ssize_t n;

		errno = 0; /* tcp takes a stale EAGAIN for a reason to wait on */
		n = fi_eq_read(session->eq, &type, &event, sizeof(event), 0);
		if (n == -FI_EAGAIN)
			return true;
		if (n == -FI_EAVAIL)
			n = fi_eq_readerr(session->eq, &failed, 0);
		if (n < 0 || failed.err || type == FI_SHUTDOWN)
			return false;
	}
}

/*
 * Moves the session's data, and arms its descriptors where nothing more is waiting. libfabric wants
 * fi_trywait before each wait; a queue that has not fired since the last one needs none, so that a round
 * costs by activity and not by the number of sessions.
 */
static void session_progress(struct session *session)
{
	struct worker *worker = session->worker;
	struct fid *fids[2];
	struct fi_cq_entry entries[CQ_ENTRIES];
	struct fi_cq_err_entry failed = {0};
	ssize_t n;
	int rc;

	worker_lock(worker);
	if (session->closed)
		goto out;
	n = fi_cq_read(session->cq, entries, CQ_ENTRIES);
	if (n == -FI_EAVAIL)
		n = fi_cq_readerr(session->cq, &failed, 0);
	if ((n < 0 && n != -FI_EAGAIN) || (session->eq_ready && !session_events(session))) {
		log_debug("data plane: peer %llu is gone", (unsigned long long)session->peer);
		session_close(session);
		goto out;
	}
	fids[0] = &session->cq->fid;
	fids[1] = &session->eq->fid;
	rc = fi_trywait(session->target->fabric, fids, session->eq_ready ? 2 : 1);
	if (rc == -FI_EAGAIN)
		session_set_ready(session);
	else
		session->eq_ready = false;
out:
	worker_unlock(worker);
}

/* With worker.lock held. */
static int session_accept(struct session *session, const char **what)
{
	struct fi_info *info = session->info;
	int cq_fd, eq_fd, rc;

	info->rx_attr->size = 1; /* nobody sends messages */
	*what = "opening a domain";
	rc = fi_domain(session->target->fabric, info, &session->domain, NULL);
	if (!rc)
		rc = ofi_open_cq(session->domain, CQ_ENTRIES, &session->cq, &cq_fd);
	if (!rc)
		rc = ofi_open_eq(session->target->fabric, &session->eq, &eq_fd);
	if (rc)
		return rc;
	*what = "creating an endpoint";
	rc = fi_endpoint(session->domain, info, &session->ep, NULL);
	if (!rc)
		rc = fi_ep_bind(session->ep, &session->eq->fid, 0);
	if (!rc)
		rc = fi_ep_bind(session->ep, &session->cq->fid, FI_TRANSMIT | FI_RECV);
	if (!rc)
		rc = fi_enable(session->ep);
	if (rc)
		return rc;
	*what = "watching a connection";
	rc = worker_watch(session->worker, cq_fd, &session->cq_source);
	if (!rc)
		rc = worker_watch(session->worker, eq_fd, &session->eq_source);
	if (rc)
		return rc;
	*what = "accepting a connection";
	return fi_accept(session->ep, NULL, 0);
}

/* ---- the listener, in the first worker's thread ---- */

/* Takes the token, so that it works once, and makes its session, listed and not yet connected. */
static struct session *target_redeem(struct net_target *target, const void *data, size_t bytes)
{
	struct session *session = calloc(1, sizeof(*session));
	struct worker *worker = &target->workers[0];
	struct token **at, **found = NULL, *token;

	if (!session)
		return NULL;
	pthread_mutex_lock(&target->lock);
	/* All are compared, and each in constant time: the answer's delay tells nothing. */
	for (at = &target->tokens; *at && bytes >= NET_TOKEN_BYTES; at = &(*at)->next) {
		if (!sodium_memcmp((*at)->bytes, data, NET_TOKEN_BYTES))
			found = at;
	}
	if (!found) {
		pthread_mutex_unlock(&target->lock);
		free(session);
		return NULL;
	}
	token = *found;
	*found = token->next;
	for (unsigned i = 1; i < target->worker_count; i++) {
		if (target->workers[i].load < worker->load)
			worker = &target->workers[i];
	}
	worker->load++;
	session->target = target;
	session->worker = worker;
	session->peer = token->peer;
	session->cq_source = (struct source){.kind = SOURCE_CQ, .session = session};
	session->eq_source = (struct source){.kind = SOURCE_EQ, .session = session};
	session->references = 2; /* the worker's and the caller's */
	session->next = target->sessions;
	target->sessions = session;
	pthread_mutex_unlock(&target->lock);
	sodium_memzero(token, sizeof(*token));
	free(token);
	return session;
}

static void target_request(struct net_target *target, struct fi_info *info, const void *data,
			   size_t bytes)
{
	struct session *session = target_redeem(target, data, bytes);
	const char *what = "";
	fid_t handle = info->handle;
	int rc;

	if (!session) {
		log_debug("data plane: a connection with an unknown token was rejected");
		fi_reject(target->pep, handle, OFI_REJECTED, sizeof(OFI_REJECTED));
		fi_freeinfo(info);
		return;
	}
	worker_lock(session->worker);
	if (session->closed) { /* expelled in the meantime */
		fi_reject(target->pep, handle, OFI_REJECTED, sizeof(OFI_REJECTED));
		fi_freeinfo(info);
	} else {
		session->info = info;
		rc = session_accept(session, &what);
		if (rc) {
			log_error("data plane: %s for peer %llu failed: %s", what,
				  (unsigned long long)session->peer, fi_strerror(-rc));
			fi_reject(target->pep, handle, NULL, 0);
			session_close(session);
		}
	}
	worker_unlock(session->worker);
	worker_wake(session->worker);
	session_release(session);
}

static void target_listener_rest(struct net_target *target)
{
	if (target->rest_till)
		return;
	epoll_ctl(target->workers[0].epoll_fd, EPOLL_CTL_DEL, target->pep_eq_fd, NULL);
	target->rest_till = deadline_in_ms(LISTENER_REST_MS);
}

static void target_look_at_handshakes(struct net_target *target)
{
	unsigned pending = ofi_handshakes_trim(target->handshakes);

	/* It fires, and yet nothing comes of it: descriptors have run out, or somebody plays with us. */
	if (target->fruitless >= HANDSHAKE_PAUSE && pending < HANDSHAKE_PAUSE)
		target_listener_rest(target);
	target->fruitless = 0;
	target->look_at = pending ? deadline_in_ms(HANDSHAKE_LOOK_MS) : 0;
}

static void target_listener_events(struct net_target *target)
{
	struct fid *fids[] = {&target->pep_eq->fid};
	struct fi_eq_err_entry failed = {0};
	union ofi_event event;
	uint32_t type;
	ssize_t n;

	errno = 0;
	n = fi_eq_read(target->pep_eq, &type, &event, sizeof(event), 0);
	if (n >= (ssize_t)sizeof(event.cm) && type == FI_CONNREQ) {
		target_request(target, event.cm.info, event.cm.data, (size_t)n - sizeof(event.cm));
		target->fruitless = 0;
	} else {
		target->fruitless++;
	}
	if (n == -FI_EAVAIL)
		n = fi_eq_readerr(target->pep_eq, &failed, 0);
	if (n < 0 && n != -FI_EAGAIN)
		target_listener_rest(target);
	target->listener_ready = fi_trywait(target->fabric, fids, 1) == -FI_EAGAIN;
	if (!target->look_at)
		target->look_at = deadline_in_ms(HANDSHAKE_LOOK_MS);
	if (target->fruitless >= HANDSHAKE_PAUSE)
		target_look_at_handshakes(target);
}

/* What is due by the clock; returns how long the first worker may wait, -1 for ever. */
static int target_listener_clock(struct net_target *target)
{
	uint64_t next;

	if (target->listener_ready)
		target_listener_events(target);
	if (target->rest_till && deadline_left_ms(target->rest_till) == 0) {
		target->rest_till = 0;
		worker_watch(&target->workers[0], target->pep_eq_fd, &target->listener_source);
	}
	if (target->look_at && deadline_left_ms(target->look_at) == 0)
		target_look_at_handshakes(target);
	if (target->listener_ready)
		return 0;
	next = target->look_at;
	if (target->rest_till && (!next || target->rest_till < next))
		next = target->rest_till;
	return next ? deadline_left_ms(next) : -1;
}

/* ---- the progress threads ---- */

/* Drops the worker's references to sessions closed since, unless one still waits for its turn. */
static void worker_bury(struct worker *worker)
{
	struct session *buried = NULL, *session;

	pthread_mutex_lock(&worker->target->lock);
	for (struct session **at = &worker->dead; (session = *at);) {
		if (session->ready) {
			at = &session->next_dead;
			continue;
		}
		*at = session->next_dead;
		session->next_dead = buried;
		buried = session;
	}
	pthread_mutex_unlock(&worker->target->lock);
	while ((session = buried)) {
		buried = session->next_dead;
		session_release(session);
	}
}

static void worker_dispatch(struct worker *worker, struct source *source)
{
	uint64_t count;

	switch (source->kind) {
	case SOURCE_WAKE:
		if (read(worker->wake_fd, &count, sizeof(count)) < 0)
			assert(errno == EAGAIN);
		break;
	case SOURCE_LISTENER:
		worker->target->listener_ready = true;
		break;
	case SOURCE_EQ:
		source->session->eq_ready = true;
		session_set_ready(source->session);
		break;
	case SOURCE_CQ:
		session_set_ready(source->session);
		break;
	}
}

static void *worker_run(void *arg)
{
	struct worker *worker = arg;
	struct net_target *target = worker->target;
	struct epoll_event events[EVENTS_MAX];
	int n, timeout_ms;

	if (target->thread_start)
		target->thread_start(target->thread_arg, worker->index, target->device);
	while (!atomic_load(&target->stop)) {
		struct session *ready = worker->ready, *session;

		/* Those that had more to do than one turn go first, then what fired meanwhile. */
		worker->ready = NULL;
		while ((session = ready)) {
			ready = session->next_ready;
			session->ready = false;
			session_progress(session);
		}
		worker_bury(worker);
		timeout_ms = worker->index == 0 ? target_listener_clock(target) : -1;
		n = epoll_wait(worker->epoll_fd, events, EVENTS_MAX, worker->ready ? 0 : timeout_ms);
		for (int i = 0; i < n; i++)
			worker_dispatch(worker, events[i].data.ptr);
	}
	return NULL;
}

static int worker_open(struct worker *worker, struct net_target *target, unsigned index)
{
	worker->target = target;
	worker->index = index;
	worker->wake_source.kind = SOURCE_WAKE;
	pthread_mutex_init(&worker->gate, NULL);
	pthread_mutex_init(&worker->lock, NULL);
	worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	worker->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (worker->epoll_fd < 0 || worker->wake_fd < 0)
		return -errno;
	return worker_watch(worker, worker->wake_fd, &worker->wake_source);
}

static int worker_start(struct worker *worker)
{
	int rc = -pthread_create(&worker->thread, NULL, worker_run, worker);

	worker->started = rc == 0;
	return rc;
}

static void worker_close(struct worker *worker)
{
	if (!worker->target)
		return; /* never opened */
	while (worker->ready) {
		worker->ready->ready = false;
		worker->ready = worker->ready->next_ready;
	}
	worker_bury(worker);
	if (worker->epoll_fd >= 0)
		close(worker->epoll_fd);
	if (worker->wake_fd >= 0)
		close(worker->wake_fd);
	pthread_mutex_destroy(&worker->gate);
	pthread_mutex_destroy(&worker->lock);
}

/* ---- the contract ---- */

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

int ofi_listen(const struct net_params *params, struct net_target **out, struct net_address *address,
	       struct error *err)
{
	unsigned count = params->threads ? params->threads : 1;
	struct net_target *target;
	struct net_address bound = {0};
	int rc;

	/* libfabric 2's tcp keeps 1024 buffers of 16 KiB a domain for messages, and we send none. Nobody
	 * but us uses libfabric in the target's process; what the administrator set stays. */
	setenv("FI_TCP_MAX_RX_SIZE", "256", 0);
	if (sodium_init() < 0)
		return error_set(err, -EIO, "libsodium could not be initialised");
	target = calloc(1, sizeof(*target));
	if (!target)
		return error_nomem(err, "a data-plane target");
	pthread_mutex_init(&target->lock, NULL);
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
		rc = worker_open(&target->workers[i], target, i);
	target->listener_source.kind = SOURCE_LISTENER;
	if (!rc)
		rc = worker_watch(&target->workers[0], target->pep_eq_fd, &target->listener_source);
	for (unsigned i = 0; i < count && !rc; i++)
		rc = worker_start(&target->workers[i]);
	if (rc) {
		error_set(err, rc, "starting progress threads: %s", strerror(-rc));
		goto err_close;
	}
	*address = bound;
	*out = target;
	return 0;

err_close:
	ofi_target_close(target);
	return rc;
}

void ofi_target_close(struct net_target *target)
{
	struct token *token;

	if (!target)
		return;
	atomic_store(&target->stop, true);
	for (unsigned i = 0; i < target->worker_count; i++) {
		if (target->workers[i].started)
			worker_wake(&target->workers[i]);
	}
	for (unsigned i = 0; i < target->worker_count; i++) {
		if (target->workers[i].started)
			pthread_join(target->workers[i].thread, NULL);
	}
	while (target->sessions)
		session_close(target->sessions);
	for (unsigned i = 0; i < target->worker_count; i++)
		worker_close(&target->workers[i]);
	ofi_handshakes_close(target->handshakes, target->pep_eq);
	ofi_close(target->pep);
	ofi_close(target->pep_eq);
	ofi_close(target->fabric);
	fi_freeinfo(target->info);
	while ((token = target->tokens)) {
		target->tokens = token->next;
		sodium_memzero(token, sizeof(*token));
		free(token);
	}
	pthread_mutex_destroy(&target->lock);
	free(target->workers);
	free(target);
}

int ofi_target_admit(struct net_target *target, uint64_t peer, const uint8_t bytes[NET_TOKEN_BYTES],
		     struct error *err)
{
	struct token *token = malloc(sizeof(*token));

	if (!token)
		return error_nomem(err, "a token");
	token->peer = peer;
	memcpy(token->bytes, bytes, NET_TOKEN_BYTES);
	pthread_mutex_lock(&target->lock);
	token->next = target->tokens;
	target->tokens = token;
	pthread_mutex_unlock(&target->lock);
	return 0;
}

void ofi_target_expel(struct net_target *target, uint64_t peer)
{
	struct session *session;

	pthread_mutex_lock(&target->lock);
	for (struct token **at = &target->tokens; *at;) {
		struct token *token = *at;

		if (token->peer != peer) {
			at = &token->next;
			continue;
		}
		*at = token->next;
		sodium_memzero(token, sizeof(*token));
		free(token);
	}
	pthread_mutex_unlock(&target->lock);
	while ((session = session_find(target, peer))) {
		worker_lock(session->worker);
		session_close(session);
		worker_unlock(session->worker);
		worker_wake(session->worker);
		session_release(session);
	}
}

int ofi_expose(struct net_target *target, uint64_t peer, void *base, size_t bytes, unsigned rights,
	       struct net_grant **out, struct net_key *key, struct error *err)
{
	uint64_t access = (rights & NET_READ ? FI_REMOTE_READ : 0) |
			  (rights & NET_WRITE ? FI_REMOTE_WRITE : 0);
	struct net_grant *grant = calloc(1, sizeof(*grant));
	struct session *session;
	bool virtual_address;
	int rc = -ENOTCONN;

	if (!grant)
		return error_nomem(err, "a grant");
	session = session_find(target, peer);
	if (!session) {
		free(grant);
		return error_set(err, rc, "the client has no data connection");
	}
	worker_lock(session->worker);
	if (session->closed || !session->ep)
		goto err_unlock;
	for (unsigned i = 0; i < KEY_TRIES; i++) {
		rc = ofi_register(session->domain, session->info, session->ep, base, bytes, access,
				  ofi_random_key(session->info), &grant->mr);
		if (rc != -FI_ENOKEY)
			break;
	}
	if (rc)
		goto err_unlock;
	virtual_address = session->info->domain_attr->mr_mode & FI_MR_VIRT_ADDR;
	key->address = virtual_address ? (uintptr_t)base : 0;
	key->key = fi_mr_key(grant->mr);
	key->bytes = bytes;
	grant->session = session; /* with the reference */
	grant->next = session->grants;
	grant->at = &session->grants;
	if (grant->next)
		grant->next->at = &grant->next;
	session->grants = grant;
	worker_unlock(session->worker);
	*out = grant;
	return 0;

err_unlock:
	worker_unlock(session->worker);
	session_release(session);
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
	worker_lock(session->worker);
	ofi_close(grant->mr);
	*grant->at = grant->next;
	if (grant->next)
		grant->next->at = grant->at;
	worker_unlock(session->worker);
	session_release(session);
	free(grant);
}
