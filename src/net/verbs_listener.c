/* SPDX-License-Identifier: BSD-3-Clause */
/* verbs_listener.c - the target's thread: lets in who brings a token, and learns of those who leave. */
#include "net/verbs_target.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/log.h"

#define EVENTS_MAX 64 /* in a row, before devices and deadlines get their turn */

static void listener_request(struct net_target *target, const struct verbs_event *event)
{
	struct error err = {0};
	uint64_t peer, group;

	if (!token_redeem(&target->tokens, event->data, event->bytes, &peer, &group)) {
		log_debug("data plane: a connection with an unknown token was rejected");
		rdma_reject(event->id, VERBS_REJECTED, sizeof(VERBS_REJECTED));
		rdma_destroy_id(event->id);
	} else if (verbs_session_accept(target, event, peer, &err)) {
		log_error("data plane: peer %llu: %s", (unsigned long long)peer, err.text);
	}
}

static void listener_event(struct net_target *target, const struct verbs_event *event)
{
	struct session *session = verbs_session_of_serial(target, event->context);

	switch (event->type) {
	case RDMA_CM_EVENT_CONNECT_REQUEST:
		listener_request(target, event);
		break;
	case RDMA_CM_EVENT_ESTABLISHED:
		if (session)
			session->establish_by = 0;
		break;
	case RDMA_CM_EVENT_CONNECT_ERROR:
	case RDMA_CM_EVENT_UNREACHABLE:
	case RDMA_CM_EVENT_REJECTED:
	case RDMA_CM_EVENT_DISCONNECTED:
	case RDMA_CM_EVENT_DEVICE_REMOVAL:
		if (!session && event->type == RDMA_CM_EVENT_DEVICE_REMOVAL)
			log_error("data plane: the RDMA device is gone; nobody can connect any more");
		if (!session)
			break;
		log_debug("data plane: peer %llu is gone (%s)", (unsigned long long)session->peer,
			  rdma_event_str(event->type));
		verbs_session_close(session);
		break;
	default:
		break;
	}
}

static void listener_events(struct net_target *target)
{
	struct verbs_event event;

	for (unsigned i = 0; i < EVENTS_MAX; i++) {
		int rc = verbs_take_event(target->events, &event);

		if (rc == 0)
			break;
		if (rc < 0) {
			log_debug("data plane: an event of connection management failed: %s", strerror(-rc));
			continue;
		}
		pthread_mutex_lock(&target->lock);
		listener_event(target, &event);
		pthread_mutex_unlock(&target->lock);
	}
}

/* A queue pair, or a whole device, that has failed. */
static void device_event(struct net_target *target, struct ibv_context *verbs)
{
	struct ibv_async_event event;
	struct session *session;
	uintptr_t serial = 0;

	if (ibv_get_async_event(verbs, &event))
		return;
	switch (event.event_type) {
	case IBV_EVENT_QP_FATAL:
	case IBV_EVENT_QP_REQ_ERR:
	case IBV_EVENT_QP_ACCESS_ERR:
		serial = (uintptr_t)event.element.qp->qp_context;
		break;
	case IBV_EVENT_DEVICE_FATAL:
		log_error("data plane: the RDMA device %s has failed", ibv_get_device_name(verbs->device));
		break;
	default:
		break;
	}
	ibv_ack_async_event(&event);
	pthread_mutex_lock(&target->lock);
	session = verbs_session_of_serial(target, serial);
	if (session) {
		log_debug("data plane: the connection of peer %llu has failed: %s",
			  (unsigned long long)session->peer, ibv_event_type_str(event.event_type));
		verbs_session_close(session);
	}
	pthread_mutex_unlock(&target->lock);
}

/* Ends connections that are not made in time; returns how long poll may wait for the next, -1 for ever. */
static int listener_look(struct net_target *target)
{
	struct session *session, *next;
	int wait_ms = -1, left_ms;

	pthread_mutex_lock(&target->lock);
	for (session = target->sessions; session; session = next) {
		next = session->next;
		if (!session->establish_by)
			continue;
		left_ms = deadline_left_ms(session->establish_by);
		if (left_ms == 0)
			verbs_session_close(session);
		else if (wait_ms < 0 || left_ms < wait_ms)
			wait_ms = left_ms;
	}
	pthread_mutex_unlock(&target->lock);
	return wait_ms;
}

void *verbs_listener_run(void *arg)
{
	struct net_target *target = arg;

	if (target->thread_start)
		target->thread_start(target->thread_arg, 0, target->device_name);
	sem_post(&target->thread_started);
	while (!atomic_load(&target->stop)) {
		int n = poll(target->fds, 2 + target->device_count, listener_look(target));

		if (n <= 0) {
			assert(n == 0 || errno == EINTR || errno == ENOMEM);
			continue;
		}
		if (target->fds[1].revents)
			listener_events(target);
		for (unsigned i = 0; i < target->device_count; i++) {
			if (target->fds[2 + i].revents & POLLIN)
				device_event(target, target->devices[i].verbs);
			else if (target->fds[2 + i].revents)
				target->fds[2 + i].fd = -1; /* the device is gone */
		}
	}
	return NULL;
}
