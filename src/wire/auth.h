/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * auth.h - how a client proves who it is, and the server that it is the right one. Both sides' halves of
 * each method stand together here. A proof is bound to both sides' nonces and to every field of HELLO, so
 * that it is worth nothing on another connection.
 */
#ifndef HOLDFAST_AUTH_H
#define HOLDFAST_AUTH_H

#include <stdbool.h>
#include "common/error.h"
#include "wire/seal.h"
#include "wire/wire.h"

#define AUTH_ABI	   2
#define AUTH_KEY_BYTES_MIN 32
#define AUTH_KEY_BYTES_MAX 4096
#define AUTH_KEYS_MAX	   2 /* while one takes the place of the other */
#define AUTH_MAC_BYTES	   32

struct auth_key {
	size_t bytes;
	uint8_t secret[AUTH_KEY_BYTES_MAX];
};

/* What one handshake has said so far. */
struct auth_exchange {
	const struct wire_hello *hello;
	const struct wire_hello_reply *reply;
	/* psk: a client's one key; those that the server takes */
	const struct auth_key *keys[AUTH_KEYS_MAX];
	unsigned key_count;
	/* munge: munged's socket, NULL or "" for its own choice; a client's: a uid whose servers it trusts, besides root's and
	 * its own */
	const char *munge_socket;
	uint32_t server_uid;
	uint8_t secret[AUTH_MAC_BYTES]; /* the method's own */
	/* Set by a prove() and a check() that succeed, where the method `seals`: the session's own key. */
	uint8_t session_key[SEAL_KEY_BYTES];
};

struct auth_ops {
	unsigned abi;
	const char *name;
	bool any_address; /* may be used on addresses that others can reach */
	bool needs_key;
	bool blocks; /* check() waits for somebody: not for an event loop */
	bool seals; /* the session's frames are tied to it (wire/seal.h) */
	/* client: the proof to send */
	int (*prove)(struct auth_exchange *exchange, struct wire_proof *proof, struct error *err);
	/* server: checks it (-EACCES) and gives the server's own proof */
	int (*check)(struct auth_exchange *exchange, const struct wire_proof *proof,
		     struct wire_proof *answer, struct error *err);
	/* client: checks the server's (-EACCES) */
	int (*confirm)(const struct auth_exchange *exchange, const struct wire_proof *answer,
		       struct error *err);
};

extern const struct auth_ops auth_munge;
extern const struct auth_ops auth_psk;
extern const struct auth_ops auth_none;

/* HMAC-SHA-256 (RFC 2104, FIPS 180-4) under this key of a label, HELLO and its reply. */
void auth_mac(const struct auth_exchange *exchange, const uint8_t *key, size_t bytes, const char *label,
	      uint8_t mac[AUTH_MAC_BYTES]);

/* NULL where there is no method of this name. */
const struct auth_ops *auth_find(const char *name);

/* Reads a key file: a regular file of 32 to 4096 bytes that only its owner (we, or root) may read.
 * -EPERM, -EINVAL or the error of open(2), with the remedy. */
int auth_key_read(const char *path, struct auth_key *key, struct error *err);

#endif
