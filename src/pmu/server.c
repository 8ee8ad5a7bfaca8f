/* SPDX-License-Identifier: BSD-3-Clause */
/* server.c - the PMM's event loop: listeners, signals, start and stop. */
#include "pmu/server.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>
#include <event2/listener.h>
#include <sodium.h>
#include "common/address.h"
#include "common/clock.h"
#include "common/log.h"
#include "pmu/login.h"
#include "pmu/merge.h"
#include "pmu/ni_process.h"
#include "pmu/rights.h"
#include "pmu/scrub.h"
#include "pmu/session.h"
#include "pmu/trial.h"

#define LOGIN_TIMEOUT_NS 10000000000u
#define STOP_TIMEOUT_S	 10
#define ACCEPT_MOST	 16 /* before others have their turn */

struct listener {
	struct evconnlistener *listener;
	char socket_path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* "" unless a UNIX socket */
	unsigned accepted; /* in a row */
	struct event *again;
};

static struct listener listeners[CONF_LISTEN_MAX];

static void accept_again(evutil_socket_t fd, short events, void *arg)
{
	struct listener *l = arg;

	(void)fd;
	(void)events;
	l->accepted = 0;
	evconnlistener_enable(l->listener);
}

/* libevent would go on for as long as there is somebody, and nobody else would be served. */
static void accepted(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
		     int bytes, void *arg)
{
	struct address peer = {.bytes = (socklen_t)bytes};
	struct listener *l = listeners;

	while (l->listener != listener)
		l++;
	memcpy(&peer.storage, from, (size_t)bytes);
	session_accept(arg, fd, &peer);
	if (++l->accepted == ACCEPT_MOST) {
		evconnlistener_disable(listener);
		event_active(l->again, EV_TIMEOUT, 0);
	}
}

static void accept_failed(struct evconnlistener *listener, void *arg)
{
	(void)arg;
	log_warning("connections wait for the next second: one cannot be accepted: %s", strerror(errno));
	evconnlistener_disable(listener); /* until the next tick */
}

/* A socket file that a dead server left is removed; one that answers is not. */
static int unix_clear(const struct address *address, struct error *err)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&address->storage;
	struct stat st;
	int fd, rc;

	if (lstat(un->sun_path, &st))
		return 0;
	fd = S_ISSOCK(st.st_mode) ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
	if (fd < 0)
		return error_set(err, -EEXIST, "%s exists and is no socket", un->sun_path);
	rc = connect(fd, (const struct sockaddr *)un, address->bytes);
	close(fd);
	if (!rc)
		return error_set(err, -EADDRINUSE, "another server listens on unix:%s", un->sun_path);
	unlink(un->sun_path);
	return 0;
}

static int listen_address(const struct server *server, unsigned i, struct address *address,
			  struct error *err)
{
	if (address_parse(server->conf.listen[i], true, address, err))
		return error_context(err, "--listen");
	if (!server->auth->any_address && !address_is_local(address))
		return error_set(err, -EPERM,
				 "--auth none would let anybody in on %s: use it on loopback or a UNIX "
				 "socket, and --auth munge or psk elsewhere",
				 server->conf.listen[i]);
	return 0;
}

static int listen_on(struct server *server, unsigned i, struct error *err)
{
	struct listener *l = &listeners[i];
	char text[ADDRESS_TEXT_BYTES];
	struct address address;
	int rc;

	rc = listen_address(server, i, &address, err);
	if (rc)
		return rc;
	if (address.storage.ss_family == AF_UNIX) {
		rc = unix_clear(&address, err);
		if (rc)
			return rc;
		snprintf(l->socket_path, sizeof(l->socket_path), "%s",
			 ((struct sockaddr_un *)&address.storage)->sun_path);
	}
	l->listener = evconnlistener_new_bind(server->base, accepted, server,
					      LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC |
						      LEV_OPT_REUSEABLE,
					      1024, (struct sockaddr *)&address.storage,
					      (int)address.bytes);
	if (!l->listener)
		return error_set(err, -errno, "cannot listen on %s: %s", server->conf.listen[i],
				 strerror(errno));
	if (*l->socket_path)
		chmod(l->socket_path, 0666); /* whoever connects is known by the kernel */
	l->again = event_new(server->base, -1, 0, accept_again, l);
	if (!l->again)
		return error_nomem(err, "an event");
	evconnlistener_set_error_cb(l->listener, accept_failed);
	/* With port 0 the kernel chose one. */
	address.bytes = sizeof(address.storage);
	getsockname(evconnlistener_get_fd(l->listener), (struct sockaddr *)&address.storage,
		    &address.bytes);
	address_format(&address, text);
	free(server->conf.listen[i]);
	server->conf.listen[i] = strdup(text);
	if (!server->conf.listen[i])
		return error_nomem(err, "an address");
	log_info("listening on %s, authentication %s", text, server->auth->name);
	return 0;
}

