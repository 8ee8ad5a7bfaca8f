/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * local_target.c - the target's half of the data plane on one node: hands out the descriptors of slots' files.
 *
 * One thread waits for all sockets in an epoll set; it alone closes and frees visitors. The lock guards all lists; it is
 * held for some microseconds, and never while somebody is waited for: no send or receive blocks.
 */
#include "net/local.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/datagram.h"
#include "common/log.h"
#include "common/thread.h"
#include "net/token.h"

#define STRANGERS_MAX 64   /* connections that have not said HELLO */
#define STRANGER_MS   5000 /* for that */
#define EVENTS	      16

/* A file that is mapped here. */
struct file {
	struct file *next;
	uint64_t number; /* random; its name in keys and in MAP */
	const uint8_t *base;
	size_t bytes;
	int fd;
};

/* One connection. */
struct visitor {
	struct visitor *next;
	int socket;
	bool admitted, expelled;
	uint64_t peer;	   /* once it is admitted */
	uint64_t deadline; /* before */
};

struct net_grant {
	struct net_grant *next;
	struct net_target *target;
	uint64_t peer, file, number; /* number: random */
	unsigned rights;
};

struct net_target {
	int listener, epoll, wake;
	pthread_t thread;
	bool started;
	sem_t running;
	void (*thread_start)(void *arg, unsigned thread, const char *device);
	void *thread_arg;
	bool stores_persist;
	unsigned strangers; /* the thread's alone */

	pthread_mutex_t lock;
	bool stop;
	struct token *tokens;
	struct file *files;
	struct visitor *visitors;
	struct net_grant *grants;
};

/* ---- what visitors say ---- */

static struct file *file_find(const struct net_target *target, uint64_t number)
{
	struct file *file = target->files;

	while (file && file->number != number)
		file = file->next;
	return file;
}

static int hello(struct net_target *target, struct visitor *visitor, const struct local_request *request)
{
	uint64_t group; /* all here are of one user */

	if (visitor->admitted)
		return -EINVAL;
	if (!token_redeem(&target->tokens, request->token, sizeof(request->token), &visitor->peer, &group))
		return -EACCES;
	visitor->admitted = true;
	target->strangers--;
	return 0;
}

/* The grant that the visitor speaks of, with these rights; NULL where he has none. */
static const struct net_grant *grant_of(const struct net_target *target, const struct visitor *visitor,
					const struct local_request *request)
{
	const struct net_grant *grant = target->grants;

	if (!visitor->admitted || visitor->expelled || (request->rights != NET_READ && request->rights != NET_WRITE))
		return NULL;
	while (grant && (grant->peer != visitor->peer || grant->number != request->grant ||
			 !(grant->rights & request->rights)))
		grant = grant->next;
	return grant;
}

/* With the lock held; *fd is the file's. */
static struct local_reply answer(struct net_target *target, struct visitor *visitor,
				 const struct local_request *request, int *fd)
{
	const struct net_grant *grant = grant_of(target, visitor, request);
	const struct file *file = grant && request->type == LOCAL_MAP ? file_find(target, grant->file) : NULL;
	struct local_reply reply = {0};

	*fd = -1;
	if (request->version != LOCAL_VERSION) {
		reply.status = -EPROTO;
	} else if (request->type == LOCAL_HELLO) {
		reply.status = hello(target, visitor, request);
		reply.flags = target->stores_persist ? LOCAL_STORES : 0;
	} else if (request->type != LOCAL_MAP && request->type != LOCAL_CHECK) {
		reply.status = -EINVAL;
	} else if (!grant) {
		reply.status = -EACCES;
	} else if (file) {
		reply.bytes = file->bytes;
		*fd = file->fd;
	}
	return reply;
}

/* False: the connection is to end. */
static bool visitor_serve(struct net_target *target, struct visitor *visitor)
{
	struct local_request request;
	struct local_reply reply;
	ssize_t n;
	int fd;

	n = datagram_receive(visitor->socket, &request, sizeof(request), &fd);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (fd >= 0) /* nobody asked for one */
		close(fd);
	if (n != sizeof(request))
		return false;
	pthread_mutex_lock(&target->lock);
	reply = answer(target, visitor, &request, &fd);
	/* Who does not read its answers is not waited for. */
	n = datagram_send(visitor->socket, &reply, sizeof(reply), fd);
	pthread_mutex_unlock(&target->lock);
	return n == sizeof(reply) && (!reply.status || request.type == LOCAL_CHECK);
}

/* ---- the thread ---- */

static void visitor_end(struct net_target *target, struct visitor *visitor)
{
	struct visitor **at = &target->visitors;

	pthread_mutex_lock(&target->lock);
	while (*at != visitor)
		at = &(*at)->next;
	*at = visitor->next;
	pthread_mutex_unlock(&target->lock);
	if (!visitor->admitted)
		target->strangers--;
	close(visitor->socket);
	free(visitor);
}

static void strangers_trim(struct net_target *target)
{
	struct visitor *visitor = target->visitors, *next;

	for (; visitor && target->strangers; visitor = next) {
		next = visitor->next;
		if (!visitor->admitted && !deadline_left_ms(visitor->deadline))
			visitor_end(target, visitor);
	}
}

