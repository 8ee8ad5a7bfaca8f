/* SPDX-License-Identifier: BSD-3-Clause */
/* copy.c - streaming copies: every byte and no other, and checksums that are those of the whole. */
#include "common/copy.h"

#include <string.h>
#include "common/checksum.h"
#include "unit.h"

#define ROOM  (200u << 10)
#define MARK  0xa5
#define BLOCK 4096u

static uint8_t *from, *to, *marks;

static void setup(void)
{
	from = malloc(ROOM);
	to = malloc(ROOM);
	marks = malloc(ROOM);
	ck_assert(from && to && marks);
	for (size_t i = 0; i < ROOM; i++)
		from[i] = (uint8_t)((i * 2654435761u) >> 13);
	memset(to, MARK, ROOM);
	memset(marks, MARK, ROOM);
}

static void teardown(void)
{
	free(from);
	free(to);
	free(marks);
}

static void ck_copied(size_t at, size_t source, size_t bytes)
{
	ck_assert_int_eq(memcmp(to + at, from + source, bytes), 0);
	ck_assert_int_eq(memcmp(to, marks, at), 0);
	ck_assert_int_eq(memcmp(to + at + bytes, marks, ROOM - at - bytes), 0);
}

static const size_t sizes[] = {0, 1, 63, 64, 65, 4095, 4096, 4097, 8191, 8192, 8193, 16384, 65536, 65599, 131072, 150001};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

START_TEST(any_size_from_any_place_to_any_place_is_copied)
{
	static const size_t places[] = {0, 1, 8, 15, 16, 63, 64, 100};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		for (size_t j = 0; j < sizeof(places) / sizeof(places[0]); j++) {
			memset(to, MARK, ROOM);
			copy_streaming(to + places[i], from + places[j], sizes[_i]);
			ck_copied(places[i], places[j], sizes[_i]);
		}
	}
}
END_TEST

START_TEST(checksums_are_those_of_the_blocks)
{
	static const size_t blocks[] = {BLOCK, 16384, 65536};
	uint64_t sums[ROOM / BLOCK + 2];
	size_t n, count;

	for (size_t b = 0; b < sizeof(blocks) / sizeof(blocks[0]); b++) {
		memset(to, MARK, ROOM);
		memset(sums, MARK, sizeof(sums));
		count = (sizes[_i] + blocks[b] - 1) / blocks[b];
		copy_checksummed(to + 24, from + 7, sizes[_i], blocks[b], sums);
		ck_copied(24, 7, sizes[_i]);
		for (size_t i = 0; i < count; i++) {
			n = sizes[_i] - i * blocks[b];
			ck_assert_uint_eq(sums[i], checksum(from + 7 + i * blocks[b], n < blocks[b] ? n : blocks[b]));
		}
		for (size_t i = count; i < sizeof(sums) / sizeof(sums[0]); i++)
			ck_assert_uint_eq(sums[i], 0xa5a5a5a5a5a5a5a5u);
	}
}
END_TEST

#define LARGE ((size_t)17 << 20)

/* Thread by thread a portion, and no byte beyond the end. */
START_TEST(several_threads_copy_what_one_does)
{
	static const size_t many[] = {0, 5, (4u << 20) + 1, (9u << 20) + 4097, LARGE - 64}, blocks[] = {BLOCK, 65536, 4u << 20};
	const unsigned threads[] = {0, 1, 2, 5};
	const size_t bytes = many[_i / 3], block = blocks[_i % 3], count = (bytes + block - 1) / block;
	uint8_t *source = malloc(LARGE), *target = malloc(LARGE);
	uint64_t *sums = calloc(count + 1, sizeof(*sums));

	ck_assert(source && target && sums);
	for (size_t i = 0; i < LARGE; i++)
		source[i] = (uint8_t)((i * 2654435761u) >> 15);
	for (size_t t = 0; t < 2 * sizeof(threads) / sizeof(threads[0]); t++) {
		memset(target, MARK, bytes + 64);
		memset(sums, MARK, (count + 1) * sizeof(*sums));
		copy_by_threads(threads[t / 2], target, source, bytes, block, t % 2 ? sums : NULL);
		ck_assert(!memcmp(target, source, bytes) && target[bytes] == MARK && target[bytes + 63] == MARK);
		for (size_t i = 0; t % 2 && i < count; i++)
			ck_assert_uint_eq(sums[i], checksum(source + i * block, i + 1 < count ? block : bytes - i * block));
		ck_assert_uint_eq(sums[count], 0xa5a5a5a5a5a5a5a5u);
	}
	free(source);
	free(target);
	free(sums);
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("copy");
	TCase *tc = tcase_create("copy");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, any_size_from_any_place_to_any_place_is_copied, 0, SIZES);
	tcase_add_loop_test(tc, checksums_are_those_of_the_blocks, 0, SIZES);
	tcase_add_loop_test(tc, several_threads_copy_what_one_does, 0, 15);
	suite_add_tcase(suite, tc);
	return suite;
}
