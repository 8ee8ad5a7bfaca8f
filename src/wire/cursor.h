/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cursor.h - a bounded place in a buffer, packing or unpacking little-endian fields.
 *
 * One function per message describes its fields for both directions, so that pack and unpack cannot
 * drift apart. The first field that does not fit, or is not acceptable, makes the cursor fail; it then
 * stays failed and touches nothing more. Check once, at the end. Packing only reads a message: it may be where nobody
 * may write, or others read, too.
 */
#ifndef HOLDFAST_CURSOR_H
#define HOLDFAST_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cursor {
	uint8_t *at;
	uint8_t *end;
	bool packing;
	bool failed;
};

struct cursor cursor_pack(void *buffer, size_t capacity);
struct cursor cursor_unpack(const void *buffer, size_t bytes);

void cursor_u8(struct cursor *c, uint8_t *value);
void cursor_u16(struct cursor *c, uint16_t *value);
void cursor_u32(struct cursor *c, uint32_t *value);
void cursor_u64(struct cursor *c, uint64_t *value);
void cursor_i32(struct cursor *c, int32_t *value);
void cursor_bytes(struct cursor *c, void *value, size_t bytes);

/* u16 length and bytes; unpacking fails where it does not fit `capacity` with its zero, or holds one. */
void cursor_string(struct cursor *c, char *value, size_t capacity);

/*
 * u32 count of an array. Unpacking fails where it is over `max`, or where the rest of the buffer cannot
 * hold that many elements of at least `min_bytes` each, so that it is safe to allocate for. The array at
 * *array (elements of `element_bytes`) is then calloc()ed, the caller's to free, NULL for 0.
 */
void cursor_array(struct cursor *c, uint32_t *count, uint32_t max, size_t min_bytes,
		  size_t element_bytes, void **array);

/* True where all went well and, unpacking, nothing is left over. */
bool cursor_ok(const struct cursor *c);

#endif
