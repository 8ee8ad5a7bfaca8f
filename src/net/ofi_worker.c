/* SPDX-License-Identifier: BSD-3-Clause */
/* ofi_worker.c - the target's progress threads, and the sessions that they move data for. */
#include "net/ofi_target.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <search.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/log.h"

#define EVENTS_MAX    64
#define LINGER_MIN_NS 10000
#define LINGER_MAX_NS 160000

/*
 * Whoever waits for the lock holds the gate: a worker with much to do gives the lock up between two
 * sessions, and cannot take it again before him.
 */
void ofi_worker_lock(struct worker *worker)
{
	pthread_mutex_lock(&worker->gate);
	pthread_mutex_lock(&worker->lock);
	pthread_mutex_unlock(&worker->gate);
}

void ofi_worker_unlock(struct worker *worker)
{
	pthread_mutex_unlock(&worker->lock);
}

void ofi_worker_wake(struct worker *worker)
{
	uint64_t one = 1;

	if (write(worker->wake_fd, &one, sizeof(one)) < 0)
		assert(errno == EAGAIN); /* the counter is full: it is awake */
}

int ofi_worker_watch(struct worker *worker, int fd, struct source *source)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};

	return epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

/* ---- domains, with worker.lock held ---- */

/* One of the group's that has room, with a place in it; -errno of libfabric. */
static int domain_enter(struct worker *worker, struct session *session)
{
	struct domain *domain = worker->domains;
	int cq_fd, rc;

	while (domain && (domain->group != session->group || domain->sessions == DOMAIN_SESSIONS))
		domain = domain->next;
	if (domain)
		goto out;
	domain = calloc(1, sizeof(*domain));
	if (!domain)
		return -FI_ENOMEM;
	domain->worker = worker;
	domain->group = session->group;
	domain->source = (struct source){.kind = SOURCE_DOMAIN, .domain = domain};
	rc = fi_domain(session->target->fabric, session->info, &domain->domain, NULL);
	if (!rc)
		rc = ofi_open_cq(domain->domain, CQ_ENTRIES, &domain->cq, &cq_fd);
	if (!rc)
		rc = ofi_worker_watch(worker, cq_fd, &domain->source);
	if (rc) {
		ofi_close(domain->cq);
		ofi_close(domain->domain);
		free(domain);
		return rc;
	}
	domain->next = worker->domains;
	worker->domains = domain;
out:
	domain->sessions++;
	session->domain = domain;
	return 0;
}

/* The last one closes it. The worker's thread may have it in a list of events, and frees it. */
static void domain_leave(struct session *session)
{
	struct domain *domain = session->domain, **at = &session->worker->domains;

	if (!domain || --domain->sessions)
		return;
	ofi_close(domain->cq); /* closing a descriptor takes it out of the epoll set */
	ofi_close(domain->domain);
	while (*at != domain)
		at = &(*at)->next;
	*at = domain->next;
	domain->next = session->worker->dead_domains;
	session->worker->dead_domains = domain;
}

/* ---- sessions ---- */

void ofi_session_release(struct session *session)
{
	struct net_target *target = session->target;
	bool last;

	pthread_mutex_lock(&target->lock);
	last = --session->references == 0;
	pthread_mutex_unlock(&target->lock);
	if (last)
		free(session);
}

static int by_peer(const void *a, const void *b)
{
	const struct session *one = a, *two = b;

	return one->peer < two->peer ? -1 : one->peer > two->peer;
}

bool ofi_session_list(struct session *session)
{
	struct net_target *target = session->target;
	struct session **node = tsearch(session, &target->by_peer, by_peer);

	if (!node)
		return false;
	if (*node != session) {
		session->elder = *node;
		*node = session;
	}
	session->next = target->sessions;
	session->at = &target->sessions;
	if (session->next)
		session->next->at = &session->next;
	target->sessions = session;
	return true;
}

/* With target.lock held. */
static void session_unlist(struct session *session)
{
	struct net_target *target = session->target;
	struct session **node = tfind(session, &target->by_peer, by_peer);

	*session->at = session->next;
	if (session->next)
		session->next->at = session->at;
	if (*node == session && !session->elder) {
		tdelete(session, &target->by_peer, by_peer);
		return;
	}
	while (*node != session)
		node = &(*node)->elder;
	*node = session->elder;
}

struct session *ofi_session_find(struct net_target *target, uint64_t peer)
{
	const struct session key = {.peer = peer};
	struct session *session, **node;

