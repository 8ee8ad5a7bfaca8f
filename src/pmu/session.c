/* SPDX-License-Identifier: BSD-3-Clause */
/* session.c - one client's control connection. */
#include "pmu/session.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <event2/buffer.h>
#include "common/clock.h"
#include "common/log.h"
#include "pmm/job.h"
#include "pmm/region.h"
#include "pmu/request.h"
#include "pmu/server.h"

#define WRITE_TIMEOUT_S 30
#define REFUSAL_S	1
#define GROUPS_MAX	1024
#define LOGINS_MAX	1024 /* who authenticate at one time, at most */
#define LOGINS_SHARE	8    /* and this part of the descriptors */

/* At a NI, most have a domain together with others, and an endpoint and an event queue of their own; two files of slots
 * are kept open where these are on a disk. */
#define DESCRIPTORS_OF_SESSION 7
#define DESCRIPTORS_OF_LOCAL   4  /* more, where clients on this node are given files of slots */
#define DESCRIPTORS_KEPT       64 /* for the pool, NIs, and slots on their way to them */

static const char *const state_names[] = {
	[SESSION_NEW] = "NEW",		 [SESSION_CHALLENGED] = "CHALLENGED",
	[SESSION_READY] = "READY",	 [SESSION_ATTACHED] = "ATTACHED",
	[SESSION_WRITING] = "WRITING",	 [SESSION_CLOSED] = "CLOSED",
};

const char *session_state_name(enum session_state state)
{
	return state_names[state];
}

/* ---- the end ---- */

/*
 * Nobody of the job is left: what was asked of it is void, the NI need not keep its slots mapped, and a job
 * without regions goes.
 */
static void job_is_left(struct job *job, struct ni_process *ni)
{
	struct error err;

	job_wish(job)->flags = 0;
	for (uint32_t rank = 0; rank < job_ranks(job) && ni; rank++) {
		struct region *region = job_region(job, rank);

		if (!region || region_merging(region)) /* where sets are being merged the slots are needed */
			continue;
		for (unsigned slot = 0; slot < region_slots(region); slot++) {
			struct ni_request request = {
				.type = NI_UNMAP,
				.file = region_slot_file(region, slot),
			};

			if (request.file)
				ni_process_order(ni, &request, -1, NULL, NULL);
		}
	}
	for (uint32_t rank = 0; rank < job_ranks(job); rank++) {
		if (job_region(job, rank))
			return;
	}
	if (job_drop(job, &err))
		log_error("the empty job cannot be removed: %s", err.text);
}

void session_enter_job(struct session *session, struct job *job, struct region *region)
{
	session->job = job;
	session->region = region;
	job_add_session(job);
	region_set_holder(region, session);
}

void session_lose_region(struct session *session)
{
	session->region = NULL;
}

void session_undo_job(struct session *session)
{
	if (session->region)
		region_set_holder(session->region, NULL);
	if (session->job)
		job_remove_session(session->job);
	session->region = NULL;
	session->job = NULL;
}

void session_leave_job(struct session *session)
{
	struct job *job = session->job;

	session_undo_job(session);
	if (job && !job_session_count(job))
		job_is_left(job, session->ni);
}

void session_wait_for(struct session *session, struct session *other)
{
	if (session->waits_for)
		session->waits_for->waiters--;
	session->waits_for = other;
	if (other)
		other->waiters++;
}

/* Nobody writes the region of a session that has gone any more: whoever waits for that goes on. */
static void waiters_go_on(struct server *server, struct session *gone)
{
	for (struct session *s = server->sessions; s && gone->waiters; s = s->next) {
		if (s->waits_for != gone)
			continue;
		session_wait_for(s, NULL);
		if (s->state != SESSION_CLOSED && s->type == WIRE_FENCE)
			request_fence_again(s);
		else if (s->state != SESSION_CLOSED)
			request_open_again(s);
	}
}

static void session_free(evutil_socket_t fd, short events, void *arg)
{
	struct session *session = arg;
	struct server *server = session->server;

	(void)fd;
	(void)events;
	if (session->region)
		region_unreserve(session->region);
	session_leave_job(session);
	session_wait_for(session, NULL);
	*session->at = session->next;
	if (session->next)
		session->next->at = session->at;
	server->session_count--;
	server->login_count -= !session->logged_in;
	server->idle_since_ns = clock_monotonic_ns();
	free(session->commit.set.segments);
	free(session->groups);
	event_free(session->end);
	request_release(server);
	waiters_go_on(server, session);
	free(session);
	if (server->stopping && !server->session_count)
		event_base_loopbreak(server->base);
}

