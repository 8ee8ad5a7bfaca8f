/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ofi_target.h - inside the target's half: workers and sessions (ofi_worker.c), the listener and
 * its tokens (ofi_listener.c), and the contract's functions (ofi_target.c).
 *
 * Software providers move data only in calls that we make, so each session belongs to a progress
 * thread, the worker, which waits for the descriptors of its sessions' queues in one epoll set.
 * Every session has one endpoint and one event queue. Up to DOMAIN_SESSIONS of one group and worker share
 * a domain and its completion queue: keys are per domain, and libfabric 1.17's tcp takes some 400 KiB for each.
 *
 * Locks, in this order:
 *   worker.lock  all libfabric objects of the worker's sessions and grants: libfabric 1.17's tcp
 * looks keys up without a lock, and may receive into a closed descriptor's successor while another
 * thread closes the endpoint. It is held while a session makes progress, so that who holds it knows
 * that no byte is being stored. target.lock  tokens, the list of sessions, loads, reference counts.
 * A session is freed with its last reference: its worker's, a grant's, or that of a call in
 * progress.
 */
#ifndef HOLDFAST_OFI_TARGET_H
#define HOLDFAST_OFI_TARGET_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include "net/ofi.h"
#include "net/ofi_handshake.h"
#include "net/token.h"

#define CQ_ENTRIES 8 /* only failures are ever reported to a target */

#define DOMAIN_SESSIONS 8 /* all of which move data while the worker's lock is held once */

enum source_kind { SOURCE_WAKE, SOURCE_LISTENER, SOURCE_DOMAIN, SOURCE_SESSION };

/* What a descriptor in a worker's epoll set stands for: a domain's completion queue, a session's event queue. */
struct source {
	enum source_kind kind;
	union {
		struct session *session;
		struct domain *domain;
	};
};

struct domain {
	struct worker *worker;
	uint64_t group;

	/* worker.lock */
	struct fid_domain *domain; /* both NULL once its last session is closed */
	struct fid_cq *cq;
	unsigned sessions;
	struct domain *next; /* of the worker's, of both kinds */

	/* the worker's thread only */
	struct domain *next_ready;
	bool ready;

	struct source source;
};

struct session {
	struct net_target *target;
	struct worker *worker;
	uint64_t peer, group;

	/* worker.lock */
	struct fi_info *info;
	struct domain *domain;
	struct fid_eq *eq;
	struct fid_ep *ep;
	struct net_grant *grants;
	bool closed;

	/* the worker's thread only */
	struct session *next_ready;
	bool ready;

	/* target.lock */
	struct session *next, *next_dead;
	struct session **at;   /* where the list points to it */
	struct session *elder; /* of the same peer, which is not closed yet */
	unsigned references;

	struct source source;
};

struct net_grant {
	struct session *session;
	struct net_grant *next, **at; /* worker.lock */
	struct fid_mr *mr;	      /* worker.lock; NULL once the session is closed */
};

struct worker {
	struct net_target *target;
	unsigned index;
	pthread_t thread;
	bool started;
	int epoll_fd, wake_fd;
	struct source wake_source;
	/* the worker's thread only */
	struct session *ready;
	struct domain *ready_domains;
	uint64_t linger_ns; /* how long it looks again before it sleeps */

	pthread_mutex_t gate, lock;

	/* lock */
	struct domain *domains, *dead_domains;

	/* target.lock */
	unsigned load;
	struct session *dead;
};

struct net_target {
	struct fi_info *info;
	struct fid_fabric *fabric;
	struct fid_pep *pep;
	struct fid_eq *pep_eq;
	int pep_eq_fd;
	struct source listener_source;
	struct ofi_handshakes *handshakes;

	/* the first worker's thread only */
	uint64_t look_at;   /* when to look at handshakes; 0: there are none */
	uint64_t rest_till; /* the listener is left alone till then; 0: it is not */
	unsigned fruitless; /* wake-ups without a request, since the last one or the last look */
	bool listener_ready;

	void (*thread_start)(void *arg, unsigned thread, const char *device);
	void *thread_arg;
	sem_t thread_started;
	char device[32];

	struct worker *workers;
	unsigned worker_count;
	_Atomic bool stop;

	pthread_mutex_t lock;
	struct token *tokens;
	struct session *sessions;
	void *by_peer; /* tree of them: the newest of each peer */
};

/* ---- ofi_worker.c ---- */

int ofi_worker_open(struct worker *worker, struct net_target *target, unsigned index);
int ofi_worker_start(struct worker *worker);
/* When its thread has ended. Does nothing for one that was never opened. */
void ofi_worker_close(struct worker *worker);
void ofi_worker_lock(struct worker *worker);
void ofi_worker_unlock(struct worker *worker);
void ofi_worker_wake(struct worker *worker);
int ofi_worker_watch(struct worker *worker, int fd, struct source *source);

/* A new session becomes one of the target's; false: no memory. With target.lock held. */
bool ofi_session_list(struct session *session);
/* The session of this peer, with a reference; NULL where there is none. */
struct session *ofi_session_find(struct net_target *target, uint64_t peer);
void ofi_session_release(struct session *session);

/* Makes the endpoint of a session that has its `info`, and accepts the connection; `what` says what
 * failed. With worker.lock held. */
int ofi_session_accept(struct session *session, const char **what);

/*
 * With worker.lock held. Once it returns, the provider stores nothing more for this peer: the
 * endpoint is closed first, since tcp goes on receiving a write that it has begun whatever becomes
 * of its key. The worker's own reference is dropped in its thread, which may still hold the session
 * in a list of events.
 */
void ofi_session_close(struct session *session);

/* ---- ofi_listener.c, in the first worker's thread ---- */

/* What is due, by event or by the clock; returns how long the worker may wait, -1 for ever. */
int ofi_listener_run(struct net_target *target);

#endif
