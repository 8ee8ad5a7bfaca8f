/* SPDX-License-Identifier: BSD-3-Clause */
/* control.c - the control connection from the client's side. */
#include "client/control.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/tcp.h> /* knows more of a connection than netinet/tcp.h */
#include <sodium.h>
#include "common/clock.h"
#include "common/identity.h"
#include "wire/auth.h"

#define KEEPALIVE_IDLE_S     4
#define KEEPALIVE_INTERVAL_S 2
#define KEEPALIVE_COUNT	     3

void control_close(struct control *control)
{
	if (control->fd >= 0)
		close(control->fd);
	control->fd = -1;
	sodium_memzero(&control->seal, sizeof(control->seal));
}

unsigned control_round_trip_us(const struct control *control)
{
	struct tcp_info info = {0};
	socklen_t bytes = sizeof(info);

	if (control->peer.storage.ss_family == AF_UNIX)
		return 1;
	if (getsockopt(control->fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) ||
	    bytes < offsetof(struct tcp_info, tcpi_min_rtt) + sizeof(info.tcpi_min_rtt))
		return 0;
	return info.tcpi_min_rtt ? info.tcpi_min_rtt : 1;
}

/* ---- bytes, before a deadline ---- */

static int wait_for(struct control *control, short events, uint64_t deadline, struct error *err)
{
	struct pollfd pfd = {control->fd, events, 0};
	int n;

	do {
		n = poll(&pfd, 1, deadline_left_ms(deadline));
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		return 0;
	return error_set(err, n ? -errno : -ETIMEDOUT, "%s does not answer in time", control->server);
}

static int lost(const struct control *control, int code, struct error *err)
{
	return error_set(err, -ECONNRESET, "the connection to %s is lost (%s)", control->server,
			 code ? strerror(code) : "closed by the server");
}

static int send_all(struct control *control, const uint8_t *at, size_t bytes, uint64_t deadline,
		    struct error *err)
{
	ssize_t n;
	int rc;

	while (bytes) {
		n = send(control->fd, at, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0) {
			at += n;
			bytes -= (size_t)n;
		} else if (errno == EAGAIN) {
			rc = wait_for(control, POLLOUT, deadline, err);
			if (rc)
				return rc;
		} else if (errno != EINTR) {
			return lost(control, errno, err);
		}
	}
	return 0;
}

static int receive_all(struct control *control, uint8_t *at, size_t bytes, uint64_t deadline,
		       struct error *err)
{
	ssize_t n;
	int rc;

	while (bytes) {
		n = recv(control->fd, at, bytes, MSG_DONTWAIT);
		if (n > 0) {
			at += n;
			bytes -= (size_t)n;
		} else if (n && errno == EAGAIN) {
			rc = wait_for(control, POLLIN, deadline, err);
			if (rc)
				return rc;
		} else if (!n || errno != EINTR) {
			return lost(control, n ? errno : 0, err);
		}
	}
	return 0;
}

/* ---- requests ---- */

/* *frame is malloced: the header again, payload, seal. */
static int reply_receive(struct control *control, struct wire_header *header, uint8_t **frame,
			 uint64_t deadline, struct error *err)
{
	uint8_t bytes[WIRE_HEADER_BYTES];
	struct cursor c;
	size_t whole;
	int rc;

	rc = wait_for(control, POLLIN, deadline, err);
	if (!rc)
		rc = receive_all(control, bytes, sizeof(bytes), deadline, err);
	if (rc)
		return rc;
	c = cursor_unpack(bytes, sizeof(bytes));
	wire_header_fields(&c, header);
	rc = wire_header_check(header, err);
	if (rc)
		return error_set(err, rc, "what listens at %s is no pmu-server of this version (%s): check "
				 "the address and port", control->server, err->text);
	whole = sizeof(bytes) + header->bytes;
	*frame = malloc(whole + SEAL_BYTES);
	if (!*frame)
		return error_nomem(err, "a reply");
	memcpy(*frame, bytes, sizeof(bytes));
	rc = receive_all(control, *frame + sizeof(bytes), header->bytes + seal_bytes(&control->seal), deadline, err);
	if (!rc && !seal_check(&control->seal, *frame, whole))
		rc = error_set(err, -ECONNRESET, "the connection to %s is lost (a reply was altered on its way)",
			       control->server);
	return rc;
}

int control_call(struct control *control, enum wire_type type, wire_fields_fn *fields, void *message,
		 wire_fields_fn *reply_fields, void *reply, uint64_t deadline, struct error *err)
{
	struct wire_header header = {.type = (uint16_t)type, .id = ++control->last_id}, answer;
	uint8_t *frame, *answered = NULL;
	const uint8_t *payload;
	size_t bytes;
	int rc;

	if (control->fd < 0)
		return lost(control, ENOTCONN, err);
	frame = wire_frame(&header, fields, message, NULL, &bytes);
	if (!frame)
		return error_nomem(err, "a request");
	seal_set(&control->seal, frame, bytes);
	rc = send_all(control, frame, bytes + seal_bytes(&control->seal), deadline, err);
	free(frame);
	if (!rc)
		rc = reply_receive(control, &answer, &answered, deadline, err);
	if (!rc && (answer.type != (type | WIRE_REPLY) || answer.id != header.id))
		rc = error_set(err, -EPROTO, "%s answers %s with something else", control->server,
			       wire_type_name(type));
	if (rc) {
		control_close(control);
		free(answered);
		return rc;
	}
	payload = answered + WIRE_HEADER_BYTES;
	if (answer.status)
		rc = wire_error(&answer, payload, err);
	else if (wire_unpack(payload, answer.bytes, reply_fields, reply))
		rc = error_set(err, -EPROTO, "%s sends a malformed reply to %s", control->server,
			       wire_type_name(type));
	free(answered);
	return rc;
}

/* ---- connect ---- */

static void socket_options(int fd)
{
	int on = 1, user_timeout_ms =
			    1000 * (KEEPALIVE_IDLE_S + KEEPALIVE_INTERVAL_S * KEEPALIVE_COUNT);

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){KEEPALIVE_IDLE_S}, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &(int){KEEPALIVE_INTERVAL_S}, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &(int){KEEPALIVE_COUNT}, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof(user_timeout_ms));
}

