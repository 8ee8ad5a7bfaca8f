/* SPDX-License-Identifier: BSD-3-Clause */
/* session.c - attaching to a region, and attaching again. */
#include "client/session.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sodium.h>
#include "client/embedded.h"
#include "common/clock.h"
#include "common/identity.h"

#define TIMEOUT_MS	  10000u
#define RECONNECT_MS	  30000u
#define CONNECT_MS	  5000u /* of timeout_ms, for one connection and its handshake */
#define FIRST_MS	  5000u /* for a first attachment to come about */
#define PAUSE_MS	  100u
#define LOCAL_MS	  2000u /* for the data plane of this node, before that of others is taken */
#define SLOW_BYTES_PER_MS 20000u

uint64_t session_deadline(const struct client *client, uint64_t bytes)
{
	return deadline_in_ms(client->options.timeout_ms + bytes / SLOW_BYTES_PER_MS);
}

void session_drop(struct client *client)
{
	if (client->conn)
		client->net->close(client->conn);
	client->conn = NULL;
	control_close(&client->control);
	client->attached = false;
}

void client_forget(struct client *client, const void *at, uint64_t bytes)
{
	if (client->conn && bytes)
		client->net->forget_local(client->conn, at, bytes);
}

/* The server's own -EACCES, in here: it means what it says, unlike the fabric's of a session that was dropped. */
#define REFUSED (-EKEYREJECTED)

static int refusal_told(int rc)
{
	return rc == REFUSED ? -EACCES : rc;
}

/* Errors after which the same thing may go well on a new session. */
static bool is_transient(const struct client *client, int rc)
{
	switch (rc) {
	case -ECONNRESET:
	case -ECONNREFUSED:
	case -ECONNABORTED:
	case -ECANCELED:
	case -ENETRESET:
	case -ENETUNREACH:
	case -EHOSTUNREACH:
	case -ENOTCONN:
	case -EPIPE:
	case -ENXIO:
	case -ETIMEDOUT:
		return true;
	case -EPROTO: /* it was a pmu-server before, and may be one again */
		return !client->attached && client->generation;
	case -EIO:
	case -EACCES: /* of the fabric */
		return !client->attached;
	default:
		return false;
	}
}

/* A wildcard IP in the data plane's address stands for that of the control connection. */
static void fill_address(struct net_address *data, const struct control *control)
{
	const struct sockaddr *peer = (const struct sockaddr *)&control->peer.storage;
	struct sockaddr_storage storage = {0};
	struct sockaddr_in *in = (struct sockaddr_in *)&storage;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&storage;

	if (data->bytes > sizeof(storage))
		return;
	memcpy(&storage, data->raw, data->bytes);
	if (data->bytes == sizeof(*in) && in->sin_family == AF_INET &&
	    in->sin_addr.s_addr == htonl(INADDR_ANY))
		in->sin_addr.s_addr = peer->sa_family == AF_INET
					      ? ((const struct sockaddr_in *)peer)->sin_addr.s_addr
					      : htonl(INADDR_LOOPBACK);
	else if (data->bytes == sizeof(*in6) && in6->sin6_family == AF_INET6 &&
		 IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr))
		in6->sin6_addr = peer->sa_family == AF_INET6
					 ? ((const struct sockaddr_in6 *)peer)->sin6_addr
					 : in6addr_loopback;
	memcpy(data->raw, &storage, data->bytes);
}

/* As the server offers, where this end can do it; else as is always right. */
static enum persist_method persist_agree(const struct client *client, const char *offered)
{
	enum persist_method method = persist_find(offered);
	struct net_limits limits;

	client->net->limits(client->conn, &limits);
	if (limits.persist & 1u << PERSIST_STORE)
		method = PERSIST_STORE;
	if (method == PERSIST_END || client->persist_failed || !(limits.persist & 1u << method))
		return PERSIST_SERVER;
	return method;
}

/* As a process on the server's own node, where it is one. */
static int local_connect(struct client *client, const struct net_params *params, const struct wire_open_reply *reply,
			 uint64_t deadline, struct error *err)
{
	int rc = net_local.connect(params, &reply->local, reply->token, deadline, &client->conn, err);

	if (!rc)
		client->net = &net_local;
	return rc;
}

static int data_connect(struct client *client, struct wire_open_reply *reply, uint64_t deadline,
			struct error *err)
{
	const struct client_options *options = &client->options;
	bool own = options->provider && *options->provider, named = options->net && *options->net;
	struct net_params params = {
		.provider = own ? options->provider : reply->provider,
		.device = options->device,
		.chunk_bytes = options->chunk_bytes,
		.block_bytes = options->block_bytes,
		.window = options->window,
		.round_trip_us = control_round_trip_us(&client->control),
		.threads = options->pace_bytes ? 1 : options->threads,
	};
	bool chosen = named || own || (options->device && *options->device);
	const char *name = named ? options->net : reply->net;
	int rc;

