/* SPDX-License-Identifier: BSD-3-Clause */
/* ni_process.c - the PMM's handle of a NI process. */
#include "pmu/ni_process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/datagram.h"
#include "common/log.h"
#include "pmu/server.h"
#include "pmu/session.h"

#define STOP_MS 2000

struct order {
	uint64_t id;
	ni_done_fn *done;
	void *arg;
	uint64_t deadline;
	struct order *next;
};

/* A datagram that the socket had no room for yet. */
struct unsent {
	struct unsent *next;
	int fd; /* ours, or -1 */
	size_t bytes;
	uint8_t message[];
};

struct ni_process {
	struct server *server;
	uint32_t uid;
	pid_t pid;
	int socket;
	struct event *readable, *writable, *clock;
	struct net_address address, local; /* known once START is answered */
	char confined[128];	    /* as well */
	uint64_t last_id;
	struct order *orders;
	struct unsent *unsent, **unsent_last;
	bool dead;
	struct ni_process *next;
};

/* ---- the child ---- */

static void child_run(int socket, int lock, pid_t parent, const struct ni_process *ni)
{
	const struct conf *conf = &ni->server->conf;
	char level[8], syslog[8], uid[16], file_bytes[24];
	struct pool_stat stat;

	if (dup2(socket, 3) < 0 || dup2(lock, 4) < 0)
		_exit(EXIT_FAILURE);
	closefrom(5);
	/* It must not outlive the PMM, stopped or not: the pool's lock is with it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		_exit(EXIT_FAILURE);
	snprintf(level, sizeof(level), "%d", (int)conf->log_level);
	snprintf(syslog, sizeof(syslog), "%d", conf->syslog);
	snprintf(uid, sizeof(uid), "%" PRIu32, ni->uid);
	pool_get_stat(ni->server->pool, &stat);
	snprintf(file_bytes, sizeof(file_bytes), "%" PRIu64, stat.size_bytes);
	execl("/proc/self/exe", "pmu-ni", "--ni-process", level, syslog, uid, file_bytes, (char *)NULL);
	_exit(EXIT_FAILURE);
}

static int child_start(struct ni_process *ni, struct error *err)
{
	pid_t parent = getpid();
	int pair[2], lock = pool_lock_fd(ni->server->pool), socket_copy, lock_copy;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return error_set(err, -errno, "socketpair for a NI: %s", strerror(errno));
	/* Out of the way of the numbers that the child gives them. */
	socket_copy = fcntl(pair[1], F_DUPFD_CLOEXEC, 5);
	lock_copy = fcntl(lock, F_DUPFD_CLOEXEC, 5);
	close(pair[1]);
	ni->pid = socket_copy < 0 || lock_copy < 0 ? -1 : fork();
	if (!ni->pid)
		child_run(socket_copy, lock_copy, parent, ni);
	if (ni->pid < 0)
		error_set(err, -errno, "cannot start a NI process: %s", strerror(errno));
	if (socket_copy >= 0)
		close(socket_copy);
	if (lock_copy >= 0)
		close(lock_copy);
	if (ni->pid < 0) {
		close(pair[0]);
		return err->code;
	}
	evutil_make_socket_nonblocking(pair[0]);
	ni->socket = pair[0];
	return 0;
}

/* ---- life and death ---- */

static void ni_free(struct ni_process *ni)
{
	struct ni_process **at = &ni->server->nis;
	struct unsent *unsent;

	while (*at && *at != ni)
		at = &(*at)->next;
	if (*at)
		*at = ni->next;
	while ((unsent = ni->unsent)) {
		ni->unsent = unsent->next;
		if (unsent->fd >= 0)
			close(unsent->fd);
		free(unsent);
	}
	if (ni->readable)
		event_free(ni->readable);
	if (ni->writable)
		event_free(ni->writable);
	if (ni->clock)
		event_free(ni->clock);
	if (ni->socket >= 0)
		close(ni->socket);
	free(ni);
}

