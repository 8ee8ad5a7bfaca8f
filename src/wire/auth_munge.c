/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * auth_munge.c - a credential of MUNGE (munge(3)), made and read by the munged of each node, says which uid and gid the
 * client has. Its payload, which nobody but the server's user can have decoded, is a secret that the client has just made,
 * and an HMAC-SHA-256 under it of HELLO and its reply: so it is worth nothing on another connection. The server
 * proves who it is by an HMAC under that secret, and the session's key is another.
 *
 * A munged that does not answer costs as long as libmunge waits for it, some seconds.
 */
#include "wire/auth.h"

#include <errno.h>
#include <munge.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECRET_BYTES 32
#define MAC_BYTES    crypto_auth_hmacsha256_BYTES

struct payload {
	uint8_t secret[SECRET_BYTES];
	uint8_t mac[MAC_BYTES];
};

_Static_assert(sizeof(struct payload) == SECRET_BYTES + MAC_BYTES, "bytes only");
_Static_assert(SEAL_KEY_BYTES == MAC_BYTES, "the session's key is a hash, too");

static int munge_failed(munge_ctx_t ctx, munge_err_t code, const char *what, struct error *err)
{
	const char *why = munge_ctx_strerror(ctx), *todo = "";

	if (code == EMUNGE_SOCKET || code == EMUNGE_TIMEOUT)
		todo = ". Is munged running on that node, and is munge_socket (of the server: --munge-socket) its socket?";
	else if (code == EMUNGE_CRED_EXPIRED || code == EMUNGE_CRED_REWOUND)
		todo = ". Do the clocks of the two nodes agree?";
	else if (code == EMUNGE_CRED_INVALID)
		todo = ". Have the two nodes the same key of MUNGE?";
	return error_set(err, -EACCES, "%s: %s%s", what, why ? why : munge_strerror(code), todo);
}

/* A context that has this socket, unless it is MUNGE's own choice; NULL where memory is out. */
static munge_ctx_t context_make(const struct auth_exchange *exchange)
{
	munge_ctx_t ctx = munge_ctx_create();

	if (ctx && exchange->munge_socket && *exchange->munge_socket &&
	    munge_ctx_set(ctx, MUNGE_OPT_SOCKET, exchange->munge_socket) != EMUNGE_SUCCESS) {
		munge_ctx_destroy(ctx);
		return NULL;
	}
	return ctx;
}

/* Whose server is trusted with who we are: root's, our own, and that of the user who was named. */
static bool server_is_trusted(const struct auth_exchange *exchange)
{
	uint32_t uid = exchange->reply->uid;

	return !uid || uid == geteuid() || uid == exchange->server_uid;
}

static int munge_prove(struct auth_exchange *exchange, struct wire_proof *proof, struct error *err)
{
	munge_ctx_t ctx = NULL;
	struct payload payload;
	char *credential = NULL;
	munge_err_t code;
	size_t bytes;
	int rc = 0;

	if (!server_is_trusted(exchange))
		return error_set(err, -EACCES,
				 "not authenticated: the server runs as uid %u, and those of root, of yourself, and of the user that "
				 "server_user names are trusted: set server_user, if it is the right one",
				 exchange->reply->uid);
	ctx = context_make(exchange);
	if (!ctx)
		return error_nomem(err, "a credential");
	randombytes_buf(payload.secret, sizeof(payload.secret));
	auth_mac(exchange, payload.secret, SECRET_BYTES, "holdfast client", payload.mac);
	code = munge_ctx_set(ctx, MUNGE_OPT_CIPHER_TYPE, MUNGE_CIPHER_AES128);
	if (code == EMUNGE_SUCCESS)
		code = munge_ctx_set(ctx, MUNGE_OPT_MAC_TYPE, MUNGE_MAC_SHA256);
	if (code == EMUNGE_SUCCESS)
		code = munge_ctx_set(ctx, MUNGE_OPT_UID_RESTRICTION, (uid_t)exchange->reply->uid);
	if (code == EMUNGE_SUCCESS)
		code = munge_encode(&credential, ctx, &payload, sizeof(payload));
	if (code != EMUNGE_SUCCESS) {
		rc = munge_failed(ctx, code, "not authenticated: MUNGE makes no credential", err);
		goto out;
	}
	bytes = strlen(credential) + 1;
	if (bytes > WIRE_PROOF_BYTES) {
		rc = error_set(err, -EACCES, "not authenticated: MUNGE's credential has %zu bytes", bytes);
		goto out;
	}
	memcpy(proof->proof, credential, bytes);
	proof->bytes = (uint16_t)bytes;
	memcpy(exchange->secret, payload.secret, SECRET_BYTES);
	auth_mac(exchange, payload.secret, SECRET_BYTES, "holdfast session", exchange->session_key);
out:
	sodium_memzero(&payload, sizeof(payload));
	free(credential);
	munge_ctx_destroy(ctx);
	return rc;
}