/* TCP connects a port of those that it gives out itself to that same port, now and then, where nobody listens (simultaneous
 * open, RFC 9293 3.5). */
static bool is_self(int fd)
{
	struct sockaddr_storage own = {0}, peer = {0};
	socklen_t own_bytes = sizeof(own), peer_bytes = sizeof(peer);

	return !getsockname(fd, (struct sockaddr *)&own, &own_bytes) &&
	       !getpeername(fd, (struct sockaddr *)&peer, &peer_bytes) && own.ss_family != AF_UNIX &&
	       own_bytes == peer_bytes && !memcmp(&own, &peer, own_bytes);
}

static int socket_connect(struct control *control, uint64_t deadline, struct error *err)
{
	const struct sockaddr *to = (const struct sockaddr *)&control->peer.storage;
	socklen_t bytes = sizeof(int);
	int code = 0, rc;

	control->fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (control->fd < 0)
		return error_set(err, -errno, "socket: %s", strerror(errno));
	if (to->sa_family != AF_UNIX)
		socket_options(control->fd);
	if (connect(control->fd, to, control->peer.bytes)) {
		if (errno != EINPROGRESS && errno != EAGAIN) {
			code = errno;
		} else {
			rc = wait_for(control, POLLOUT, deadline, err);
			if (rc)
				return error_set(err, rc, "%s cannot be reached: no answer in time. Check "
						 "the address, the network and any firewall",
						 control->server);
			getsockopt(control->fd, SOL_SOCKET, SO_ERROR, &code, &bytes);
		}
	}
	if (!code && is_self(control->fd))
		code = ECONNREFUSED;
	if (code)
		return error_set(err, -ENXIO,
				 "%s cannot be reached: %s. Is pmu-server running there, and is this its "
				 "address and port?",
				 control->server, strerror(code));
	return 0;
}