/* Ends a NI: nothing of it is left when the sessions hear of it. */
static void ni_die(struct ni_process *ni, const char *why)
{
	struct ni_reply reply = {.status = -ENETRESET};
	struct server *server = ni->server;
	struct order *order;
	int status;

	if (ni->dead)
		return;
	ni->dead = true;
	kill(ni->pid, SIGKILL);
	if (waitpid(ni->pid, &status, 0) == ni->pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		why = "was ended by the kernel for a system call that no NI makes: has somebody broken into it?";
	if (!server->stopping) {
		server->counters.ni_deaths++;
		log_error("the NI process %d of uid %u %s; its sessions end, and a new one starts when "
			  "it is needed",
			  (int)ni->pid, ni->uid, why);
	}
	snprintf(reply.text, sizeof(reply.text), "the NI process %s", why);
	while ((order = ni->orders)) {
		ni->orders = order->next;
		reply.id = order->id;
		if (order->done)
			order->done(order->arg, &reply);
		free(order);
	}
	session_close_all_of(server, ni, "the NI process died");
	ni_free(ni);
}

/* ---- orders and answers ---- */

static int datagram_queue(struct ni_process *ni, const void *message, size_t bytes, int fd)
{
	struct unsent *unsent = malloc(sizeof(*unsent) + bytes);

	if (!unsent)
		return -ENOMEM;
	unsent->next = NULL;
	unsent->bytes = bytes;
	memcpy(unsent->message, message, bytes);
	unsent->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0 && unsent->fd < 0) {
		free(unsent);
		return -EMFILE;
	}
	*ni->unsent_last = unsent;
	ni->unsent_last = &unsent->next;
	event_add(ni->writable, NULL);
	return 0;
}

static void writable(evutil_socket_t socket, short events, void *arg)
{
	struct ni_process *ni = arg;
	struct unsent *unsent;

	(void)events;
	while ((unsent = ni->unsent)) {
		if (datagram_send(socket, unsent->message, unsent->bytes, unsent->fd) < 0 &&
		    (errno == EAGAIN || errno == EINTR)) {
			event_add(ni->writable, NULL);
			return;
		}
		/* Other errors: the NI is gone, which the reading side sees too. */
		ni->unsent = unsent->next;
		if (!ni->unsent)
			ni->unsent_last = &ni->unsent;
		if (unsent->fd >= 0)
			close(unsent->fd);
		free(unsent);
	}
}

void ni_process_order(struct ni_process *ni, struct ni_request *request, int fd, ni_done_fn *done,
		      void *arg)
{
	uint8_t message[NI_MESSAGE_BYTES];
	struct cursor c = cursor_pack(message, sizeof(message));
	struct ni_reply failed = {.status = -ENOMEM, .text = "out of memory for an order to the NI"};
	struct order *order = malloc(sizeof(*order));
	size_t bytes;
	int rc = -ENOMEM;

	request->id = ++ni->last_id;
	ni_request_fields(&c, request);
	bytes = (size_t)(c.at - message);
	if (ni->dead) {
		failed = (struct ni_reply){.text = "the NI process died"};
		rc = -ENETRESET;
	}
	if (!order || ni->dead)
		goto err_failed;
	if (ni->unsent || datagram_send(ni->socket, message, bytes, fd) < 0) {
		rc = ni->unsent || errno == EAGAIN ? datagram_queue(ni, message, bytes, fd) : 0;
		if (rc)
			goto err_failed;
	}
	*order = (struct order){request->id, done, arg,
				deadline_in_ms(ni->server->conf.ni_timeout_s * 1000), ni->orders};
	ni->orders = order;
	return;

err_failed:
	free(order);
	failed.status = rc;
	if (done)
		done(arg, &failed);
}

static void answer(struct ni_process *ni, const struct ni_reply *reply)
{
	struct order **at = &ni->orders, *order;

	while (*at && (*at)->id != reply->id)
		at = &(*at)->next;
	order = *at;
	if (!order) {
		log_warning("NI %d answers an order that it was not given", (int)ni->pid);
		return;
	}
	*at = order->next;
	if (order->done)
		order->done(order->arg, reply);
	free(order);
}

static void readable(evutil_socket_t socket, short events, void *arg)
{
	struct ni_process *ni = arg;
	uint8_t message[NI_MESSAGE_BYTES];
	struct ni_reply reply;
	struct cursor c;
	ssize_t n;

	(void)events;
	n = recv(socket, message, sizeof(message), 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		ni_die(ni, "died");
		return;
	}
	memset(&reply, 0, sizeof(reply));
	c = cursor_unpack(message, (size_t)n);
	ni_reply_fields(&c, &reply);
	if (!cursor_ok(&c)) {
		ni_die(ni, "sent a malformed answer");
		return;
	}
	answer(ni, &reply);
}

static void clock_tick(evutil_socket_t socket, short events, void *arg)
{
	struct ni_process *ni = arg;

	(void)socket;
	(void)events;
	for (const struct order *order = ni->orders; order; order = order->next) {
		if (!deadline_left_ms(order->deadline)) {
			ni_die(ni, "did not answer an order in time");
			return;
		}
	}
}

static void started(void *arg, const struct ni_reply *reply)
{
	struct ni_process *ni = arg;

	if (!reply->status) {
		ni->address = reply->address;
		ni->local = reply->local;
		snprintf(ni->confined, sizeof(ni->confined), "%.100s", reply->text);
		log_info("NI process %d serves uid %u: %s", (int)ni->pid, ni->uid, ni->confined);
	} else if (!ni->dead && !ni->server->stopping) {
		log_error("the NI of uid %u cannot serve: %s", ni->uid, reply->text);
	}
}

