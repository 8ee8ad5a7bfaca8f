/* SPDX-License-Identifier: BSD-3-Clause */
/* login.c - HELLO and PROOF: who a client is. */
#include "pmu/login.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sodium.h>
#include "common/log.h"
#include "common/worker.h"
#include "pmu/request.h"
#include "pmu/server.h"

#define LOGIN_THREADS 4

void request_hello(struct session *session, const void *payload, size_t bytes)
{
	struct wire_hello *hello = &session->hello;
	struct wire_hello_reply *challenge = &session->challenge;
	const struct auth_ops *auth = session->server->auth;
	struct error err;

	if (!request_unpack(session, payload, bytes, wire_hello_fields, hello))
		return;
	if (hello->version_min > WIRE_VERSION || hello->version_max < WIRE_VERSION) {
		error_set(&err, -EPROTO,
			  "the client speaks versions %u to %u of the protocol, this server %u: install "
			  "the same release on both sides",
			  hello->version_min, hello->version_max, WIRE_VERSION);
		session_refuse(session, &err);
		return;
	}
	if (strcmp(hello->auth, auth->name)) {
		error_set(&err, -EACCES,
			  "this server wants authentication '%s', the client offers '%s': set its "
			  "configuration variable 'auth' (and 'key_file' for psk)",
			  auth->name, hello->auth);
		session_refuse(session, &err);
		return;
	}
	challenge->version = WIRE_VERSION;
	snprintf(challenge->auth, sizeof(challenge->auth), "%s", auth->name);
	challenge->uid = geteuid();
	randombytes_buf(challenge->nonce, sizeof(challenge->nonce));
	if (!session->local_socket) {
		session->uid = hello->uid;
		session->gid = hello->gid;
	}
	session->state = SESSION_CHALLENGED;
	session_reply(session, wire_hello_reply_fields, challenge);
}

/* The keys that the client may prove: its user's own where there is one, else those of all. */
static int keys_of(struct session *session, struct auth_key *own, struct auth_exchange *exchange, struct error *err)
{
	struct server *server = session->server;
	char path[PATH_MAX];
	int rc = -ENOENT;

	if (!server->auth->needs_key)
		return 0;
	if (server->conf.user_keys) {
		snprintf(path, sizeof(path), "%s/%u", server->conf.user_keys, session->hello.uid);
		rc = auth_key_read(path, own, err);
		/* That there is no such key is believed only where keys can be looked for. */
		if (rc == -ENOENT && access(server->conf.user_keys, X_OK))
			rc = error_set(err, -EACCES, "keys of users, %s: %s", server->conf.user_keys, strerror(errno));
	}
	if (rc && rc != -ENOENT)
		return rc;
	if (!rc)
		exchange->keys[exchange->key_count++] = own;
	for (unsigned i = 0; rc && i < server->key_count; i++)
		exchange->keys[exchange->key_count++] = &server->keys[i];
	return 0;
}

/* One proof, from its arrival to the reply. All that a thread looks at is in it: it may be at work when the server ends. */
struct login {
	struct session *session; /* the event loop's */
	const struct auth_ops *auth;
	struct auth_exchange exchange;
	struct wire_hello hello;
	struct wire_hello_reply challenge;
	char munge_socket[PATH_MAX];
	struct wire_proof proof, answer;
	struct auth_key own; /* the user's */
	int rc;
	struct error err;
	int done_fd; /* threads: where to tell that it is checked */
};

static void login_free(struct login *login)
{
	sodium_memzero(login, sizeof(*login));
	free(login);
}

static void login_check(struct login *login)
{
	login->rc = login->auth->check(&login->exchange, &login->proof, &login->answer, &login->err);
}

static void login_end(struct login *login)
{
	struct session *session = login->session;
	struct server *server = session->server;

	if (login->rc) {
		server->counters.refused_logins++;
		log_warning("%s (claims uid %u on %s) is not authenticated by %s", session->peer,
			    session->hello.uid, session->hello.host, login->auth->name);
		session_refuse_slowly(session, &login->err);
		login_free(login);
		return;
	}
	/* Who holds a key of his own proves who he is, and nothing of his groups. */
	if (login->exchange.keys[0] == &login->own && !session->local_socket)
		session->gid = RIGHTS_NO_GROUP;
	if (session_login(session)) {
		session_reply(session, wire_proof_fields, &login->answer);
		/* Nobody is between the two ends of a UNIX socket. */
		if (login->auth->seals && !session->local_socket)
			seal_begin(&session->seal, true, login->exchange.session_key);
	}
	login_free(login);
}

/* In a thread. The session waits: it has an order pending. */
static void login_work(void *arg)
{
	struct login *login = arg;

	login_check(login);
	while (write(login->done_fd, &login, sizeof(login)) < 0 && errno == EINTR)
		continue;
}

static void login_checked(evutil_socket_t fd, short events, void *arg)
{
	struct login *login;

	(void)events;
	(void)arg;
	while (read(fd, &login, sizeof(login)) == sizeof(login)) {
		if (session_unhold(login->session))
			login_end(login);
		else
			login_free(login);
	}
}

void request_proof(struct session *session, const void *payload, size_t bytes)
{
	struct server *server = session->server;
	struct login *login = calloc(1, sizeof(*login));
	struct error err;

	if (!login) {
		error_nomem(&err, "a login");
		session_refuse(session, &err);
		return;
	}
	login->session = session;
	login->auth = server->auth;
	login->hello = session->hello;
	login->challenge = session->challenge;
	if (server->conf.munge_socket)
		snprintf(login->munge_socket, sizeof(login->munge_socket), "%s", server->conf.munge_socket);
	login->exchange = (struct auth_exchange){
		.hello = &login->hello,
		.reply = &login->challenge,
		.munge_socket = login->munge_socket,
	};
	login->done_fd = server->login_fds[1];
	if (!request_unpack(session, payload, bytes, wire_proof_fields, &login->proof))
		goto err_free;
	if (keys_of(session, &login->own, &login->exchange, &err)) {
		log_error("%s", err.text);
		error_set(&err, -EACCES, "not authenticated: the server cannot read the key of uid %u; its log says why",
			  session->hello.uid);
		session_refuse(session, &err);
		goto err_free;
	}
	if (!login->auth->blocks) {
		login_check(login);
		login_end(login);
		return;
	}
	session_hold(session);
	if (!worker_submit(login_work, login))
		return;
	session_unhold(session);
	error_nomem(&err, "a login");
	session_refuse(session, &err);
err_free:
	login_free(login);
}

int login_start(struct server *server, struct error *err)
{
	int rc;

	if (!server->auth->blocks)
		return 0;
	if (pipe2(server->login_fds, O_CLOEXEC | O_NONBLOCK))
		return error_set(err, -errno, "a pipe: %s", strerror(errno));
	server->login_event = event_new(server->base, server->login_fds[0], EV_READ | EV_PERSIST, login_checked, server);
	if (!server->login_event || event_add(server->login_event, NULL))
		return error_nomem(err, "an event");
	rc = worker_start(LOGIN_THREADS);
	return rc ? error_set(err, rc, "threads to authenticate with: %s", strerror(-rc)) : 0;
}

void login_stop(struct server *server)
{
	if (server->login_event)
		event_free(server->login_event);
	server->login_event = NULL;
}
