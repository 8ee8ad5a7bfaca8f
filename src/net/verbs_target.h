/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verbs_target.h - inside the target's half: the listener's thread (verbs_listener.c), sessions (verbs_session.c),
 * what they expose (verbs_binding.c), and the contract's functions (verbs_target.c).
 *
 * The device moves the data, so there is one thread only, for connection management: it answers requests, each at
 * once, and learns of peers that leave. Each address that the target listens on is a *rail*, and a peer has one
 * session on each that it wants. A session has a protection domain, a queue pair and a completion queue of its
 * own; nothing is ever posted to the queue pair but the binding and invalidation of memory windows. A grant is bound
 * in all sessions that its peer has.
 *
 * One lock, the target's, guards all. Events are acknowledged before it is taken, since who destroys what an event is
 * about, with the lock held, waits for that. A session is named by a serial number where an event may outlive it.
 */
#ifndef HOLDFAST_VERBS_TARGET_H
#define HOLDFAST_VERBS_TARGET_H

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include "net/token.h"
#include "net/verbs.h"

/* Registered memory of a session, which windows are bound to; by itself it gives no access. */
struct area {
	struct area *next;
	struct ibv_mr *mr;
	uintptr_t base;
	size_t bytes;
	unsigned rights; /* NET_FLUSH: windows may have it */
	unsigned bindings;
};

struct session {
	struct net_target *target;
	struct session *next;
	uintptr_t serial;
	uint64_t peer;
	unsigned rail;
	uint8_t token[NET_TOKEN_BYTES]; /* the same in all sessions of one admission */
	uint64_t establish_by; /* deadline; 0: it is established */
	struct rdma_cm_id *id;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	bool windows; /* grants are memory windows, else registrations */
	bool closed;
	struct area *areas; /* the one that was used last is the first */
	struct binding *bindings;
};

/* A grant in one session. */
struct binding {
	struct session *session;
	struct binding *next, **at;
	/* A window of an area, or a registration of its own; all NULL once the session is closed. */
	struct area *area;
	struct ibv_mw *window;
	uint32_t window_key;
	struct ibv_mr *mr;
};

struct net_grant {
	struct net_target *target;
	unsigned count;
	struct binding bindings[NET_RAILS_MAX];
};

struct device {
	struct ibv_context *verbs;
	bool windows; /* protect as they should: seen by trying */
};

enum verbs_windows { WINDOWS_PROBED, WINDOWS_NEVER, WINDOWS_TRUSTED };

struct net_target {
	struct rdma_event_channel *events;
	struct rdma_cm_id *listeners[NET_RAILS_MAX];
	unsigned rails;
	struct ibv_context **contexts;
	struct device *devices;
	unsigned device_count;
	char device_name[32]; /* PCI address, or "" */

	void (*thread_start)(void *arg, unsigned thread, const char *device);
	void *thread_arg;
	pthread_t thread;
	bool started;
	sem_t thread_started;
	int wake_fd;
	struct pollfd *fds; /* the thread's: wake_fd, events, one a device */
	_Atomic bool stop;

	pthread_mutex_t lock;
	struct token *tokens;
	struct session *sessions;
};

/* ---- verbs_target.c ---- */

/* As net_ops.listen, with a given answer to whether windows are used. */
int verbs_listen_with(const struct net_params *params, enum verbs_windows windows, struct net_target **target,
		      struct net_address *address, struct error *err);

/* ---- verbs_listener.c ---- */

void *verbs_listener_run(void *target);

/* ---- verbs_session.c, all with the lock held ---- */

/*
 * Answers the request of `event`, whose token was that of `peer`. Sessions that another token opened are those of a
 * peer's past, and end. Takes event->id, whatever is returned.
 */
int verbs_session_accept(struct net_target *target, const struct verbs_event *event, uint64_t peer,
			 struct error *err);
/* The peer's first session from `from` on in the target's list. */
struct session *verbs_session_find(struct session *from, uint64_t peer);
struct session *verbs_session_of_serial(struct net_target *target, uintptr_t serial);

/* Once it returns nothing more is stored by this session. Its bindings stay, void, till their grants are revoked. */
void verbs_session_close(struct session *session);

/* Does a request to the session's own queue pair, and waits for its completion; any failure leaves the queue pair
 * useless. */
int verbs_session_do(struct session *session, struct ibv_send_wr *request, struct error *err);

/* ---- verbs_binding.c, with the lock held ---- */

/* Opens memory to the session: the key's address and bytes, and the key of the session's rail. */
int verbs_binding_open(struct binding *binding, struct session *session, void *base, size_t bytes, unsigned rights,
		       struct net_key *key, struct error *err);
/* The key is dead; the session may be, too. */
void verbs_binding_close(struct binding *binding);
/* Its two halves, for a session whose queue pair is stopped. */
void verbs_binding_end_window(struct binding *binding);
void verbs_binding_end_registration(struct binding *binding);
/* Drops what the session keeps of [base, base + bytes), all with bytes SIZE_MAX. */
void verbs_areas_forget(struct session *session, uintptr_t base, size_t bytes);

/* ---- verbs_probe.c ---- */

/* Tries, against this very process, whether the windows of the device at this address open, shut, and keep others
 * out. */
bool verbs_probe_windows(const struct sockaddr *address);

#endif
