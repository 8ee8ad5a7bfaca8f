/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * auth_psk.c - pre-shared key: HMAC-SHA-256 (RFC 2104, FIPS 180-4) by libsodium, over a label, HELLO and
 * its reply. Both sides prove that they hold the key; neither sends it. Whoever holds the key may name
 * any uid: its holders trust each other.
 */
#include "wire/auth.h"

#include <errno.h>
#include <string.h>
#include <sodium.h>

static void psk_make(const struct auth_exchange *exchange, const struct auth_key *key, const char *label,
		     struct wire_proof *proof)
{
	proof->bytes = crypto_auth_hmacsha256_BYTES;
	auth_mac(exchange, key->secret, key->bytes, label, proof->proof);
}

static bool psk_good(const struct auth_exchange *exchange, const struct auth_key *key, const char *label,
		     const struct wire_proof *proof)
{
	uint8_t mac[crypto_auth_hmacsha256_BYTES];

	auth_mac(exchange, key->secret, key->bytes, label, mac);
	return proof->bytes == sizeof(mac) && !sodium_memcmp(proof->proof, mac, sizeof(mac));
}

_Static_assert(SEAL_KEY_BYTES == crypto_auth_hmacsha256_BYTES, "the session's key is a hash of the shared one");

static int psk_prove(struct auth_exchange *exchange, struct wire_proof *proof, struct error *err)
{
	(void)err;
	psk_make(exchange, exchange->keys[0], "holdfast client", proof);
	auth_mac(exchange, exchange->keys[0]->secret, exchange->keys[0]->bytes, "holdfast session", exchange->session_key);
	return 0;
}

static int psk_check(struct auth_exchange *exchange, const struct wire_proof *proof, struct wire_proof *answer,
		     struct error *err)
{
	const struct auth_key *fits = NULL;

	for (unsigned i = 0; i < exchange->key_count; i++) {
		if (psk_good(exchange, exchange->keys[i], "holdfast client", proof))
			fits = exchange->keys[i];
	}
	if (!fits)
		return error_set(err, -EACCES,
				 "not authenticated: the client's key is not the server's; both need the "
				 "same key file");
	psk_make(exchange, fits, "holdfast server", answer);
	auth_mac(exchange, fits->secret, fits->bytes, "holdfast session", exchange->session_key);
	return 0;
}

static int psk_confirm(const struct auth_exchange *exchange, const struct wire_proof *answer,
		       struct error *err)
{
	if (!psk_good(exchange, exchange->keys[0], "holdfast server", answer))
		return error_set(err, -EACCES,
				 "the server could not prove that it holds the key: it is not the server "
				 "that it should be");
	return 0;
}

const struct auth_ops auth_psk = {
	.abi = AUTH_ABI,
	.name = "psk",
	.any_address = true,
	.needs_key = true,
	.seals = true,
	.prove = psk_prove,
	.check = psk_check,
	.confirm = psk_confirm,
};