/* Waits for the next one only while there is room for it. */
static void listener_watch(struct net_target *target)
{
	struct epoll_event event = {.events = target->strangers < STRANGERS_MAX ? EPOLLIN : 0, .data.ptr = target};

	epoll_ctl(target->epoll, EPOLL_CTL_MOD, target->listener, &event);
}

/* Only processes of the user whose slots these are: others can neither use a token that went astray, nor be in the way. */
static bool same_user(int socket)
{
	struct ucred peer;
	socklen_t bytes = sizeof(peer);

	return !getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) && peer.uid == geteuid();
}

static void visitor_begin(struct net_target *target)
{
	struct visitor *visitor;
	struct epoll_event event = {.events = EPOLLIN};
	int socket = accept4(target->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (socket < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) /* it will not help to look again at once */
			deadline_sleep_ms(deadline_in_ms(100), 100);
		return;
	}
	visitor = same_user(socket) ? calloc(1, sizeof(*visitor)) : NULL;
	event.data.ptr = visitor;
	if (!visitor || epoll_ctl(target->epoll, EPOLL_CTL_ADD, socket, &event)) {
		free(visitor);
		close(socket);
		return;
	}
	visitor->socket = socket;
	visitor->deadline = deadline_in_ms(STRANGER_MS);
	target->strangers++;
	pthread_mutex_lock(&target->lock);
	visitor->next = target->visitors;
	target->visitors = visitor;
	pthread_mutex_unlock(&target->lock);
}

static bool stopping(struct net_target *target)
{
	bool stop;

	pthread_mutex_lock(&target->lock);
	stop = target->stop;
	pthread_mutex_unlock(&target->lock);
	return stop;
}

static void events_handle(struct net_target *target, const struct epoll_event *events, int count)
{
	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr == target)
			visitor_begin(target);
		else if (events[i].data.ptr && !visitor_serve(target, events[i].data.ptr))
			visitor_end(target, events[i].data.ptr);
	}
}

static void *run(void *arg)
{
	struct net_target *target = arg;
	struct epoll_event events[EVENTS];
	int n;

	if (target->thread_start)
		target->thread_start(target->thread_arg, 0, "");
	sem_post(&target->running);
	while (!stopping(target)) {
		n = epoll_wait(target->epoll, events, EVENTS, target->strangers ? 1000 : -1);
		events_handle(target, events, n);
		strangers_trim(target);
		listener_watch(target);
	}
	return NULL;
}

/* ---- the contract ---- */

static int listener_open(struct net_target *target, struct net_address *address, struct error *err)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	uint8_t random[16];
	char name[LOCAL_NAME_BYTES + 1] = "holdfast-";
	socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + LOCAL_NAME_BYTES);

	randombytes_buf(random, sizeof(random));
	sodium_bin2hex(name + 9, sizeof(name) - 9, random, sizeof(random));
	memcpy(un.sun_path + 1, name, LOCAL_NAME_BYTES);
	target->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (target->listener < 0 || bind(target->listener, (const struct sockaddr *)&un, length) ||
	    listen(target->listener, SOMAXCONN))
		return error_set(err, -errno, "cannot listen for clients on this node: %s", strerror(errno));
	*address = (struct net_address){.format = LOCAL_FORMAT, .bytes = LOCAL_NAME_BYTES};
	memcpy(address->raw, name, LOCAL_NAME_BYTES);
	return 0;
}

int local_listen(const struct net_params *params, struct net_target **out, struct net_address *address,
		 struct error *err)
{
	struct net_target *target;
	struct epoll_event event = {.events = EPOLLIN};
	int rc;

	if (sodium_init() < 0)
		return error_set(err, -EIO, "libsodium could not be initialised");
	target = calloc(1, sizeof(*target));
	if (!target)
		return error_nomem(err, "a data-plane target");
	target->listener = -1;
	target->thread_start = params->thread_start;
	target->thread_arg = params->thread_arg;
	target->stores_persist = params->stores_persist;
	pthread_mutex_init(&target->lock, NULL);
	sem_init(&target->running, 0, 0);
	target->epoll = epoll_create1(EPOLL_CLOEXEC);
	target->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (target->epoll < 0 || target->wake < 0 || epoll_ctl(target->epoll, EPOLL_CTL_ADD, target->wake, &event)) {
		rc = error_set(err, -errno, "cannot wait for clients on this node: %s", strerror(errno));
		goto err_close;
	}
	rc = listener_open(target, address, err);
	if (rc)
		goto err_close;
	event.data.ptr = target;
	rc = epoll_ctl(target->epoll, EPOLL_CTL_ADD, target->listener, &event) ? -errno : 0;
	if (!rc)
		rc = thread_begin(&target->thread, run, target);
	if (rc) {
		error_set(err, rc, "cannot start a thread for clients on this node: %s", strerror(-rc));
		goto err_close;
	}
	target->started = true;
	thread_await(&target->running);
	*out = target;
	return 0;

err_close:
	local_target_close(target);
	return rc;
}