/* Where the data plane listens, unless told: on the address of the first TCP listener. */
static int fabric_address(struct server *server, struct error *err)
{
	struct conf *conf = &server->conf;
	char *text, *colon;

	if (conf->fabric_listen)
		return 0;
	conf->fabric_listen = strdup("127.0.0.1");
	for (unsigned i = 0; i < conf->listen_count && conf->fabric_listen; i++) {
		if (!strncmp(conf->listen[i], "unix:", 5))
			continue;
		free(conf->fabric_listen);
		text = conf->listen[i] + (*conf->listen[i] == '[');
		conf->fabric_listen = text = strdup(text);
		colon = text ? strrchr(text, ':') : NULL;
		if (colon)
			colon[colon > text && colon[-1] == ']' ? -1 : 0] = '\0';
		break;
	}
	return conf->fabric_listen ? 0 : error_nomem(err, "an address");
}

static void listeners_close(void)
{
	for (unsigned i = 0; i < CONF_LISTEN_MAX; i++) {
		if (!listeners[i].listener)
			continue;
		evconnlistener_free(listeners[i].listener);
		listeners[i].listener = NULL;
		if (listeners[i].again)
			event_free(listeners[i].again);
		listeners[i].again = NULL;
		if (*listeners[i].socket_path)
			unlink(listeners[i].socket_path);
	}
}

/* ---- signals and time ---- */

static void stop(struct server *server)
{
	server->stopping = true;
	listeners_close();
	for (struct session *s = server->sessions; s; s = s->next) {
		/* A COMMIT that is on its way is finished and answered. */
		if (!s->busy || s->type != WIRE_COMMIT)
			session_close(s, "the server stops");
	}
	event_base_loopexit(server->base, &(struct timeval){STOP_TIMEOUT_S, 0});
	if (!server->session_count)
		event_base_loopbreak(server->base);
}

static void stop_signal(evutil_socket_t number, short events, void *arg)
{
	struct server *server = arg;

	(void)events;
	if (server->stopping)
		return;
	log_info("stopping on signal %d", (int)number);
	stop(server);
}

static bool is_idle_for_long(const struct server *server)
{
	uint64_t idle_ns = clock_monotonic_ns() - server->idle_since_ns;

	return server->conf.idle_exit_s && !server->session_count &&
	       idle_ns / 1000000000u >= server->conf.idle_exit_s;
}

/* Those of all users. Where one cannot be read, all that were there remain. */
static int keys_read(struct server *server, const struct conf *conf, struct error *err)
{
	const char *const files[AUTH_KEYS_MAX] = {conf->key_file, conf->old_key_file};
	struct auth_key keys[AUTH_KEYS_MAX];
	unsigned count = 0;
	int rc = 0;

	if (conf->user_keys && access(conf->user_keys, X_OK))
		return error_set(err, -errno, "--user-keys %s: %s; make the directory, for its owner only", conf->user_keys,
				 strerror(errno));
	for (unsigned i = 0; i < AUTH_KEYS_MAX && server->auth->needs_key && !rc; i++) {
		if (files[i])
			rc = auth_key_read(files[i], &keys[count++], err);
	}
	if (!rc) {
		memcpy(server->keys, keys, sizeof(keys));
		server->key_count = count;
	}
	sodium_memzero(keys, sizeof(keys));
	return rc;
}

