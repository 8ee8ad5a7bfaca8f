/* SPDX-License-Identifier: BSD-3-Clause */
/* server.h - the PMM process: one event loop, its listeners, sessions, NIs and pool. One thread. */
#ifndef HOLDFAST_SERVER_H
#define HOLDFAST_SERVER_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include "common/error.h"
#include "common/persist.h"
#include "pmm/pool.h"
#include "pmu/att.h"
#include "pmu/conf.h"
#include "wire/auth.h"

struct session;
struct merging;
struct scrub;
struct ni_process;

/* Of whom the log tells in a second. */
#define STRANGERS_TOLD 5

struct server {
	struct conf conf;
	int argc; /* for SIGHUP, to read the configuration again */
	char **argv;
	struct event_base *base;
	struct pool *pool;
	const struct auth_ops *auth;
	struct auth_key keys[AUTH_KEYS_MAX]; /* the first one is that of --key-file */
	unsigned key_count;
	int login_fds[2]; /* login.c */
	struct event *login_event;
	struct att att;
	struct session *sessions;
	uint64_t session_count, last_session;
	uint64_t login_count; /* of session_count, who has not authenticated yet */
	unsigned strangers; /* in this second, who sent no request of ours */
	struct ni_process *nis;
	struct merging *merges; /* regions whose sets are to be merged, in the order of their turns */
	struct scrub *scrub; /* NULL before the first tick with it */
	enum persist_method persist; /* what clients may do besides PERSIST_SERVER, or that */
	bool local; /* clients on this node may map slots */
	bool stores_persist; /* to slots, once they have left the caches: there is no page cache in between */
	uint32_t numa_node; /* of the pool's memory; NI_NUMA_UNKNOWN */
	bool stopping;
	uint64_t started_ns;
	uint64_t idle_since_ns; /* monotonic: the end of the last session, or the start */
	struct { /* since the start, for STAT */
		uint64_t commits, commit_bytes, commits_by[PERSIST_END], commits_local, aborts, takeovers, reads, refused_logins, hurried_logins,
		    bad_seals, ni_deaths, merges, merge_bytes;
	} counters;
};

/* Serves until SIGTERM or SIGINT. `ready` is called once clients may connect; it may fail. */
int server_run(struct server *server, int (*ready)(struct server *server, struct error *err),
	       struct error *err);

#endif