int local_target_admit(struct net_target *target, uint64_t peer, uint64_t group,
		       const uint8_t token[NET_TOKEN_BYTES], struct error *err)
{
	struct token *admitted = token_new(peer, group, token, 1, err);

	if (!admitted)
		return err ? err->code : -ENOMEM;
	pthread_mutex_lock(&target->lock);
	token_add(&target->tokens, admitted);
	pthread_mutex_unlock(&target->lock);
	return 0;
}

void local_target_expel(struct net_target *target, uint64_t peer)
{
	pthread_mutex_lock(&target->lock);
	token_remove(&target->tokens, peer);
	for (struct net_grant *grant = target->grants; grant; grant = grant->next) {
		if (grant->peer == peer)
			grant->rights = 0;
	}
	for (struct visitor *visitor = target->visitors; visitor; visitor = visitor->next) {
		if (visitor->admitted && visitor->peer == peer) {
			visitor->expelled = true;
			shutdown(visitor->socket, SHUT_RDWR); /* the thread closes it */
		}
	}
	pthread_mutex_unlock(&target->lock);
}

int local_remember(struct net_target *target, void *base, size_t bytes, int fd, struct error *err)
{
	struct file *file = calloc(1, sizeof(*file));

	if (!file)
		return error_nomem(err, "a slot's file");
	*file = (struct file){.base = base, .bytes = bytes, .fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)};
	if (file->fd < 0) {
		free(file);
		return error_set(err, -errno, "cannot keep a slot's file: %s", strerror(errno));
	}
	randombytes_buf(&file->number, sizeof(file->number));
	pthread_mutex_lock(&target->lock);
	file->next = target->files;
	target->files = file;
	pthread_mutex_unlock(&target->lock);
	return 0;
}

void local_forget(struct net_target *target, const void *base, size_t bytes)
{
	struct file **at = &target->files, *found;

	(void)bytes;
	pthread_mutex_lock(&target->lock);
	while (*at && (*at)->base != base)
		at = &(*at)->next;
	found = *at;
	if (found)
		*at = found->next;
	pthread_mutex_unlock(&target->lock);
	if (found)
		close(found->fd);
	free(found);
}

/* Of the file that has these bytes; with the lock held. */
static struct file *file_of(const struct net_target *target, const uint8_t *base, size_t bytes)
{
	struct file *file = target->files;

	while (file && (base < file->base || (size_t)(base - file->base) > file->bytes ||
			bytes > file->bytes - (size_t)(base - file->base)))
		file = file->next;
	return file;
}

static bool is_here(const struct net_target *target, uint64_t peer)
{
	for (const struct visitor *visitor = target->visitors; visitor; visitor = visitor->next) {
		if (visitor->admitted && !visitor->expelled && visitor->peer == peer)
			return true;
	}
	return false;
}

int local_expose(struct net_target *target, uint64_t peer, void *base, size_t bytes, unsigned rights,
		 struct net_grant **out, struct net_key *key, struct error *err)
{
	struct net_grant *grant = calloc(1, sizeof(*grant));
	struct file *file;

	if (!grant)
		return error_nomem(err, "a grant");
	*grant = (struct net_grant){.target = target, .peer = peer, .rights = rights};
	pthread_mutex_lock(&target->lock);
	file = is_here(target, peer) ? file_of(target, base, bytes) : NULL;
	if (!file) {
		pthread_mutex_unlock(&target->lock);
		free(grant);
		return error_set(err, -ENOTCONN, "peer %llu is not connected on this node", (unsigned long long)peer);
	}
	grant->file = file->number;
	randombytes_buf(&grant->number, sizeof(grant->number));
	*key = (struct net_key){
		.address = (uint64_t)((const uint8_t *)base - file->base),
		.bytes = bytes,
		.keys = {file->number, grant->number},
	};
	grant->next = target->grants;
	target->grants = grant;
	pthread_mutex_unlock(&target->lock);
	*out = grant;
	return 0;
}

void local_revoke(struct net_grant *grant)
{
	struct net_grant **at;

	if (!grant)
		return;
	pthread_mutex_lock(&grant->target->lock);
	for (at = &grant->target->grants; *at != grant;)
		at = &(*at)->next;
	*at = grant->next;
	pthread_mutex_unlock(&grant->target->lock);
	free(grant);
}

void local_target_close(struct net_target *target)
{
	struct visitor *visitor, *next;

	if (!target)
		return;
	if (target->started) {
		pthread_mutex_lock(&target->lock);
		target->stop = true;
		pthread_mutex_unlock(&target->lock);
		eventfd_write(target->wake, 1);
		pthread_join(target->thread, NULL);
	}
	for (visitor = target->visitors; visitor; visitor = next) {
		next = visitor->next;
		close(visitor->socket);
		free(visitor);
	}
	while (target->files)
		local_forget(target, target->files->base, target->files->bytes);
	token_clear(&target->tokens);
	if (target->listener >= 0)
		close(target->listener);
	if (target->epoll >= 0)
		close(target->epoll);
	if (target->wake >= 0)
		close(target->wake);
	sem_destroy(&target->running);
	pthread_mutex_destroy(&target->lock);
	free(target);
}
