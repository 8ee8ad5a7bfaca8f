/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * seal.h - what ties every frame of a session to its handshake: SEAL_BYTES behind each frame, a keyed BLAKE2b
 * (RFC 7693, by libsodium) of its place in the order of its direction, and of all its bytes. Whoever has not the
 * session's key can neither forge a frame, nor change, repeat, leave out or turn one round unseen. He can read them,
 * and end the connection.
 *
 * A seal belongs to one thread at a time.
 */
#ifndef HOLDFAST_SEAL_H
#define HOLDFAST_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEAL_BYTES     16
#define SEAL_KEY_BYTES 32

struct seal {
	bool on; /* off: frames go without */
	bool server; /* which end this is */
	uint8_t key[SEAL_KEY_BYTES];
	uint64_t sent, received; /* frames, since it is on */
};

/* Begins with the next frame of each direction. */
void seal_begin(struct seal *seal, bool server, const uint8_t key[SEAL_KEY_BYTES]);

/* Bytes of the seal behind each frame: SEAL_BYTES, or 0 where it is off. */
size_t seal_bytes(const struct seal *seal);

/* Puts the seal behind a frame that is to be sent next: `frame` has room for SEAL_BYTES more. */
void seal_set(struct seal *seal, uint8_t *frame, size_t bytes);

/* Is what stands behind the next frame received its seal? */
bool seal_check(struct seal *seal, const uint8_t *frame, size_t bytes);

#endif
