/* SPDX-License-Identifier: BSD-3-Clause */
/* ofi_worker.c - the target's progress threads, and the sessions that they move data for. */
#include "net/ofi_target.h"

#include <assert.h>
#include <errno.h>
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

struct session *ofi_session_find(struct net_target *target, uint64_t peer)
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
 * fi_trywait before each wait; a queue that has not fired since the last one needs none, so that a
 * round costs by activity and not by the number of sessions.
 */
static void session_progress(struct session *session)
{
	struct worker *worker = session->worker;
	struct fid *fids[2];
	struct fi_cq_entry entries[CQ_ENTRIES];
	struct fi_cq_err_entry failed = {0};
	ssize_t n;
	int rc;

	ofi_worker_lock(worker);
	if (session->closed)
		goto out;
	n = fi_cq_read(session->cq, entries, CQ_ENTRIES);
	if (n == -FI_EAVAIL)
		n = fi_cq_readerr(session->cq, &failed, 0);
	if ((n < 0 && n != -FI_EAGAIN) || (session->eq_ready && !session_events(session))) {
		log_debug("data plane: peer %llu is gone", (unsigned long long)session->peer);
		ofi_session_close(session);
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
	ofi_worker_unlock(worker);
}

int ofi_session_accept(struct session *session, const char **what)
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
	rc = ofi_worker_watch(session->worker, cq_fd, &session->cq_source);
	if (!rc)
		rc = ofi_worker_watch(session->worker, eq_fd, &session->eq_source);
	if (rc)
		return rc;
	*what = "accepting a connection";
	return fi_accept(session->ep, NULL, 0);
}

/* ---- threads ---- */

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
	case SOURCE_EQ:
		source->session->eq_ready = true;
		session_set_ready(source->session);
		break;
	case SOURCE_CQ:
		session_set_ready(source->session);
		break;
	}
}

/*
 * Waits for events. A wake-up costs the sender as much as some 10 KiB of data, so that in the midst of a
 * stream of them it is cheaper for both to look again for a while first. How long follows the waits
 * themselves, as the halt polling of hypervisors does: short ones lengthen it, a long one ends it.
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

		/* Those that had more to do than one turn go first, then what fired meanwhile. */
		worker->ready = NULL;
		while ((session = ready)) {
			ready = session->next_ready;
			session->ready = false;
			session_progress(session);
		}
		worker_bury(worker);
		timeout_ms = worker->index == 0 ? ofi_listener_run(target) : -1;
		n = worker_wait(worker, events, worker->ready ? 0 : timeout_ms);
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
	worker_bury(worker);
	if (worker->epoll_fd >= 0)
		close(worker->epoll_fd);
	if (worker->wake_fd >= 0)
		close(worker->wake_fd);
	pthread_mutex_destroy(&worker->gate);
	pthread_mutex_destroy(&worker->lock);
}