	pthread_mutex_lock(&target->lock);
	node = tfind(&key, &target->by_peer, by_peer);
	session = node ? *node : NULL;
	if (session)
		session->references++;
	pthread_mutex_unlock(&target->lock);
	return session;
}

void ofi_session_close(struct session *session)
{
	struct net_target *target = session->target;
	struct worker *worker = session->worker;

	if (session->closed)
		return;
	session->closed = true;
	ofi_close(session->ep);
	for (struct net_grant *grant = session->grants; grant; grant = grant->next)
		ofi_close(grant->mr);
	ofi_close(session->eq); /* closing a descriptor takes it out of the epoll set */
	domain_leave(session);
	fi_freeinfo(session->info);
	session->info = NULL;

	pthread_mutex_lock(&target->lock);
	session_unlist(session);
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

static void domain_set_ready(struct domain *domain)
{
	if (domain->ready)
		return;
	domain->ready = true;
	domain->next_ready = domain->worker->ready_domains;
	domain->worker->ready_domains = domain;
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
 * libfabric wants fi_trywait before each wait; a queue that has not fired since the last one needs none, so that a
 * round costs by activity and not by the number of sessions.
 */
static void session_look(struct session *session)
{
	struct worker *worker = session->worker;
	struct fid *fids[1];

	ofi_worker_lock(worker);
	if (session->closed)
		goto out;
	if (!session_events(session)) {
		log_debug("data plane: peer %llu is gone", (unsigned long long)session->peer);
		ofi_session_close(session);
		goto out;
	}
	fids[0] = &session->eq->fid;
	if (fi_trywait(session->target->fabric, fids, 1) == -FI_EAGAIN)
		session_set_ready(session);
out:
	ofi_worker_unlock(worker);
}

/* With worker.lock held. */
static void domain_close(struct domain *domain)
{
	struct net_target *target = domain->worker->target;
	struct session *session;

	while (domain->cq) {
		pthread_mutex_lock(&target->lock);
		for (session = target->sessions; session && session->domain != domain;)
			session = session->next;
		pthread_mutex_unlock(&target->lock);
		assert(session);
		ofi_session_close(session);
	}
}

/* Moves the data of the domain's sessions, and arms its descriptor where nothing more is waiting. */
static void domain_progress(struct domain *domain)
{
	struct worker *worker = domain->worker;
	struct fid *fids[1];
	struct fi_cq_entry entries[CQ_ENTRIES];
	struct fi_cq_err_entry failed = {0};
	ssize_t n;

	ofi_worker_lock(worker);
	if (!domain->cq)
		goto out;
	n = fi_cq_read(domain->cq, entries, CQ_ENTRIES);
	if (n == -FI_EAVAIL)
		n = fi_cq_readerr(domain->cq, &failed, 0);
	if (n < 0 && n != -FI_EAGAIN) {
		log_debug("data plane: a completion queue fails: %s", fi_strerror((int)-n));
		domain_close(domain);
		goto out;
	}
	fids[0] = &domain->cq->fid;
	if (fi_trywait(worker->target->fabric, fids, 1) == -FI_EAGAIN)
		domain_set_ready(domain);
out:
	ofi_worker_unlock(worker);
}

int ofi_session_accept(struct session *session, const char **what)
{
	struct fi_info *info = session->info;
	int eq_fd, rc;

	info->rx_attr->size = 1; /* nobody sends messages */
	*what = "opening a domain";
	rc = domain_enter(session->worker, session);
	if (!rc)
		rc = ofi_open_eq(session->target->fabric, &session->eq, &eq_fd);
	if (rc)
		return rc;
	*what = "creating an endpoint";
	rc = fi_endpoint(session->domain->domain, info, &session->ep, NULL);
	if (!rc)
		rc = fi_ep_bind(session->ep, &session->eq->fid, 0);
	if (!rc)
		rc = fi_ep_bind(session->ep, &session->domain->cq->fid, FI_TRANSMIT | FI_RECV);
	if (!rc)
		rc = fi_enable(session->ep);
	if (rc)
		return rc;
	*what = "watching a connection";
	rc = ofi_worker_watch(session->worker, eq_fd, &session->source);
	if (rc)
		return rc;
	*what = "accepting a connection";
	return fi_accept(session->ep, NULL, 0);
}

/* ---- threads ---- */

static void worker_bury_domains(struct worker *worker)
{
	struct domain *domain;

	ofi_worker_lock(worker);
	for (struct domain **at = &worker->dead_domains; (domain = *at);) {
		if (domain->ready) {
			at = &domain->next;
			continue;
		}
		*at = domain->next;
		free(domain);
	}
	ofi_worker_unlock(worker);
}

/* Drops the worker's references to sessions closed since, unless one still waits for its turn; likewise domains. */
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
	if (buried) /* no domain dies without a session */
		worker_bury_domains(worker);
	while ((session = buried)) {
		buried = session->next_dead;
		ofi_session_release(session);
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
	case SOURCE_DOMAIN:
		domain_set_ready(source->domain);
		break;
	case SOURCE_SESSION:
		session_set_ready(source->session);
		break;
	}
}

/*
 * Waits for events. A wake-up costs the sender as much as some 10 KiB of data, so that in the midst of a
 * stream of them it is cheaper for both to look again for a while first. How long follows the waits
 * themselves, as the halt polling of hypervisors does: short ones lengthen it, a long one ends it. Whoever else wants
 * the processor meanwhile has it, which may be the one that it waits for.
 */
static int worker_wait(struct worker *worker, struct epoll_event *events, int timeout_ms)
{
	int n = epoll_wait(worker->epoll_fd, events, EVENTS_MAX, 0);
	uint64_t begin_ns, waited_ns;

	if (n || !timeout_ms)
		return n;
	begin_ns = clock_monotonic_ns();
	waited_ns = 0;
	while (n == 0 && waited_ns < worker->linger_ns) {
		sched_yield();
		n = epoll_wait(worker->epoll_fd, events, EVENTS_MAX, 0);
		waited_ns = clock_monotonic_ns() - begin_ns;
	}
	if (n == 0) {
		n = epoll_wait(worker->epoll_fd, events, EVENTS_MAX, timeout_ms);
		waited_ns = clock_monotonic_ns() - begin_ns;
	}
	if (waited_ns >= LINGER_MAX_NS)
		worker->linger_ns = 0;
	else if (worker->linger_ns < LINGER_MAX_NS)
		worker->linger_ns = worker->linger_ns ? 2 * worker->linger_ns : LINGER_MIN_NS;
	return n;
}

static void *worker_run(void *arg)
{
	struct worker *worker = arg;
	struct net_target *target = worker->target;
	struct epoll_event events[EVENTS_MAX];
	int n, timeout_ms;

	if (target->thread_start)
		target->thread_start(target->thread_arg, worker->index, target->device);
	sem_post(&target->thread_started);
	while (!atomic_load(&target->stop)) {
		struct session *ready = worker->ready, *session;
		struct domain *ready_domains = worker->ready_domains, *domain;

		/* Those that had more to do than one turn go first, then what fired meanwhile. */
		worker->ready_domains = NULL;
		while ((domain = ready_domains)) {
			ready_domains = domain->next_ready;
			domain->ready = false;
			domain_progress(domain);
		}
		worker->ready = NULL;
		while ((session = ready)) {
			ready = session->next_ready;
			session->ready = false;
			session_look(session);
		}
		worker_bury(worker);
		timeout_ms = worker->index == 0 ? ofi_listener_run(target) : -1;
		n = worker_wait(worker, events, worker->ready || worker->ready_domains ? 0 : timeout_ms);
		for (int i = 0; i < n; i++)
			worker_dispatch(worker, events[i].data.ptr);
	}
	return NULL;
}

int ofi_worker_open(struct worker *worker, struct net_target *target, unsigned index)
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
	return ofi_worker_watch(worker, worker->wake_fd, &worker->wake_source);
}

int ofi_worker_start(struct worker *worker)
{
	int rc = -pthread_create(&worker->thread, NULL, worker_run, worker);

	worker->started = rc == 0;
	return rc;
}

void ofi_worker_close(struct worker *worker)
{
	if (!worker->target)
		return; /* never opened */
	while (worker->ready) {
		worker->ready->ready = false;
		worker->ready = worker->ready->next_ready;
	}
	while (worker->ready_domains) {
		worker->ready_domains->ready = false;
		worker->ready_domains = worker->ready_domains->next_ready;
	}
	worker_bury(worker);
	worker_bury_domains(worker);
	if (worker->epoll_fd >= 0)
		close(worker->epoll_fd);
	if (worker->wake_fd >= 0)
		close(worker->wake_fd);
	pthread_mutex_destroy(&worker->gate);
	pthread_mutex_destroy(&worker->lock);
}