/* Frees a closed session once the NI has nothing more of it; later, since callers still look at it. */
static void session_try_free(struct session *session)
{
	if (session->state != SESSION_CLOSED || session->pending)
		return;
	session->pending++; /* so that this happens once */
	att_remove_session(&session->server->att, session);
	event_active(session->end, EV_TIMEOUT, 0);
}

static void expelled(void *arg, const struct ni_reply *reply)
{
	struct session *session = arg;

	/* A NI that cannot answer is dead, and its mappings with it: the peer is cut off either way. */
	(void)reply;
	session->pending--;
	session_try_free(session);
}

void session_slot_left(struct session *session)
{
	if (session->local && session->region)
		region_suspect(session->region, session->slot);
	session->local = false;
}

void session_close(struct session *session, const char *why)
{
	struct ni_request request = {.type = NI_EXPEL, .peer = session->id};

	if (session->state == SESSION_CLOSED)
		return;
	if (session->region)
		log_info("session %llu of job %s rank %u (%s) ends: %s",
			 (unsigned long long)session->id, job_name(session->job),
			 region_rank(session->region), session->peer, why);
	else
		log_debug("session %llu (%s) ends: %s", (unsigned long long)session->id, session->peer,
			  why);
	if (session->state == SESSION_WRITING)
		session->server->counters.aborts++;
	session_slot_left(session);
	session->state = SESSION_CLOSED;
	bufferevent_free(session->connection);
	session->connection = NULL;
	if (session->ni) {
		session->pending++;
		ni_process_order(session->ni, &request, -1, expelled, session);
	}
	session_try_free(session);
}

void session_close_all_of(struct server *server, const struct ni_process *ni, const char *why)
{
	for (struct session *session = server->sessions; session; session = session->next) {
		if (ni && session->ni != ni)
			continue;
		session_close(session, why);
		if (ni)
			session->ni = NULL;
	}
}

/* ---- frames ---- */

/* Who has not authenticated costs little. */
static size_t payload_most(const struct session *session)
{
	return session->logged_in ? WIRE_PAYLOAD_MAX : WIRE_LOGIN_MAX;
}

static void watermark_set(struct session *session)
{
	bufferevent_setwatermark(session->connection, EV_READ, 0, WIRE_HEADER_BYTES + payload_most(session) + SEAL_BYTES);
}

static bool session_process(struct session *session)
{
	struct evbuffer *input = bufferevent_get_input(session->connection);
	uint8_t bytes[WIRE_HEADER_BYTES];
	struct wire_header header;
	struct cursor c;
	struct error err;
	uint8_t *frame;
	size_t whole;

	if (evbuffer_copyout(input, bytes, sizeof(bytes)) < (ev_ssize_t)sizeof(bytes))
		return false;
	c = cursor_unpack(bytes, sizeof(bytes));
	wire_header_fields(&c, &header);
	if (wire_header_check(&header, &err) || (header.type & WIRE_REPLY) || header.status ||
	    header.bytes > payload_most(session)) {
		if (session->server->strangers++ < STRANGERS_TOLD)
			log_warning("%s sent no request of ours; its connection is closed", session->peer);
		session_close(session, "malformed frame");
		return false;
	}
	whole = sizeof(bytes) + header.bytes + seal_bytes(&session->seal);
	if (evbuffer_get_length(input) < whole)
		return false;
	frame = evbuffer_pullup(input, (ev_ssize_t)whole);
	if (!frame) {
		session_close(session, "out of memory");
		return false;
	}
	if (!seal_check(&session->seal, frame, sizeof(bytes) + header.bytes)) {
		session->server->counters.bad_seals++;
		log_warning("%s: a request in the name of uid %u is not of the session's client, or was altered on its way; "
			    "the session ends", session->peer, session->uid);
		session_close(session, "a request that was altered on its way");
		return false;
	}
	session->busy = true;
	session->type = header.type;
	session->request_id = header.id;
	request_handle(session, &header, frame + WIRE_HEADER_BYTES);
	if (session->state == SESSION_CLOSED)
		return false;
	evbuffer_drain(input, whole);
	return true;
}

/* Who does not read its replies is asked for nothing more: written() goes on. */
static bool may_process(const struct session *session)
{
	return session->state != SESSION_CLOSED && !session->busy &&
	       !evbuffer_get_length(bufferevent_get_output(session->connection)) &&
	       (bufferevent_get_enabled(session->connection) & EV_READ);
}

static void process_all(struct session *session)
{
	while (may_process(session) && session_process(session))
		continue;
}

static void readable(struct bufferevent *connection, void *arg)
{
	(void)connection;
	process_all(arg);
}

