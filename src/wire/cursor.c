/* SPDX-License-Identifier: BSD-3-Clause */
/* cursor.c - packing and unpacking of little-endian fields within bounds. */
#include "wire/cursor.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

struct cursor cursor_pack(void *buffer, size_t capacity)
{
	return (struct cursor){buffer, (uint8_t *)buffer + capacity, true, false};
}

struct cursor cursor_unpack(const void *buffer, size_t bytes)
{
	uint8_t *start = (uint8_t *)(uintptr_t)buffer; /* never written while unpacking */

	return (struct cursor){start, start + bytes, false, false};
}

void cursor_bytes(struct cursor *c, void *value, size_t bytes)
{
	if (c->failed || bytes > (size_t)(c->end - c->at)) {
		c->failed = true;
		return;
	}
	if (!bytes)
		return;
	if (c->packing)
		memcpy(c->at, value, bytes);
	else
		memcpy(value, c->at, bytes);
	c->at += bytes;
}

void cursor_u8(struct cursor *c, uint8_t *value)
{
	cursor_bytes(c, value, 1);
}

void cursor_u16(struct cursor *c, uint16_t *value)
{
	uint16_t le = htole16(*value);

	cursor_bytes(c, &le, sizeof(le));
	if (!c->packing)
		*value = le16toh(le);
}

void cursor_u32(struct cursor *c, uint32_t *value)
{
	uint32_t le = htole32(*value);

	cursor_bytes(c, &le, sizeof(le));
	if (!c->packing)
		*value = le32toh(le);
}

void cursor_u64(struct cursor *c, uint64_t *value)
{
	uint64_t le = htole64(*value);

	cursor_bytes(c, &le, sizeof(le));
	if (!c->packing)
		*value = le64toh(le);
}

void cursor_i32(struct cursor *c, int32_t *value)
{
	uint32_t bits = (uint32_t)*value;

	cursor_u32(c, &bits);
	if (!c->packing)
		*value = (int32_t)bits;
}

void cursor_string(struct cursor *c, char *value, size_t capacity)
{
	uint16_t length = 0;

	if (c->packing)
		length = (uint16_t)strnlen(value, capacity - 1);
	cursor_u16(c, &length);
	if (length >= capacity)
		c->failed = true;
	cursor_bytes(c, value, length);
	if (c->packing || c->failed)
		return;
	value[length] = '\0';
	if (strlen(value) != length)
		c->failed = true;
}

void cursor_array(struct cursor *c, uint32_t *count, uint32_t max, size_t min_bytes,
		  size_t element_bytes, void **array)
{
	cursor_u32(c, count);
	if (c->packing)
		return;
	*array = NULL;
	if (c->failed || *count > max || *count > (size_t)(c->end - c->at) / min_bytes) {
		c->failed = true;
		*count = 0;
		return;
	}
	if (!*count)
		return;
	*array = calloc(*count, element_bytes);
	if (!*array) {
		c->failed = true;
		*count = 0;
	}
}

bool cursor_ok(const struct cursor *c)
{
	return !c->failed && (c->packing || c->at == c->end);
}
