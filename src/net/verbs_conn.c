/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verbs_conn.c - the initiator's half: one connection, over all rails that there are, owned by one thread at a time. A
 * rail that is lost later takes the connection with it; the next one does without, if it is still away.
 */
#include "net/verbs_conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"

#define FURTHER_RAIL_MS 3000u /* to connect over a rail, once there is one */

/* An application that forks keeps its memory: newer kernels see to that, older ones must be asked in time. */
static void prepare_for_forks(void)
{
	if (ibv_is_fork_initialized() == IBV_FORK_DISABLED && ibv_fork_init())
		log_debug("verbs: memory was registered before fork support was asked for; a child may lack pages");
}

/* The name for the rail of this number, of a list with commas between that is taken round and round; NULL: none. */
static const char *device_name(const char *list, unsigned number, char *name, size_t bytes)
{
	const char *at = list;

	if (!list || !*list)
		return NULL;
	while (number--) {
		at = strchr(at, ',');
		at = at ? at + 1 : list;
	}
	snprintf(name, bytes, "%.*s", (int)strcspn(at, ","), at);
	return name;
}

static int conn_add_rail(struct net_conn *conn, const struct net_params *params, unsigned number,
			 struct sockaddr_storage *to, const uint8_t token[NET_TOKEN_BYTES], uint64_t deadline,
			 struct error *err)
{
	const char *used[NET_RAILS_MAX] = {NULL};
	struct rail *rail = &conn->rails[conn->rail_count];
	char name[IBV_SYSFS_NAME_MAX + 16];
	int rc;

	for (unsigned i = 0; i < conn->rail_count; i++)
		used[i] = verbs_rail_device(&conn->rails[i]);
	rc = verbs_rail_open(rail, params, device_name(params->device, number, name, sizeof(name)), used, to, token,
			     deadline, &conn->memory, err);
	if (rc)
		return rc;
	rail->number = number;
	conn->rail_count++;
	return 0;
}

static unsigned rail_ms(const struct net_conn *conn, unsigned rails_left, uint64_t deadline)
{
	unsigned left_ms = (unsigned)deadline_left_ms(deadline);

	if (!conn->rail_count)
		return left_ms / rails_left;
	return left_ms < FURTHER_RAIL_MS ? left_ms : FURTHER_RAIL_MS;
}

/* What all rails can, and their windows together. */
static void conn_limit(struct net_conn *conn)
{
	struct net_limits *limits = &conn->limits;

	*limits = conn->rails[0].limits;
	for (unsigned i = 1; i < conn->rail_count; i++) {
		const struct net_limits *other = &conn->rails[i].limits;

		if (other->chunk_bytes < limits->chunk_bytes)
			limits->chunk_bytes = other->chunk_bytes;
		limits->window += other->window;
		limits->persist &= other->persist;
		limits->seals = limits->seals && other->seals;
	}
}

int verbs_connect(const struct net_params *params, const struct net_address *address,
		  const uint8_t token[NET_TOKEN_BYTES], uint64_t deadline, struct net_conn **out,
		  struct error *err)
{
	struct sockaddr_storage to[NET_RAILS_MAX];
	struct error failed[NET_RAILS_MAX] = {0};
	int rails = verbs_sockaddrs(address, to, err), rc = 0;
	struct net_conn *conn;

	if (rails < 0)
		return rails;
	conn = calloc(1, sizeof(*conn));
	if (!conn)
		return error_nomem(err, "a connection");
	prepare_for_forks();
	for (unsigned i = 0; i < (unsigned)rails; i++) {
		uint64_t until = deadline_in_ms(rail_ms(conn, (unsigned)rails - i, deadline));

		rc = conn_add_rail(conn, params, i, &to[i], token, until, &failed[i]);
	}
	if (!conn->rail_count) {
		if (err)
			*err = failed[rails - 1];
		free(conn);
		return rc;
	}
	for (unsigned i = 0; i < (unsigned)rails; i++)
		if (failed[i].code)
			log_warning("data plane: rail %u of %d is not used: %s", i + 1, rails, failed[i].text);
	conn_limit(conn);
	conn->first = token[0] % conn->rail_count;
	*out = conn;
	return 0;
}

void verbs_disconnect(struct net_conn *conn)
{
	if (!conn)
		return;
	for (unsigned i = 0; i < conn->rail_count; i++)
		verbs_rail_stop(&conn->rails[i]);
	verbs_memory_clear(&conn->memory);
	for (unsigned i = 0; i < conn->rail_count; i++)
		verbs_rail_close(&conn->rails[i]);
	free(conn);
}

void verbs_limits(const struct net_conn *conn, struct net_limits *limits)
{
	*limits = conn->limits;
}

int verbs_register_local(struct net_conn *conn, void *base, size_t bytes, unsigned use, void **registration,
			 struct error *err)
{
	struct verbs_range *range = NULL;
	int rc = verbs_memory_add(&conn->memory, base, bytes, use, &range, err);

	*registration = range;
	return rc;
}

void verbs_unregister_local(struct net_conn *conn, void *registration)
{
	if (registration)
		verbs_memory_drop(&conn->memory, registration);
}

void verbs_forget_local(struct net_conn *conn, const void *base, size_t bytes)
{
	verbs_memory_forget(&conn->memory, base, bytes);
}