static void reload(evutil_socket_t number, short events, void *arg)
{
	struct server *server = arg;
	struct conf fresh;
	struct error err;

	(void)number;
	(void)events;
	if (conf_read(server->argc, server->argv, &fresh, &err) || keys_read(server, &fresh, &err)) {
		log_error("the configuration is not read again: %s", err.text);
	} else {
		server->conf.log_level = fresh.log_level;
		server->conf.lease_s = fresh.lease_s;
		server->conf.max_sessions = fresh.max_sessions;
		server->conf.ni_timeout_s = fresh.ni_timeout_s;
		server->conf.check_blocks = fresh.check_blocks;
		server->conf.keep = fresh.keep;
		server->conf.keep_span_s = fresh.keep_span_s;
		server->conf.keep_spans = fresh.keep_spans;
		server->conf.merge_at = fresh.merge_at;
		server->conf.scrub_interval_s = fresh.scrub_interval_s;
		rights_take(&server->conf, &fresh);
		log_open("pmu-server", fresh.log_level, server->conf.syslog);
		log_info("configuration read again: keys, log-level, lease, max-sessions, ni-timeout, "
			 "check-blocks, keep, keep-span, keep-spans, merge-at, scrub-interval, admins and quotas are in force, the rest needs a new "
			 "start");
	}
	conf_free(&fresh);
}

static void tick(evutil_socket_t fd, short events, void *arg)
{
	struct server *server = arg;
	uint64_t now = clock_monotonic_ns();

	(void)fd;
	(void)events;
	for (struct session *s = server->sessions; s; s = s->next) {
		if (server->stopping && s->state != SESSION_CLOSED && !s->busy)
			session_close(s, "the server stops");
		else if (s->state < SESSION_READY && now - s->accepted_ns > LOGIN_TIMEOUT_NS)
			session_close(s, "it did not authenticate in time");
	}
	if (server->strangers > STRANGERS_TOLD)
		log_warning("%u more sent no request of ours, within a second", server->strangers - STRANGERS_TOLD);
	server->strangers = 0;
	for (unsigned i = 0; i < CONF_LISTEN_MAX; i++) {
		if (listeners[i].listener)
			evconnlistener_enable(listeners[i].listener);
	}
	if (!server->stopping) {
		merge_tick(server);
		scrub_tick(server);
	}
	if (!server->stopping && is_idle_for_long(server)) {
		log_info("stopping: there was no client for %llu s (--idle-exit)",
			 (unsigned long long)server->conf.idle_exit_s);
		stop(server);
	}
}

/* ---- start ---- */

/* The NUMA node of the (block) device below the pool, where the kernel knows it. */
static uint32_t numa_node_of(const char *name)
{
	static const char *const places[] = {"device/numa_node", "../device/numa_node",
					     "device/device/numa_node", "../device/device/numa_node"};
	struct stat st;
	char path[128];
	int node = -1;
	FILE *file;

	if (stat(name, &st))
		return NI_NUMA_UNKNOWN;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) && node < 0; i++) {
		if (S_ISCHR(st.st_mode))
			snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/numa_node", major(st.st_rdev),
				 minor(st.st_rdev));
		else
			snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(st.st_dev),
				 minor(st.st_dev), places[i]);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fscanf(file, "%d", &node) != 1)
			node = -1;
		fclose(file);
	}
	return node < 0 ? NI_NUMA_UNKNOWN : (uint32_t)node;
}

/* May clients make sets durable themselves? Where a page cache is in between, no. */
static int persist_check(const struct server *server, const struct pool_stat *stat, const char *slots,
			 struct error *err)
{
	if (server->persist == PERSIST_SERVER || stat->granularity != MEDIA_PAGE)
		return 0;
	return error_set(err, -EINVAL, "--persist %s is for slots on persistent memory (fsdax, devdax), which %s is not: "
			 "use --persist server", persist_name(server->persist), *stat->device ? stat->device : slots);
}

