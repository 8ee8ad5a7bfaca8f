/* SPDX-License-Identifier: BSD-3-Clause */
/* ni.c - the NI: takes the PMM's orders. */
#include "ni/ni.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/datagram.h"
#include "common/log.h"
#include "common/thread.h"
#include "common/worker.h"
#include "ni/behind.h"
#include "ni/confine.h"
#include "ni/locality.h"
#include "ni/mapping.h"
#include "ni/merge.h"
#include "ni/slot.h"
#include "net/net.h"
#include "wire/ni_wire.h"

#define WORKERS	    4
#define SHORT_BYTES 65536

/* A range of a slot that a peer may reach. The main thread's alone. */
struct grant {
	uint64_t id, peer;
	const struct net_ops *by;
	struct net_grant *net;
	struct mapping *mapping;
	struct behind *behind; /* of one to write; NULL: it is not written back meanwhile */
	struct grant *next;
};

/* A long order on its way through a worker. */
struct task {
	struct ni_request request;
	struct mapping *mapping; /* COMMIT, VERIFY */
	int fd;			 /* MAP */
};

static struct {
	int socket;
	uint32_t numa_node;
	const struct net_ops *net;
	struct net_target *target;
	struct net_target *local; /* of net_local, for clients on this node; NULL: they are served like others */
	struct grant *grants;
	struct error refusal; /* why it is not started */
	bool unfit;	      /* never will be */
} ni = {.refusal = {-ENOTCONN, "the NI is not started"}};

static void reply_send(struct ni_reply *reply)
{
	uint8_t message[NI_MESSAGE_BYTES];
	struct cursor c = cursor_pack(message, sizeof(message));

	ni_reply_fields(&c, reply);
	/* Datagrams are whole, whichever thread sends. Where the PMM is gone, so are we, soon. */
	while (send(ni.socket, message, (size_t)(c.at - message), MSG_NOSIGNAL) < 0 && errno == EINTR)
		continue;
}

static void reply_error(uint64_t id, int status, const struct error *err)
{
	struct ni_reply reply = {.id = id, .status = status};

	if (status)
		memcpy(reply.text, err->text, sizeof(reply.text));
	reply_send(&reply);
}

/* ---- long orders, in workers ---- */

static void task_end(struct task *task)
{
	mapping_release(task->mapping);
	if (task->fd >= 0)
		close(task->fd);
	free(task);
}

static void task_map(void *arg)
{
	struct task *task = arg;
	struct error err = {0};
	int rc = slot_prepare(&task->request, task->fd, &err);

	reply_error(task->request.id, rc, &err);
	task_end(task);
}

static void task_verify(void *arg)
{
	struct task *task = arg;
	struct ni_reply reply = {.id = task->request.id};
	struct error err = {0};

	if (slot_verify(&task->request, task->mapping, &reply, &err)) {
		/* Without a table nothing of the set can be trusted: that is one finding, not a failure. */
		reply.bad_blocks = reply.blocks = 1;
		memcpy(reply.text, err.text, sizeof(reply.text));
	}
	reply_send(&reply);
	task_end(task);
}

static void task_commit(void *arg)
{
	struct task *task = arg;
	struct error err = {0};
	int rc = slot_commit(&task->request, task->mapping, &err);

	reply_error(task->request.id, rc, &err);
	task_end(task);
}

static int task_submit(void (*work)(void *), const struct ni_request *request,
		       struct mapping *mapping, int fd, struct error *err)
{
	struct task *task = malloc(sizeof(*task));

	if (!task) {
		mapping_release(mapping);
		if (fd >= 0)
			close(fd);
		return error_nomem(err, "an order");
	}
	*task = (struct task){*request, mapping, fd};
	if (worker_submit(work, task)) {
		task_end(task);
		return error_nomem(err, "an order");
	}
	return 0;
}

/* ---- short orders, in the main thread ---- */

static void grant_end(struct grant **at)
{
	struct grant *grant = *at;

	*at = grant->next;
	grant->by->revoke(grant->net);
	behind_end(grant->behind);
	mapping_release(grant->mapping);
	free(grant);
}

static struct grant **grant_find(uint64_t id)
{
	struct grant **at = &ni.grants;

