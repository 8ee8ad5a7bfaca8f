/* SPDX-License-Identifier: BSD-3-Clause */
/* verbs_probe.c - whether a device's memory windows protect: tried, since nothing that a device says proves it. */
#include "net/verbs_target.h"

#include <errno.h>
#include <netdb.h>
#include <sodium.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"

#define PROBE_MS 3000
#define BYTES	 256
#define BEFORE	 0x11
#define AFTER	 0x22

struct probe {
	struct net_target *target;
	struct net_address address;
	uint64_t deadline, peers;
	uint8_t memory[BYTES], local[BYTES];
};

static struct net_conn *probe_connect(struct probe *p)
{
	const struct net_params params = {.node = NULL};
	uint8_t token[NET_TOKEN_BYTES];
	struct net_conn *conn = NULL;
	struct error err;

	randombytes_buf(token, sizeof(token));
	if (verbs_target_admit(p->target, ++p->peers, 0, token, &err) ||
	    verbs_connect(&params, &p->address, token, p->deadline, &conn, &err)) {
		log_debug("data plane: the probe of memory windows: %s", err.text);
		return NULL;
	}
	return conn;
}

static bool probe_write(struct probe *p, struct net_conn *conn, const struct net_key *key)
{
	struct net_transfer transfer = {.local = p->local, .bytes = BYTES, .write = true}, *done;
	void *registration;
	bool written;

	if (verbs_register_local(conn, p->local, BYTES, NET_SOURCE, &registration, NULL))
		return false;
	written = !verbs_submit(conn, key, &transfer, NULL) && verbs_reap(conn, &done, 1, p->deadline, NULL) == 1 &&
		  !transfer.status;
	verbs_unregister_local(conn, registration);
	return written;
}

static bool unchanged(const struct probe *p)
{
	for (unsigned i = 0; i < BYTES; i++) {
		if (p->memory[i] != BEFORE)
			return false;
	}
	return true;
}

/* A window takes writes of its own peer, none of another, and none once it is revoked. */
static bool probe_run(struct probe *p)
{
	struct net_conn *own = probe_connect(p), *other = probe_connect(p);
	struct net_grant *grant = NULL;
	struct net_key key;
	struct error err = {0};
	bool works = false;

	if (!own || !other || verbs_expose(p->target, 1, p->memory, BYTES, NET_WRITE, &grant, &key, &err)) {
		log_debug("data plane: the probe of memory windows: %s", err.text);
		goto out;
	}
	memset(p->local, AFTER, BYTES);
	memset(p->memory, BEFORE, BYTES);
	if (probe_write(p, other, &key) || !unchanged(p))
		goto out;
	if (!probe_write(p, own, &key) || memcmp(p->memory, p->local, BYTES) != 0)
		goto out;
	verbs_revoke(grant);
	grant = NULL;
	memset(p->memory, BEFORE, BYTES);
	works = !probe_write(p, own, &key) && unchanged(p);
out:
	verbs_revoke(grant);
	verbs_disconnect(own);
	verbs_disconnect(other);
	return works;
}

bool verbs_probe_windows(const struct sockaddr *address)
{
	struct probe p = {.deadline = deadline_in_ms(PROBE_MS)};
	struct net_params params = {.threads = 1};
	struct error err = {0};
	char node[NI_MAXHOST];
	bool works;

	if (getnameinfo(address, verbs_sockaddr_bytes(address), node, sizeof(node), NULL, 0, NI_NUMERICHOST))
		return false;
	params.node = node;
	if (verbs_listen_with(&params, WINDOWS_TRUSTED, &p.target, &p.address, &err)) {
		log_debug("data plane: the probe of memory windows: %s", err.text);
		return false;
	}
	works = probe_run(&p);
	verbs_target_close(p.target);
	return works;
}
