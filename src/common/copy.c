/* SPDX-License-Identifier: BSD-3-Clause */
/* copy.c - copies past the caches, with checksums. */
#include "common/copy.h"

#include <stdatomic.h>
#include <string.h>
#ifdef __SSE2__
#include <immintrin.h>
#endif
#include "common/checksum.h"
#include "common/thread.h"

#define LINE	     64
#define STREAMED_MIN 4096
/* So many pages are copied side by side, which is a third faster than one after the other: docs/performance.md. */
#define ROWS	  4
#define ROW_BYTES 4096
/* What is copied, and then hashed while the first-level cache still has it; what comes so much later is fetched by then. */
#define PIECE 8192
#define AHEAD 1024
/* What a thread takes at a time, and how much there must be for each: to begin one takes as long as to copy some 100 KiB. */
#define PORTION_BYTES ((size_t)1 << 20)
#define THREAD_BYTES  (4 * PORTION_BYTES)

#ifdef __SSE2__
typedef void line_fn(uint8_t *to, const uint8_t *from);

static void line_stream(uint8_t *to, const uint8_t *from)
{
	__m128i a = _mm_loadu_si128((const __m128i *)from);
	__m128i b = _mm_loadu_si128((const __m128i *)(from + 16));
	__m128i c = _mm_loadu_si128((const __m128i *)(from + 32));
	__m128i d = _mm_loadu_si128((const __m128i *)(from + 48));

	_mm_stream_si128((__m128i *)to, a);
	_mm_stream_si128((__m128i *)(to + 16), b);
	_mm_stream_si128((__m128i *)(to + 32), c);
	_mm_stream_si128((__m128i *)(to + 48), d);
}

__attribute__((target("avx512f"))) static void line_stream_whole(uint8_t *to, const uint8_t *from)
{
	_mm512_stream_si512((void *)to, _mm512_loadu_si512(from));
}

static inline __attribute__((always_inline)) void rows_stream(uint8_t *to, const uint8_t *from, line_fn *line)
{
	for (size_t at = 0; at < ROW_BYTES; at += LINE) {
		for (size_t row = 0; row < ROWS * ROW_BYTES; row += ROW_BYTES)
			line(to + row + at, from + row + at);
	}
}

/* Whole lines, to where one begins; those that come `ahead` bytes later are fetched meanwhile, be they of this or not. */
static inline __attribute__((always_inline)) void lines_stream_by(uint8_t *to, const uint8_t *from, size_t bytes, size_t ahead,
								  line_fn *line)
{
	size_t at = 0;

	for (; !ahead && bytes - at >= ROWS * ROW_BYTES; at += ROWS * ROW_BYTES)
		rows_stream(to + at, from + at, line);
	for (; at < bytes; at += LINE) {
		if (ahead)
			_mm_prefetch((const char *)from + at + ahead, _MM_HINT_T0);
		line(to + at, from + at);
	}
}

__attribute__((target("avx512f"))) static void lines_stream_whole(uint8_t *to, const uint8_t *from, size_t bytes, size_t ahead)
{
	lines_stream_by(to, from, bytes, ahead, line_stream_whole);
}

static void lines_stream(uint8_t *to, const uint8_t *from, size_t bytes, size_t ahead)
{
	if (__builtin_cpu_supports("avx512f"))
		lines_stream_whole(to, from, bytes, ahead);
	else
		lines_stream_by(to, from, bytes, ahead, line_stream);
}

static void fence(void)
{
	_mm_sfence();
}

bool copy_is_past_caches(void)
{
	return true;
}

static void line_write_back(const uint8_t *line)
{
	_mm_clflush(line);
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

bool copy_is_past_caches(void)
{
	return false;
}

static void line_write_back(const uint8_t *line)
{
	(void)line;
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

static uint64_t block_copy(uint8_t *to, const uint8_t *from, size_t bytes)
{
	struct checksum sum;
	size_t n;

	checksum_begin(&sum);
	for (; bytes; to += n, from += n, bytes -= n) {
		n = bytes < PIECE ? bytes : PIECE;
		stream(to, from, n, AHEAD);
		checksum_add(&sum, from, n);
	}
	return checksum_end(&sum);
}

void copy_checksummed(void *to, const void *from, size_t bytes, size_t block_bytes, uint64_t *checksums)
{
	const uint8_t *source = from;
	uint8_t *target = to;
	size_t n;

	for (; bytes; source += n, target += n, bytes -= n) {
		n = bytes < block_bytes ? bytes : block_bytes;
		*checksums++ = block_copy(target, source, n);
	}
	fence();
}

/* Where lines begin with pieces, only what follows the last whole piece was stored as usual. */
void copy_write_back(const void *to, size_t bytes)
{
	const uint8_t *end = (const uint8_t *)to + bytes, *line = to;

	if (!bytes)
		return;
	if (!((uintptr_t)to & (LINE - 1)) && bytes > PIECE)
		line = end - PIECE;
	for (line -= (uintptr_t)line & (LINE - 1); line < end; line += LINE)
		line_write_back(line);
	fence();
}

/* ---- several threads ---- */

struct copying {
	uint8_t *to;
	const uint8_t *from;
	size_t bytes, block_bytes, portion;
	uint64_t *checksums;
	atomic_size_t next; /* portion that no thread has yet, by where it begins */
};

static void portions_copy(void *arg)
{
	struct copying *c = arg;
	size_t at, n;

	while ((at = atomic_fetch_add(&c->next, c->portion)) < c->bytes) {
		n = c->bytes - at < c->portion ? c->bytes - at : c->portion;
		if (c->checksums)
			copy_checksummed(c->to + at, c->from + at, n, c->block_bytes, c->checksums + at / c->block_bytes);
		else
			copy_streaming(c->to + at, c->from + at, n);
	}
}

void copy_by_threads(unsigned threads, void *to, const void *from, size_t bytes, size_t block_bytes, uint64_t *checksums)
{
	struct copying copying = {.to = to, .from = from, .bytes = bytes, .block_bytes = block_bytes, .checksums = checksums};

	copying.portion = block_bytes > PORTION_BYTES ? block_bytes : PORTION_BYTES;
	if (bytes / THREAD_BYTES < threads)
		threads = (unsigned)(bytes / THREAD_BYTES);
	thread_crowd(threads, portions_copy, &copying);
}