static int start(struct server *server, struct error *err)
{
	struct conf *conf = &server->conf;
	struct pool_params params = {
		.size_bytes = conf->size_bytes,
		.metadata_bytes = conf->metadata_bytes,
		.data = conf->data,
		.overwrite_device = conf->overwrite_device,
		.accept_damage = conf->accept_damage,
	};
	char slots[PATH_MAX];
	struct pool_stat stat;
	struct address address;
	int rc;

	server->auth = auth_find(conf->auth);
	if (!server->auth)
		return error_set(err, -EINVAL, "--auth: there is no method '%s'; use munge, psk or none",
				 conf->auth);
	if (!net_find(conf->net) || net_find(conf->net) == &net_local)
		return error_set(err, -EINVAL, "--net: there is no data plane '%s'", conf->net);
	server->persist = persist_find(conf->persist);
	if (server->persist == PERSIST_END || server->persist == PERSIST_STORE) /* that one is its clients' to choose */
		return error_set(err, -EINVAL, "--persist: there is no method '%s'; use server, flush or read",
				 conf->persist);
	if (server->persist != PERSIST_SERVER && !(net_find(conf->net)->persist & 1u << server->persist))
		return error_set(err, -EINVAL, "--persist %s: the data plane '%s' of this build cannot; %s", conf->persist,
				 conf->net, server->persist == PERSIST_FLUSH
						? "it takes --net verbs, built with an rdma-core that has ibv_wr_flush"
						: "it takes --net verbs");
	rc = keys_read(server, conf, err);
	if (rc)
		return rc;
	/* What is refused is refused before anything is made. */
	for (unsigned i = 0; i < conf->listen_count; i++) {
		rc = listen_address(server, i, &address, err);
		if (rc)
			return rc;
	}
	rc = pool_open(conf->pool, &params, &server->pool, err);
	if (rc)
		return rc;
	pool_limit_users(server->pool, rights_limits, server);
	pool_get_stat(server->pool, &stat);
	log_info("pool %s on %s: what is stored survives %s", stat.directory, stat.medium,
		 media_survives_text(stat.survives));
	if (*stat.device)
		log_info("slots lie on device %s; to make stores durable it takes a flush of %s", stat.device,
			 media_granularity_text(stat.granularity));
	snprintf(slots, sizeof(slots), "%s/%s", conf->pool, *stat.device ? "device" : "slots");
	/* A device's descriptor is that of all slots. */
	server->local = conf->local && !*stat.device;
	server->stores_persist = stat.granularity != MEDIA_PAGE;
	server->numa_node = numa_node_of(slots);
	rc = persist_check(server, &stat, slots, err);
	if (rc)
		return rc;
	for (unsigned i = 0; i < conf->listen_count; i++) {
		rc = listen_on(server, i, err);
		if (rc)
			return rc;
	}
	rc = login_start(server, err);
	if (!rc)
		rc = fabric_address(server, err);
	return rc ? rc : trial_run(server, err);
}

static void session_free_all(struct server *server)
{
	/* What is left was closed; nothing of it matters any more. */
	struct session *session;

	while ((session = server->sessions)) {
		server->sessions = session->next;
		if (session->connection)
			bufferevent_free(session->connection);
		free(session->commit.set.segments);
		free(session->groups);
		event_free(session->end);
		free(session);
	}
}

int server_run(struct server *server, int (*ready)(struct server *server, struct error *err),
	       struct error *err)
{
	struct event *events[4];
	int rc = 0;

	server->started_ns = clock_monotonic_ns();
	server->base = event_base_new();
	if (!server->base)
		return error_nomem(err, "an event loop");
	events[0] = evsignal_new(server->base, SIGTERM, stop_signal, server);
	events[1] = evsignal_new(server->base, SIGINT, stop_signal, server);
	events[2] = evsignal_new(server->base, SIGHUP, reload, server);
	events[3] = event_new(server->base, -1, EV_PERSIST, tick, server);
	for (unsigned i = 0; i < 4; i++) {
		if (!events[i] || event_add(events[i], i == 3 ? &(struct timeval){1, 0} : NULL))
			rc = error_nomem(err, "an event");
	}
	if (!rc)
		rc = start(server, err);
	if (!rc)
		rc = ready(server, err);
	server->idle_since_ns = clock_monotonic_ns();
	if (!rc)
		event_base_dispatch(server->base);
	listeners_close();
	server->stopping = true;
	ni_process_stop_all(server);
	merge_free_all(server);
	scrub_free(server);
	session_free_all(server);
	login_stop(server);
	for (unsigned i = 0; i < 4; i++) {
		if (events[i])
			event_free(events[i]);
	}
	event_base_free(server->base);
	pool_close(server->pool);
	if (!rc)
		log_info("stopped; the pool is closed");
	return rc;
}