	if (reply->local.bytes && (!chosen || !strcmp(name, net_local.name))) {
		rc = local_connect(client, &params, reply, chosen ? deadline : deadline_in_ms(LOCAL_MS), err);
		if (!rc || chosen)
			return rc;
	}
	client->net = net_find(name);
	if (client->net && strcmp(name, net_local.name) && strcmp(name, reply->net))
		return error_set(err, -EINVAL, "the server's data plane is '%s', and the variable 'net' asks for '%s': leave it "
				 "unset", reply->net, name);
	if (!client->net)
		return error_set(err, -EINVAL,
				 "there is no data plane '%s' here: set the variable 'net', or install the "
				 "server's release",
				 name);
	fill_address(&reply->address, &client->control);
	return client->net->connect(&params, &reply->address, reply->token, deadline, &client->conn, err);
}

static int open_region(struct client *client, uint64_t deadline, struct wire_open_reply *reply,
		       struct error *err)
{
	const struct client_identity *identity = &client->identity;
	struct wire_open open = {
		.rank = identity->rank,
		.ranks = identity->ranks,
		.mode = identity->mode,
		.incarnation = identity->incarnation,
		.generation = client->generation,
		.uid = client->owner,
		.flags = (identity->force ? WIRE_OPEN_FORCE : 0u) |
			 (client->generation ? WIRE_OPEN_REATTACH : 0u),
	};
	int rc;

	strncpy(open.job, client->job, sizeof(open.job) - 1);
	memcpy(open.launch, identity->launch, sizeof(open.launch));
	memcpy(open.client, client->id, sizeof(open.client));
	rc = control_call(&client->control, WIRE_OPEN, wire_open_fields, &open, wire_open_reply_fields,
			  reply, deadline, err);
	if (rc != -ENOENT)
		return rc;
	if (client->generation)
		return error_set(err, -ESTALE, "the region of rank %u of job '%s' was removed from the "
				 "server while this process wrote it", identity->rank, client->job);
	rc = control_call(&client->control, WIRE_CREATE, wire_open_fields, &open, wire_open_reply_fields,
			  reply, deadline, err);
	return rc == -EEXIST ? -EAGAIN : rc; /* somebody was faster: open it */
}

static void fence(struct client *client, const struct error *err)
{
	client->fenced = true;
	client->fence = *err;
}

static int server_connect(struct client *client, struct error *err)
{
	uint64_t timeout_ms = client->options.timeout_ms;

	if (timeout_ms > CONNECT_MS)
		timeout_ms = CONNECT_MS;
	return control_connect(&client->options, deadline_in_ms(timeout_ms), &client->control, err);
}

/* Where the server is this node's own, one that is gone, or was just going, is started again. */
static int server_connect_again(struct client *client, struct error *err)
{
	int rc = server_connect(client, err);

	if (!client->options.embedded || (rc != -ENXIO && rc != -ECONNABORTED))
		return rc;
	rc = embedded_find_or_start(client->options.embedded, err);
	return rc ? rc : server_connect(client, err);
}

static int attach(struct client *client, struct error *err)
{
	struct wire_open_reply reply = {0};
	struct set_info *sets = NULL;
	uint64_t deadline;
	int rc;

	session_drop(client);
	rc = server_connect_again(client, err);
	if (rc == -EACCES)
		error_context(err, "login");
	deadline = deadline_in_ms(client->options.timeout_ms);
	if (!rc)
		rc = open_region(client, deadline, &reply, err);
	if (rc == -EACCES)
		rc = REFUSED;
	if (!rc)
		rc = data_connect(client, &reply, deadline, err);
	if (rc == -ESTALE)
		fence(client, err);
	if (!rc) {
		sets = realloc(client->sets, (reply.set_count + 1) * sizeof(*sets));
		if (!sets)
			rc = error_nomem(err, "a list of sets");
	}
	if (rc) {
		wire_open_reply_free(&reply);
		session_drop(client);
		return rc;
	}
	client->attached = true;
	client->persist = persist_agree(client, reply.persist);
	client->generation = reply.generation;
	client->launch_generation = reply.launch_generation;
	client->set_count = reply.set_count;
	client->log_room = reply.log_room;
	client->sets = sets;
	for (uint32_t i = 0; i < reply.set_count; i++)
		sets[i] = reply.sets[i];
	wire_open_reply_free(&reply);
	return 0;
}

int session_retry(struct client *client, session_attempt_fn *attempt, void *arg, struct error *err)
{
	uint64_t deadline = deadline_in_ms(client->options.reconnect_ms);
	bool was_attached;
	int rc;

	for (;;) {
		if (client->fenced) {
			*err = client->fence;
			return err->code;
		}
		was_attached = client->attached;
		rc = was_attached ? 0 : attach(client, err);
		if (!rc) {
			rc = attempt(client, arg, err);
			/* The time without a server counts from here. */
			deadline = was_attached || !rc ? deadline_in_ms(client->options.reconnect_ms)
						       : deadline;
		}
		if (!is_transient(client, rc) && rc != -EBUSY && rc != -EAGAIN)
			break;
		session_drop(client);
		if (!deadline_left_ms(deadline))
			return error_context(err, "the server was away for more than %llu s",
					     (unsigned long long)client->options.reconnect_ms / 1000);
		deadline_sleep_ms(deadline, PAUSE_MS);
	}
	return refusal_told(rc);
}

