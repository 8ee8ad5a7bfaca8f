/* SPDX-License-Identifier: BSD-3-Clause */
/* trial.c - a NI maps memory of the kind that slots are in, as it would a slot, and its data plane tries it. */
#include "pmu/trial.h"

#include <errno.h>
#include <unistd.h>
#include "common/log.h"
#include "media/media.h"
#include "net/net.h"
#include "pmu/ni_process.h"
#include "pmu/server.h"

#define SAMPLE_FILE 1 /* its number, in a NI that has no other */

struct trial {
	/* With an event loop and a NI of its own: nobody is served while it runs. */
	struct server server;
	struct ni_process *ni;
	bool done;
	struct error err;
};

static void tried(void *arg, const struct ni_reply *reply)
{
	struct trial *trial = arg;

	trial->done = true;
	if (reply->status)
		error_set(&trial->err, reply->status, "%s", reply->text);
}

static void mapped(void *arg, const struct ni_reply *reply)
{
	struct ni_request request = {.type = NI_TRY, .file = SAMPLE_FILE, .bytes = MEDIA_UNIT_MIN};
	struct trial *trial = arg;

	request.rights = NET_READ | NET_WRITE | (trial->server.persist == PERSIST_FLUSH ? NET_FLUSH : 0u);
	if (reply->status)
		tried(trial, reply);
	else
		ni_process_order(trial->ni, &request, -1, tried, trial);
}

static int trial_begin(struct trial *trial, struct error *err)
{
	struct ni_request request = {.type = NI_MAP, .flags = NI_ALLOCATE, .file = SAMPLE_FILE, .bytes = MEDIA_UNIT_MIN};
	int fd, rc;

	rc = pool_sample(trial->server.pool, &fd, &request.extents[0], err);
	if (rc)
		return rc;
	if (request.extents[0].bytes) {
		request.extent_count = 1;
		request.bytes = request.extents[0].bytes;
	}
	trial->ni = ni_process_get(&trial->server, (uint32_t)geteuid(), err);
	if (trial->ni)
		ni_process_order(trial->ni, &request, fd, mapped, trial);
	close(fd);
	return trial->ni ? 0 : err->code;
}

int trial_run(const struct server *server, struct error *err)
{
	struct trial trial = {.server = {.conf = server->conf, .pool = server->pool, .numa_node = server->numa_node, .persist = server->persist,
					 .stopping = true}};
	int rc;

	if (!net_find(server->conf.net)->try_memory)
		return 0;
	trial.server.base = event_base_new();
	if (!trial.server.base)
		return error_nomem(err, "an event loop");
	rc = trial_begin(&trial, &trial.err);
	while (!rc && !trial.done)
		rc = event_base_loop(trial.server.base, EVLOOP_ONCE) < 0
			     ? error_set(&trial.err, -EIO, "the event loop failed")
			     : 0;
	rc = trial.err.code;
	ni_process_stop_all(&trial.server);
	event_base_free(trial.server.base);
	if (rc == -ENOSPC || rc == -EDQUOT) {
		log_warning("it cannot be tried whether the data plane %s reaches the memory of pool %s: %s", server->conf.net,
			    server->conf.pool, trial.err.text);
		return 0;
	}
	if (rc)
		error_set(err, rc, "pool %s cannot be served by --net %s: %s", server->conf.pool, server->conf.net,
			  trial.err.text);
	return rc;
}
