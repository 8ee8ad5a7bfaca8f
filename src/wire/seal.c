/* SPDX-License-Identifier: BSD-3-Clause */
/* seal.c - the frames of a session, tied to it. */
#include "wire/seal.h"

#include <string.h>
#include <sodium.h>

_Static_assert(SEAL_KEY_BYTES == crypto_generichash_KEYBYTES, "libsodium's keys");
_Static_assert(SEAL_BYTES == crypto_generichash_BYTES_MIN, "libsodium's shortest hash");

void seal_begin(struct seal *seal, bool server, const uint8_t key[SEAL_KEY_BYTES])
{
	*seal = (struct seal){.on = true, .server = server};
	memcpy(seal->key, key, SEAL_KEY_BYTES);
}

size_t seal_bytes(const struct seal *seal)
{
	return seal->on ? SEAL_BYTES : 0;
}

static void seal_make(const struct seal *seal, bool by_server, uint64_t number, const uint8_t *frame, size_t bytes,
		      uint8_t made[SEAL_BYTES])
{
	crypto_generichash_state state;
	uint8_t place[9] = {by_server};

	for (unsigned i = 0; i < 8; i++)
		place[1 + i] = (uint8_t)(number >> (8 * i));
	crypto_generichash_init(&state, seal->key, SEAL_KEY_BYTES, SEAL_BYTES);
	crypto_generichash_update(&state, place, sizeof(place));
	crypto_generichash_update(&state, frame, bytes);
	crypto_generichash_final(&state, made, SEAL_BYTES);
}

void seal_set(struct seal *seal, uint8_t *frame, size_t bytes)
{
	if (seal->on)
		seal_make(seal, seal->server, seal->sent++, frame, bytes, frame + bytes);
}

bool seal_check(struct seal *seal, const uint8_t *frame, size_t bytes)
{
	uint8_t made[SEAL_BYTES];

	if (!seal->on)
		return true;
	seal_make(seal, !seal->server, seal->received++, frame, bytes, made);
	return !sodium_memcmp(made, frame + bytes, SEAL_BYTES);
}