static void written(struct bufferevent *connection, void *arg)
{
	struct session *session = arg;

	if (!(bufferevent_get_enabled(connection) & EV_READ))
		session_close(session, "refused");
	else if (!session->busy) /* what came while the last reply was made */
		process_all(session);
}

static void connection_event(struct bufferevent *connection, short events, void *arg)
{
	(void)connection;
	session_close(arg, events & BEV_EVENT_EOF	? "the client closed its connection"
			   : events & BEV_EVENT_TIMEOUT ? "the client does not read its replies"
							: strerror(errno));
}

/* Straight to the socket, which has room for a reply nearly always; what is left goes by the event loop. */
static int frame_send(struct session *session, const uint8_t *frame, size_t bytes)
{
	struct bufferevent *connection = session->connection;
	ssize_t n = 0;

	if (!evbuffer_get_length(bufferevent_get_output(connection)))
		n = send(bufferevent_getfd(connection), frame, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		n = 0; /* a connection that is gone is seen by its events */
	if ((size_t)n < bytes)
		return bufferevent_write(connection, frame + n, bytes - (size_t)n);
	/* What came meanwhile, and the end of a session that was refused, are seen to by written(). */
	bufferevent_trigger(connection, EV_WRITE, BEV_TRIG_DEFER_CALLBACKS);
	return 0;
}

static void reply_send(struct session *session, int status, const char *text, wire_fields_fn *fields,
		       void *message)
{
	struct wire_header header = {
		.type = session->type | WIRE_REPLY,
		.status = status,
		.id = session->request_id,
	};
	size_t bytes;
	uint8_t *frame;

	if (session->state == SESSION_CLOSED)
		return;
	frame = wire_frame(&header, fields, message, text, &bytes);
	session->busy = false;
	if (frame)
		seal_set(&session->seal, frame, bytes);
	if (!frame || frame_send(session, frame, bytes + seal_bytes(&session->seal)))
		session_close(session, "out of memory for a reply");
	free(frame);
}

void session_reply(struct session *session, wire_fields_fn *fields, void *message)
{
	reply_send(session, 0, NULL, fields, message);
}

void session_fail(struct session *session, const struct error *err)
{
	log_debug("session %llu (%s): %s fails: %s", (unsigned long long)session->id, session->peer,
		  wire_type_name(session->type), err->text);
	reply_send(session, err->code, err->text, NULL, NULL);
}

void session_refuse(struct session *session, const struct error *err)
{
	session_fail(session, err);
	if (session->state != SESSION_CLOSED)
		bufferevent_disable(session->connection, EV_READ); /* written() does the rest */
}

void session_hold(struct session *session)
{
	session->pending++;
}

bool session_unhold(struct session *session)
{
	bool open = session->state != SESSION_CLOSED;

	session->pending--;
	if (!open)
		session_try_free(session);
	return open;
}

static void refusal_due(evutil_socket_t fd, short events, void *arg)
{
	struct session *session = arg;

	(void)fd;
	(void)events;
	if (session_unhold(session))
		session_refuse(session, &session->refusal);
}

void session_refuse_slowly(struct session *session, const struct error *err)
{
	session->refusal = *err;
	session_hold(session);
	if (event_base_once(session->server->base, -1, EV_TIMEOUT, refusal_due, session, &(struct timeval){REFUSAL_S, 0}))
		refusal_due(-1, 0, session);
}

/* ---- orders to the NI ---- */

struct pending_order {
	struct session *session;
	void (*done)(struct session *session, const struct ni_reply *reply);
};

static void order_done(void *arg, const struct ni_reply *reply)
{
	struct pending_order *order = arg;
	struct session *session = order->session;

	if (session_unhold(session))
		order->done(session, reply);
	free(order);
}

void session_order(struct session *session, struct ni_request *request, int fd,
		   void (*done)(struct session *session, const struct ni_reply *reply))
{
	struct pending_order *order = malloc(sizeof(*order));

	if (!order) {
		done(session, &(struct ni_reply){.status = -ENOMEM, .text = "out of memory"});
		return;
	}
	*order = (struct pending_order){session, done};
	session_hold(session);
	ni_process_order(session->ni, request, fd, order_done, order);
}

/* ---- the beginning ---- */

static void socket_options(int fd, uint64_t lease_s)
{
	int on = 1, user_timeout_ms = (int)(lease_s * 1000);
	int probe_s = lease_s >= 5 ? (int)lease_s / 5 : 1, idle_s = (int)lease_s - 3 * probe_s;

	if (idle_s < 1)
		idle_s = 1;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &probe_s, sizeof(probe_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &(int){3}, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof(user_timeout_ms));
}

/* Of a process on this node. Where there are more than GROUPS_MAX, it is taken to have none but its own. */
static void groups_read(struct session *session, int fd)
{
	socklen_t bytes = 0;

	_Static_assert(sizeof(gid_t) == sizeof(*session->groups), "the kernel's groups are ours");
	if (!getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &bytes) || errno != ERANGE ||
	    bytes > GROUPS_MAX * sizeof(*session->groups))
		return;
	session->groups = malloc(bytes);
	if (session->groups && !getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, session->groups, &bytes))
		session->group_count = (unsigned)(bytes / sizeof(*session->groups));
}