/* What munged says of the credential, and whether it was made for this very exchange. */
static int credential_check(const struct auth_exchange *exchange, const struct payload *payload, int bytes, uid_t uid,
			    gid_t gid, struct error *err)
{
	uint8_t mac[MAC_BYTES];

	if (bytes != (int)sizeof(*payload))
		return error_set(err, -EACCES, "not authenticated: a credential of MUNGE that was not made for Holdfast");
	auth_mac(exchange, payload->secret, SECRET_BYTES, "holdfast client", mac);
	if (sodium_memcmp(mac, payload->mac, sizeof(mac)))
		return error_set(err, -EACCES, "not authenticated: a credential of MUNGE that was made for another connection");
	if (uid != exchange->hello->uid || gid != exchange->hello->gid)
		return error_set(err, -EACCES, "not authenticated: MUNGE knows the client as uid %u and gid %u, it says %u and %u",
				 uid, gid, exchange->hello->uid, exchange->hello->gid);
	return 0;
}

static int munge_check(struct auth_exchange *exchange, const struct wire_proof *proof, struct wire_proof *answer,
		       struct error *err)
{
	munge_ctx_t ctx;
	void *payload = NULL;
	int bytes = 0, rc;
	munge_err_t code;
	uid_t uid = 0;
	gid_t gid = 0;

	if (!proof->bytes || proof->bytes > WIRE_PROOF_BYTES || proof->proof[proof->bytes - 1])
		return error_set(err, -EACCES, "not authenticated: that is no credential of MUNGE");
	ctx = context_make(exchange);
	if (!ctx)
		return error_nomem(err, "a credential");
	code = munge_decode((const char *)proof->proof, ctx, &payload, &bytes, &uid, &gid);
	/* Some errors (one that was seen before, or has expired) come with the payload. */
	rc = code == EMUNGE_SUCCESS ? credential_check(exchange, payload, bytes, uid, gid, err)
				    : munge_failed(ctx, code, "not authenticated: MUNGE refuses the credential", err);
	if (!rc) {
		memcpy(exchange->secret, payload, SECRET_BYTES);
		answer->bytes = MAC_BYTES;
		auth_mac(exchange, exchange->secret, SECRET_BYTES, "holdfast server", answer->proof);
		auth_mac(exchange, exchange->secret, SECRET_BYTES, "holdfast session", exchange->session_key);
	}
	if (payload)
		sodium_memzero(payload, bytes > 0 ? (size_t)bytes : 0);
	free(payload);
	munge_ctx_destroy(ctx);
	return rc;
}

static int munge_confirm(const struct auth_exchange *exchange, const struct wire_proof *answer, struct error *err)
{
	uint8_t mac[MAC_BYTES];

	auth_mac(exchange, exchange->secret, SECRET_BYTES, "holdfast server", mac);
	if (answer->bytes != sizeof(mac) || sodium_memcmp(answer->proof, mac, sizeof(mac)))
		return error_set(err, -EACCES, "the server could not prove that it is that of uid %u: it is not the server that it "
				 "should be", exchange->reply->uid);
	return 0;
}

const struct auth_ops auth_munge = {
	.abi = AUTH_ABI,
	.name = "munge",
	.any_address = true,
	.needs_key = false,
	.seals = true,
	.blocks = true,
	.prove = munge_prove,
	.check = munge_check,
	.confirm = munge_confirm,
};