static void start_order(struct ni_process *ni)
{
	struct conf *conf = &ni->server->conf;
	struct ni_request request = {
		.type = NI_START,
		.flags = (conf->ni_seccomp ? NI_SECCOMP : 0u) | (ni->server->local ? NI_LOCAL : 0u),
		.count = (uint32_t)conf->ni_threads,
		.numa_node = ni->server->numa_node,
	};
	struct pool_stat stat;

	pool_get_stat(ni->server->pool, &stat);
	request.granularity = stat.granularity;
	snprintf(request.text, sizeof(request.text), "%s", conf->fabric_listen);
	snprintf(request.net, sizeof(request.net), "%s", conf->net);
	snprintf(request.provider, sizeof(request.provider), "%s", conf->fabric);
	ni_process_order(ni, &request, -1, started, ni);
}

struct ni_process *ni_process_get(struct server *server, uint32_t uid, struct error *err)
{
	struct ni_process *ni = server->nis;

	while (ni && (ni->uid != uid || ni->dead))
		ni = ni->next;
	if (ni)
		return ni;
	ni = calloc(1, sizeof(*ni));
	if (!ni) {
		error_nomem(err, "a NI");
		return NULL;
	}
	ni->server = server;
	ni->uid = uid;
	ni->socket = -1;
	ni->unsent_last = &ni->unsent;
	if (child_start(ni, err))
		goto err_free;
	ni->readable = event_new(server->base, ni->socket, EV_READ | EV_PERSIST, readable, ni);
	ni->writable = event_new(server->base, ni->socket, EV_WRITE, writable, ni);
	ni->clock = event_new(server->base, -1, EV_PERSIST, clock_tick, ni);
	if (!ni->readable || !ni->writable || !ni->clock || event_add(ni->readable, NULL) ||
	    event_add(ni->clock, &(struct timeval){1, 0})) {
		error_nomem(err, "a NI");
		goto err_kill;
	}
	ni->next = server->nis;
	server->nis = ni;
	log_info("NI process %d started for uid %u", (int)ni->pid, uid);
	start_order(ni);
	return ni;

err_kill:
	kill(ni->pid, SIGKILL);
	waitpid(ni->pid, NULL, 0);
err_free:
	ni_free(ni);
	return NULL;
}

const struct net_address *ni_process_address(const struct ni_process *ni)
{
	return &ni->address;
}

const struct net_address *ni_process_local(const struct ni_process *ni)
{
	return &ni->local;
}

pid_t ni_process_pid(const struct ni_process *ni)
{
	return ni->pid;
}

const char *ni_process_confined(const struct ni_process *ni)
{
	return ni->confined;
}

uint32_t ni_process_uid(const struct ni_process *ni)
{
	return ni->uid;
}

struct ni_process *ni_process_next(const struct server *server, struct ni_process *ni)
{
	ni = ni ? ni->next : server->nis;
	while (ni && ni->dead)
		ni = ni->next;
	return ni;
}

static bool is_idle(const struct ni_process *ni)
{
	for (const struct order *order = ni->orders; order; order = order->next) {
		if (order->done)
			return false;
	}
	for (const struct session *s = ni->server->sessions; s; s = s->next) {
		if (s->ni == ni)
			return false;
	}
	return true;
}

void ni_process_end_idle(struct server *server, uint32_t uid)
{
	struct ni_process *ni = server->nis;
	struct order *order;

	while (ni && (ni->uid != uid || ni->dead))
		ni = ni->next;
	if (!ni || !is_idle(ni))
		return;
	while ((order = ni->orders)) {
		ni->orders = order->next;
		free(order);
	}
	kill(ni->pid, SIGKILL);
	waitpid(ni->pid, NULL, 0);
	ni_free(ni);
}

void ni_process_stop_all(struct server *server)
{
	uint64_t deadline = deadline_in_ms(STOP_MS);
	struct ni_process *ni;

	/* A NI ends by itself when its socket closes. */
	for (ni = server->nis; ni; ni = ni->next)
		shutdown(ni->socket, SHUT_RDWR);
	while ((ni = server->nis)) {
		while (waitpid(ni->pid, NULL, WNOHANG) == 0) {
			if (!deadline_left_ms(deadline))
				kill(ni->pid, SIGKILL);
			deadline_sleep_ms(deadline_in_ms(10), 10);
		}
		for (struct order *order = ni->orders, *next; order; order = next) {
			next = order->next;
			free(order);
		}
		ni_free(ni);
	}
}
