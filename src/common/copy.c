/* SPDX-License-Identifier: BSD-3-Clause */
/* copy.c - copies past the caches, with checksums. */
#include "common/copy.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include "common/checksum.h"

#define LINE	     64
#define STREAMED_MIN 4096
/* What is hashed, and then copied while the first-level cache still has it. */
#define PIECE 8192

#ifdef __SSE2__
/* Whole lines, to where one begins; those that come `ahead` bytes later are fetched meanwhile. */
static void lines_stream(uint8_t *to, const uint8_t *from, size_t bytes, size_t ahead)
{
	for (; bytes; to += LINE, from += LINE, bytes -= LINE) {
		__m128i a, b, c, d;

		if (ahead)
			_mm_prefetch((const char *)from + ahead, _MM_HINT_T0);
		a = _mm_loadu_si128((const __m128i *)from);
		b = _mm_loadu_si128((const __m128i *)(from + 16));
		c = _mm_loadu_si128((const __m128i *)(from + 32));
		d = _mm_loadu_si128((const __m128i *)(from + 48));
		_mm_stream_si128((__m128i *)to, a);
		_mm_stream_si128((__m128i *)(to + 16), b);
		_mm_stream_si128((__m128i *)(to + 32), c);
		_mm_stream_si128((__m128i *)(to + 48), d);
	}
}

static void fence(void)
{
	_mm_sfence();
}
#else
static void lines_stream(uint8_t *to, const uint8_t *from, size_t bytes, size_t ahead)
{
	(void)ahead;
	memcpy(to, from, bytes);
}

static void fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
#endif

static void stream(uint8_t *to, const uint8_t *from, size_t bytes, size_t ahead)
{
	size_t head = -(uintptr_t)to & (LINE - 1), lines;

	if (bytes >= STREAMED_MIN) {
		lines = (bytes - head) & ~(size_t)(LINE - 1);
		memcpy(to, from, head);
		lines_stream(to + head, from + head, lines, ahead);
		head += lines;
		to += head;
		from += head;
		bytes -= head;
	}
	memcpy(to, from, bytes);
}

void copy_streaming(void *to, const void *from, size_t bytes)
{
	stream(to, from, bytes, 0);
	fence();
}

/* One block; `more` says whether there is another behind it. */
static uint64_t block_copy(struct checksum *sum, uint8_t *to, const uint8_t *from, size_t bytes, size_t more)
{
	size_t n;

	checksum_begin(sum);
	for (; bytes; to += n, from += n, bytes -= n) {
		n = bytes < PIECE ? bytes : PIECE;
		checksum_add(sum, from, n);
		stream(to, from, n, bytes + more >= 2 * PIECE ? PIECE : 0);
	}
	return checksum_end(sum);
}

void copy_checksummed(void *to, const void *from, size_t bytes, size_t block_bytes, uint64_t *checksums)
{
	const uint8_t *source = from;
	uint8_t *target = to;
	struct checksum sum;
	size_t n;

	for (; bytes; source += n, target += n, bytes -= n) {
		n = bytes < block_bytes ? bytes : block_bytes;
		*checksums++ = block_copy(&sum, target, source, n, bytes - n);
	}
	fence();
}
