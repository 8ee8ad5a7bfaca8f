/* SPDX-License-Identifier: BSD-3-Clause */
/* message.h - a message out of any bytes: refused, or packed again it is the same message. */
#ifndef HOLDFAST_MESSAGE_H
#define HOLDFAST_MESSAGE_H

#include <string.h>
#include "fuzz.h"
#include "wire/wire.h"

#define PACKED_BYTES (4u << 20) /* more than any message that was unpacked from a payload of less */

struct message {
	wire_fields_fn *fields;
	size_t bytes;
	void (*free)(void *m); /* NULL: unpacking allocates nothing */
};

#define MESSAGE(type, fields, release) {fields, sizeof(struct type), release}

static inline size_t message_pack(const struct message *message, void *m, uint8_t *packed)
{
	struct cursor c = cursor_pack(packed, PACKED_BYTES);

	message->fields(&c, m);
	must(cursor_ok(&c));
	return (size_t)(c.at - packed);
}

/*
 * What is unpacked need not be packed into the bytes that it came from: the number of a set's segments
 * is there twice, and a flag may be any byte but 0. What was packed once comes back as it was.
 */
static inline void message_try(const struct message *message, const uint8_t *data, size_t size)
{
	static uint8_t first[PACKED_BYTES], second[PACKED_BYTES];
	void *m = calloc(1, message->bytes), *again = calloc(1, message->bytes);
	size_t bytes;

	must(m && again);
	if (!wire_unpack(data, size, message->fields, m)) {
		bytes = message_pack(message, m, first);
		must(!wire_unpack(first, bytes, message->fields, again));
		must(message_pack(message, again, second) == bytes);
		must(!memcmp(first, second, bytes));
	}
	if (message->free) {
		message->free(m);
		message->free(again);
	}
	free(m);
	free(again);
}

#endif
