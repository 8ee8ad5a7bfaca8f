/* SPDX-License-Identifier: BSD-3-Clause */
/* ofi_listener.c - lets in who brings a token, and keeps strangers cheap. */
#include "net/ofi_target.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include "common/clock.h"
#include "common/log.h"

#define HANDSHAKE_LOOK_MS                                                                          \
	1000		   /* how often unfinished handshakes are looked at, while there are any */
#define HANDSHAKE_PAUSE 64 /* fruitless wake-ups of the listener after which we look at once */
#define LISTENER_REST_MS 100 /* how long a listener that cannot accept is left alone */

/* Takes the token, so that it works once, and makes its session, listed and not yet connected. */
static struct session *listener_redeem(struct net_target *target, const void *data, size_t bytes)
{
	struct session *session = calloc(1, sizeof(*session));
	struct worker *worker = &target->workers[0];

	if (!session)
		return NULL;
	pthread_mutex_lock(&target->lock);
	if (!token_redeem(&target->tokens, data, bytes, &session->peer, &session->group)) {
		pthread_mutex_unlock(&target->lock);
		free(session);
		return NULL;
	}
	session->target = target;
	if (!ofi_session_list(session)) {
		pthread_mutex_unlock(&target->lock);
		free(session);
		return NULL;
	}
	for (unsigned i = 1; i < target->worker_count; i++) {
		if (target->workers[i].load < worker->load)
			worker = &target->workers[i];
	}
	worker->load++;
	session->worker = worker;
	session->source = (struct source){.kind = SOURCE_SESSION, .session = session};
	session->references = 2; /* the worker's and the caller's */
	pthread_mutex_unlock(&target->lock);
	return session;
}

static void listener_request(struct net_target *target, struct fi_info *info, const void *data,
			     size_t bytes)
{
	struct session *session = listener_redeem(target, data, bytes);
	const char *what = "";
	fid_t handle = info->handle;
	int rc;

	if (!session) {
		log_debug("data plane: a connection with an unknown token was rejected");
		fi_reject(target->pep, handle, OFI_REJECTED, sizeof(OFI_REJECTED));
		fi_freeinfo(info);
		return;
	}
	ofi_worker_lock(session->worker);
	if (session->closed) { /* expelled in the meantime */
		fi_reject(target->pep, handle, OFI_REJECTED, sizeof(OFI_REJECTED));
		fi_freeinfo(info);
	} else {
		session->info = info;
		rc = ofi_session_accept(session, &what);
		if (rc) {
			log_error("data plane: %s for peer %llu failed: %s", what,
				  (unsigned long long)session->peer, fi_strerror(-rc));
			fi_reject(target->pep, handle, OFI_FULL, sizeof(OFI_FULL));
			ofi_session_close(session);
		}
	}
	ofi_worker_unlock(session->worker);
	ofi_worker_wake(session->worker);
	ofi_session_release(session);
}

static void listener_rest(struct net_target *target)
{
	if (target->rest_till)
		return;
	epoll_ctl(target->workers[0].epoll_fd, EPOLL_CTL_DEL, target->pep_eq_fd, NULL);
	target->rest_till = deadline_in_ms(LISTENER_REST_MS);
}

static void listener_look_at_handshakes(struct net_target *target)
{
	unsigned pending = ofi_handshakes_trim(target->handshakes);

	/* It fires, and yet nothing comes of it: descriptors have run out, or somebody plays with
	 * us. */
	if (target->fruitless >= HANDSHAKE_PAUSE && pending < HANDSHAKE_PAUSE)
		listener_rest(target);
	target->fruitless = 0;
	target->look_at = pending ? deadline_in_ms(HANDSHAKE_LOOK_MS) : 0;
}

static void listener_events(struct net_target *target)
{
	struct fid *fids[] = {&target->pep_eq->fid};
	struct fi_eq_err_entry failed = {0};
	union ofi_event event;
	uint32_t type;
	ssize_t n;

	errno = 0;
	n = fi_eq_read(target->pep_eq, &type, &event, sizeof(event), 0);
	if (n >= (ssize_t)sizeof(event.cm) && type == FI_CONNREQ) {
		listener_request(target, event.cm.info, event.cm.data,
				 (size_t)n - sizeof(event.cm));
		target->fruitless = 0;
	} else {
		target->fruitless++;
	}
	if (n == -FI_EAVAIL)
		n = fi_eq_readerr(target->pep_eq, &failed, 0);
	if (n < 0 && n != -FI_EAGAIN)
		listener_rest(target);
	target->listener_ready = fi_trywait(target->fabric, fids, 1) == -FI_EAGAIN;
	if (!target->look_at)
		target->look_at = deadline_in_ms(HANDSHAKE_LOOK_MS);
	if (target->fruitless >= HANDSHAKE_PAUSE)
		listener_look_at_handshakes(target);
}

int ofi_listener_run(struct net_target *target)
{
	uint64_t next;

	if (target->listener_ready)
		listener_events(target);
	if (target->rest_till && deadline_left_ms(target->rest_till) == 0) {
		target->rest_till = 0;
		ofi_worker_watch(&target->workers[0], target->pep_eq_fd, &target->listener_source);
	}
	if (target->look_at && deadline_left_ms(target->look_at) == 0)
		listener_look_at_handshakes(target);
	if (target->listener_ready)
		return 0;
	next = target->look_at;
	if (target->rest_till && (!next || target->rest_till < next))
		next = target->rest_till;
	return next ? deadline_left_ms(next) : -1;
}