	while (*at && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

static void thread_start(void *arg, unsigned thread, const char *device)
{
	(void)arg;
	locality_bind("NI thread", thread, ni.numa_node, device);
	confine_thread();
}

static int mapped(void *base, size_t bytes, int fd, struct error *err)
{
	return ni.local ? net_local.remember(ni.local, base, bytes, fd, err) : 0;
}

static void unmapping(const void *base, size_t bytes)
{
	ni.net->forget(ni.target, base, bytes);
	if (ni.local)
		net_local.forget(ni.local, base, bytes);
}

/* The data plane has opened what it needs, in all its threads. */
static int confine(const struct ni_request *request, struct ni_reply *reply, struct error *err)
{
	int rc;

	media_set_granularity(request->granularity);
	media_set_threads(thread_processors(1)); /* it could not count them later */
	confine_thread();
	rc = worker_start(WORKERS);
	if (!rc)
		rc = behind_start();
	if (rc)
		return error_set(err, rc, "cannot start threads: %s", strerror(-rc));
	return confine_process(request->flags & NI_SECCOMP, ni.net->opens_devices, reply->text, sizeof(reply->text), err);
}

static int order_start(const struct ni_request *request, struct ni_reply *reply, struct error *err)
{
	struct net_params params = {
		.provider = request->provider,
		.node = *request->text ? request->text : NULL,
		.threads = request->count,
		.thread_start = thread_start,
		.stores_persist = request->granularity != MEDIA_PAGE,
	};
	int rc;

	if (ni.unfit) {
		*err = ni.refusal;
		return err->code;
	}
	ni.numa_node = request->numa_node;
	ni.net = net_find(request->net);
	if (!ni.net)
		return error_set(err, -EINVAL, "there is no data plane '%s'", request->net);
	rc = ni.net->listen(&params, &ni.target, &reply->address, err);
	if (!rc && (request->flags & NI_LOCAL))
		rc = net_local.listen(&params, &ni.local, &reply->local, err);
	if (!rc)
		rc = confine(request, reply, err);
	if (rc) {
		ni.refusal = *err;
		ni.unfit = true;
	} else {
		mapping_tell(mapped, unmapping);
	}
	return rc;
}

/* It may connect to either. */
static int order_admit(const struct ni_request *request, struct error *err)
{
	int rc = ni.net->target_admit(ni.target, request->peer, request->group, request->token, err);

	return rc || !ni.local ? rc
			       : net_local.target_admit(ni.local, request->peer, request->group, request->token, err);
}

static void order_expel(uint64_t peer)
{
	ni.net->target_expel(ni.target, peer);
	if (ni.local)
		net_local.target_expel(ni.local, peer);
	for (struct grant **at = &ni.grants; *at;) {
		if ((*at)->peer == peer)
			grant_end(at);
		else
			at = &(*at)->next;
	}
}

/* By the data plane that the peer is connected to. */
static int grant_expose(struct grant *grant, const struct ni_request *request, struct ni_reply *reply, struct error *err)
{
	void *base = (uint8_t *)media->base(grant->mapping->map) + request->offset;

	grant->by = &net_local;
	if (ni.local && !net_local.expose(ni.local, request->peer, base, request->bytes, request->rights, &grant->net,
					  &reply->key, err)) {
		reply->flags = NI_LOCAL;
		return 0;
	}
	grant->by = ni.net;
	return ni.net->expose(ni.target, request->peer, base, request->bytes, request->rights, &grant->net, &reply->key,
			      err);
}

static int order_expose(const struct ni_request *request, struct ni_reply *reply, struct error *err)
{
	struct grant *grant = calloc(1, sizeof(*grant));
	int rc;

	if (!grant)
		return error_nomem(err, "a grant");
	grant->id = request->grant;
	grant->peer = request->peer;
	grant->mapping = mapping_use(request->file, request->offset, request->bytes);
	if (!grant->mapping) {
		rc = error_set(err, -ENOENT, "slot %llx is not mapped", (unsigned long long)request->file);
		goto err_free;
	}
	rc = grant_expose(grant, request, reply, err);
	if (rc)
		goto err_release;
	if (request->rights & NET_WRITE)
		grant->behind = behind_begin(grant->mapping, request->offset, request->bytes);
	grant->next = ni.grants;
	ni.grants = grant;
	return 0;

err_release:
	mapping_release(grant->mapping);
err_free:
	free(grant);
	return rc;
}

static int order_try(const struct ni_request *request, struct error *err)
{
	struct mapping *mapping;
	int rc;

	if (!ni.net->try_memory)
		return 0;
	mapping = mapping_use(request->file, request->offset, request->bytes);
	if (!mapping)
		return error_set(err, -ENOENT, "slot %llx is not mapped", (unsigned long long)request->file);
	rc = ni.net->try_memory(ni.target, (uint8_t *)media->base(mapping->map) + request->offset, request->bytes,
				request->rights, err);
	mapping_release(mapping);
	return rc;
}

/* Shorter than to wake a worker: a small set in memory, which has no disk to wait for. */
static bool commit_is_short(const struct ni_request *request, const struct mapping *mapping)
{
	return request->set.data_bytes <= SHORT_BYTES && request->set.table_bytes <= SHORT_BYTES &&
	       !media->persist_begin(mapping->map, request->offset, 0);
}

/* Answers by itself, when 0. */
static int order_commit(const struct ni_request *request, struct error *err)
{
	struct grant **at = grant_find(request->grant);
	struct mapping *mapping;
	int rc;

	if (!*at)
		return error_set(err, -ENOENT, "grant %llu is gone", (unsigned long long)request->grant);
	mapping = mapping_use((*at)->mapping->file, request->offset, request->bytes);
	/* Nothing may change the set from here on. */
	grant_end(at);
	if (!mapping)
		return error_set(err, -ENOENT, "slot %llx is not mapped", (unsigned long long)request->file);
	if (commit_is_short(request, mapping)) {
		rc = slot_commit(request, mapping, err);
		reply_error(request->id, rc, err);
		mapping_release(mapping);
		return 0;
	}
	return task_submit(task_commit, request, mapping, -1, err);
}

static int order_verify(const struct ni_request *request, struct error *err)
{
	struct mapping *mapping = mapping_use(request->file, request->offset, request->bytes);

	if (!mapping)
		return error_set(err, -ENOENT, "slot %llx is not mapped", (unsigned long long)request->file);
	return task_submit(task_verify, request, mapping, -1, err);
}

static void merged(const struct ni_request *request, const struct set_info *made, const struct error *err)
{
	struct ni_reply reply = {.id = request->id, .status = err->code, .set = *made};

	if (reply.status)
		memcpy(reply.text, err->text, sizeof(reply.text));
	reply_send(&reply);
}

/* Long orders answer by themselves, unless they could not even begin. */
static void order(const struct ni_request *request, int fd)
{
	struct ni_reply reply = {.id = request->id};
	struct error err = {0};
	bool answered = false;

	switch (request->type) {
	case NI_START:
		reply.status = order_start(request, &reply, &err);
		break;
	case NI_ADMIT:
		reply.status = order_admit(request, &err);
		break;
	case NI_EXPEL:
		order_expel(request->peer);
		break;
	case NI_MAP:
		reply.status = task_submit(task_map, request, NULL, fd, &err);
		fd = -1;
		answered = !reply.status;
		break;
	case NI_UNMAP:
		mapping_remove(request->file);
		break;
	case NI_EXPOSE:
		reply.status = order_expose(request, &reply, &err);
		break;
	case NI_REVOKE: {
		struct grant **at = grant_find(request->grant);

		if (*at)
			grant_end(at);
		break;
	}
	case NI_COMMIT:
		reply.status = order_commit(request, &err);
		answered = !reply.status;
		break;
	case NI_VERIFY:
		reply.status = order_verify(request, &err);
		answered = !reply.status;
		break;
	case NI_MERGE:
		reply.status = merge_begin(request, fd, merged, &err);
		fd = -1;
		answered = !reply.status;
		break;
	case NI_TRY:
		reply.status = order_try(request, &err);
		break;
	case NI_CANCEL:
		merge_cancel();
		break;
	default:
		reply.status = error_set(&err, -ENOSYS, "unknown order %u", request->type);
	}
	if (fd >= 0)
		close(fd);
	if (answered)
		return;
	if (reply.status)
		memcpy(reply.text, err.text, sizeof(reply.text));
	reply_send(&reply);
}

/* Reads one order and the descriptor that may come with it: 1, 0 where the PMM is gone, -errno. */
static int order_receive(struct ni_request *request, int *fd)
{
	uint8_t message[NI_MESSAGE_BYTES];
	struct cursor c;
	ssize_t n;

	do {
		n = datagram_receive(ni.socket, message, sizeof(message), fd);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n ? -errno : 0;
	memset(request, 0, sizeof(*request));
	c = cursor_unpack(message, (size_t)n);
	ni_request_fields(&c, request);
	return cursor_ok(&c) ? 1 : -EBADMSG;
}

int ni_main(int socket, const struct ni_owner *owner)
{
	struct ni_request request;
	int fd = -1, rc;

	ni.socket = socket;
	ni.unfit = confine_privileges(owner->uid, owner->file_bytes, &ni.refusal) != 0;
	while ((rc = order_receive(&request, &fd)) > 0) {
		if (request.type == NI_START || (ni.target && !ni.unfit)) {
			order(&request, fd);
		} else {
			reply_error(request.id, ni.refusal.code, &ni.refusal);
			if (fd >= 0)
				close(fd);
		}
	}
	if (rc < 0)
		log_error("NI: lost its PMM: %s", strerror(-rc));
	/* Workers may still be persisting; nobody waits for them any more. */
	_exit(rc ? EXIT_FAILURE : EXIT_SUCCESS);
}