static void hello_fill(struct wire_hello *hello, const struct auth_ops *auth)
{
	*hello = (struct wire_hello){
		.version_min = WIRE_VERSION,
		.version_max = WIRE_VERSION,
		.uid = geteuid(),
		.gid = getegid(),
		.pid = (uint32_t)getpid(),
	};
	snprintf(hello->auth, sizeof(hello->auth), "%s", auth->name);
	gethostname(hello->host, sizeof(hello->host) - 1);
	randombytes_buf(hello->nonce, sizeof(hello->nonce));
}

/* Of the server that may know who we are; ours, which is trusted anyway, where there is no such user. */
static uint32_t server_uid(const char *user)
{
	uint32_t uid;

	return user && *user && !identity_user(user, &uid) ? uid : geteuid();
}

static int authenticate(struct control *control, const struct auth_ops *auth, const struct client_options *options,
			const struct auth_key *key, uint64_t deadline, struct error *err)
{
	struct wire_hello hello;
	struct wire_hello_reply challenge = {0};
	struct wire_proof proof = {0}, answer = {0};
	struct auth_exchange exchange = {
		.hello = &hello,
		.reply = &challenge,
		.keys = {key},
		.key_count = 1,
		.munge_socket = options->munge_socket,
		.server_uid = server_uid(options->server_user),
	};
	int rc;

	hello_fill(&hello, auth);
	rc = control_call(control, WIRE_HELLO, wire_hello_fields, &hello, wire_hello_reply_fields,
			  &challenge, deadline, err);
	if (rc == -ETIMEDOUT || rc == -ECONNRESET)
		return error_set(err, rc == -ECONNRESET ? -ECONNABORTED : rc,
				 "what listens at %s does not answer like a pmu-server: check the address "
				 "and port",
				 control->server);
	if (!rc)
		rc = auth->prove(&exchange, &proof, err);
	if (!rc)
		rc = control_call(control, WIRE_PROOF, wire_proof_fields, &proof, wire_proof_fields,
				  &answer, deadline, err);
	if (!rc)
		rc = auth->confirm(&exchange, &answer, err);
	/* Nobody is between the two ends of a UNIX socket. */
	if (!rc && auth->seals && control->peer.storage.ss_family != AF_UNIX)
		seal_begin(&control->seal, false, exchange.session_key);
	sodium_memzero(&exchange, sizeof(exchange));
	return rc;
}

int control_connect(const struct client_options *options, uint64_t deadline, struct control *control,
		    struct error *err)
{
	const struct auth_ops *auth = auth_find(options->auth);
	struct auth_key key = {0};
	int rc;

	*control = (struct control){.fd = -1, .server = options->server};
	if (sodium_init() < 0)
		return error_set(err, -EIO, "libsodium cannot be initialized");
	if (!auth)
		return error_set(err, -EINVAL, "there is no authentication '%s': use munge, psk or none",
				 options->auth);
	if (auth->needs_key && !(options->key_file && *options->key_file))
		return error_set(err, -EINVAL, "authentication %s needs a key: set 'key_file'",
				 auth->name);
	if (auth->needs_key) {
		rc = auth_key_read(options->key_file, &key, err);
		if (rc)
			return rc;
	}
	rc = address_parse(options->server, false, &control->peer, err);
	if (!rc)
		rc = socket_connect(control, deadline, err);
	if (!rc)
		rc = authenticate(control, auth, options, &key, deadline, err);
	sodium_memzero(&key, sizeof(key));
	if (rc)
		control_close(control);
	return rc;
}