int session_try(struct client *client, session_attempt_fn *attempt, void *arg, struct error *err)
{
	int rc;

	if (client->fenced) {
		*err = client->fence;
		return err->code;
	}
	rc = client->attached ? 0 : attach(client, err);
	if (!rc)
		rc = attempt(client, arg, err);
	if (client->control.fd < 0 || is_transient(client, rc))
		session_drop(client);
	return refusal_told(rc);
}

/* ---- client.h ---- */

static int first_attach(struct client *client, struct error *err)
{
	uint64_t deadline = deadline_in_ms(FIRST_MS);
	bool replaced = false; /* a NI, while we waited for it */
	int rc;

	for (;;) {
		rc = attach(client, err);
		/* The server may be starting anew, a former primary may be dying. Not for long: the address
		 * may be wrong as well, or the primary well. */
		if (rc == -ETIMEDOUT || (!is_transient(client, rc) && rc != -EBUSY && rc != -EAGAIN))
			break;
		/* The server took its time to find out that its NI is dead. The next one has a time of its own. */
		if (rc == -ENETRESET && !replaced) {
			replaced = true;
			deadline = deadline_in_ms(FIRST_MS);
		}
		if (!deadline_left_ms(deadline))
			break;
		deadline_sleep_ms(deadline, PAUSE_MS);
	}
	return refusal_told(rc);
}

int client_open(const struct client_options *options, const struct client_identity *identity,
		struct client **out, struct error *err)
{
	struct client *client = calloc(1, sizeof(*client));
	int rc;

	if (!client)
		return error_nomem(err, "a client");
	client->options = *options;
	client->identity = *identity;
	client->control.fd = -1;
	if (!client->options.timeout_ms)
		client->options.timeout_ms = TIMEOUT_MS;
	if (!client->options.reconnect_ms)
		client->options.reconnect_ms = RECONNECT_MS;
	if (!client->options.block_bytes)
		client->options.block_bytes = SET_BLOCK_DEFAULT;
	client->job = strdup(identity->job);
	if (!client->job || sodium_init() < 0) {
		rc = error_nomem(err, "a client");
		goto err_free;
	}
	if (!wire_job_name_ok(client->job)) {
		rc = error_set(err, -EINVAL,
			       "'%s' cannot name a job: 1 to %d bytes, without '/' and control characters",
			       client->job, JOB_NAME_BYTES - 1);
		goto err_free;
	}
	client->owner = WIRE_UID_SELF;
	if (identity->owner && *identity->owner && identity_user(identity->owner, &client->owner)) {
		rc = error_set(err, -EINVAL, "there is no user '%s', who would own job '%s': write a name or a uid (variable "
			       "'owner')", identity->owner, client->job);
		goto err_free;
	}
	if (!set_block_ok(client->options.block_bytes)) {
		rc = error_set(err, -EINVAL, "blocks of %llu bytes; a power of 2 from %u to %u is needed",
			       (unsigned long long)client->options.block_bytes, SET_BLOCK_MIN, SET_BLOCK_MAX);
		goto err_free;
	}
	randombytes_buf(client->id, sizeof(client->id));
	rc = first_attach(client, err);
	if (rc)
		goto err_free;
	*out = client;
	return 0;

err_free:
	free(client->job);
	free(client);
	return rc;
}

static int drop_attempt(struct client *client, void *arg, struct error *err)
{
	struct wire_target target = {.uid = WIRE_UID_SELF};

	(void)arg;
	return control_call(&client->control, WIRE_DROP, wire_target_fields, &target, wire_nothing_fields,
			    NULL, session_deadline(client, 0), err);
}

int client_close(struct client *client, bool finished, struct error *err)
{
	int rc = 0;

	if (!client)
		return 0;
	if (finished)
		rc = session_retry(client, drop_attempt, NULL, err);
	session_drop(client);
	free(client->sets);
	free(client->job);
	free(client);
	return rc;
}

uint32_t client_chain(const struct client *client)
{
	return client->chain;
}

size_t client_sets(const struct client *client, const struct set_info **sets)
{
	*sets = client->sets;
	return client->set_count;
}

uint64_t client_generation(const struct client *client)
{
	return client->generation;
}

uint64_t client_launch_generation(const struct client *client)
{
	return client->launch_generation;
}

static int refresh_attempt(struct client *client, void *arg, struct error *err)
{
	bool *fresh = arg;

	(void)client;
	/* OPEN's reply has the list: a session that was just attached knows it. */
	if (*fresh)
		return 0;
	*fresh = true;
	return error_set(err, -ECONNRESET, "the list of sets is asked for again");
}

int client_refresh(struct client *client, struct error *err)
{
	bool fresh = !client->attached;

	return session_retry(client, refresh_attempt, &fresh, err);
}