static void peer_describe(struct session *session, int fd, const struct address *peer)
{
	struct ucred cred;
	socklen_t bytes = sizeof(cred);

	if (peer->storage.ss_family != AF_UNIX) {
		address_format(peer, session->peer);
		return;
	}
	session->local_socket = !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &bytes);
	if (session->local_socket) {
		session->uid = cred.uid;
		session->gid = cred.gid;
		groups_read(session, fd);
	}
	snprintf(session->peer, sizeof(session->peer), "pid %d on this node",
		 session->local_socket ? (int)cred.pid : -1);
}

/* How many of either kind there are descriptors for: each takes one here, and a session some at its NI, which has as many. */
static uint64_t room(uint64_t kept, unsigned of_each)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur > kept ? (limit.rlim_cur - kept) / of_each : 1;
}

/* Those who have not authenticated can keep nobody else out: the one who is longest about it makes room. */
static void login_make_room(struct server *server)
{
	struct session *oldest = NULL;

	if (server->login_count < LOGINS_MAX && server->login_count < room(0, LOGINS_SHARE))
		return;
	for (struct session *s = server->sessions; s; s = s->next) {
		if (!s->logged_in && s->state != SESSION_CLOSED)
			oldest = s; /* the list begins with the newest */
	}
	server->counters.hurried_logins++;
	if (oldest)
		session_close(oldest, "others want to authenticate, too");
}

static bool has_descriptors(const struct session *session, struct error *err)
{
	const struct server *server = session->server;
	unsigned of_each = DESCRIPTORS_OF_SESSION + (server->local ? DESCRIPTORS_OF_LOCAL : 0);

	if (server->session_count - server->login_count < room(DESCRIPTORS_KEPT, of_each))
		return true;
	error_set(err, -EUSERS, "this server has %" PRIu64 " sessions, as many as it has descriptors for: end some, or "
		  "raise its limit of descriptors (LimitNOFILE of its unit, ulimit -n)", server->session_count - server->login_count);
	return false;
}

bool session_login(struct session *session)
{
	struct server *server = session->server;
	struct error err;

	if (!has_descriptors(session, &err)) {
		log_warning("%s is turned away: %s", session->peer, err.text);
		session_refuse(session, &err);
		return false;
	}
	if (server->session_count - server->login_count >= server->conf.max_sessions) {
		error_set(&err, -EUSERS, "this server has %llu sessions, as many as it may have: end some, or raise its "
			  "--max-sessions", (unsigned long long)server->conf.max_sessions);
		log_warning("%s is turned away: there are %llu sessions (--max-sessions)", session->peer,
			    (unsigned long long)server->conf.max_sessions);
		session_refuse(session, &err);
		return false;
	}
	if (rights_session(session, &err)) {
		log_warning("%s is turned away: %s", session->peer, err.text);
		session_refuse(session, &err);
		return false;
	}
	session->logged_in = true;
	server->login_count--;
	session->state = SESSION_READY;
	watermark_set(session);
	return true;
}

void session_accept(struct server *server, int fd, const struct address *peer)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		goto err_close;
	session->server = server;
	session->id = ++server->last_session;
	session->since_ns = clock_realtime_ns();
	session->accepted_ns = clock_monotonic_ns();
	peer_describe(session, fd, peer);
	login_make_room(server);
	if (peer->storage.ss_family != AF_UNIX)
		socket_options(fd, server->conf.lease_s);
	session->end = event_new(server->base, -1, 0, session_free, session);
	if (!session->end)
		goto err_free;
	session->connection = bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!session->connection)
		goto err_end;
	bufferevent_setcb(session->connection, readable, written, connection_event, session);
	watermark_set(session);
	bufferevent_set_timeouts(session->connection, NULL, &(struct timeval){WRITE_TIMEOUT_S, 0});
	bufferevent_enable(session->connection, EV_READ | EV_WRITE);
	session->next = server->sessions;
	session->at = &server->sessions;
	if (session->next)
		session->next->at = &session->next;
	server->sessions = session;
	server->session_count++;
	server->login_count++;
	return;

err_end:
	event_free(session->end);
err_free:
	free(session->groups);
	free(session);
err_close:
	close(fd);
}
