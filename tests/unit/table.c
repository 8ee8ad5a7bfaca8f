/* SPDX-License-Identifier: BSD-3-Clause */
/* table.c - the table of a set: every block is covered, and a table from outside is not trusted. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/checksum.h"
#include "unit.h"
#include "wire/table.h"

static struct error err;
static uint8_t data[3 * SET_BLOCK_DEFAULT];

/* Two segments: 2.5 blocks, and 100 bytes. */
static struct table build(struct set_info *info)
{
	uint64_t bytes = table_size(2, 2, 4);
	void *buffer = calloc(1, bytes);
	struct table table = table_init(buffer, SET_BLOCK_DEFAULT, 2, 2, 4);

	table.header->epoch = 5;
	table.header->rank = 3;
	table.header->segment_count = 2;
	table.extents[0] = (struct table_extent){0, 0, 0, 2 * SET_BLOCK_DEFAULT + 1000, 0, 0};
	table.extents[1] = (struct table_extent){1, 0, 0, 100, 2 * SET_BLOCK_DEFAULT + 4096, 3};
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 1000);
	table.checksums[0] = checksum(data, SET_BLOCK_DEFAULT);
	table.checksums[1] = checksum(data + SET_BLOCK_DEFAULT, SET_BLOCK_DEFAULT);
	table.checksums[2] = checksum(data + 2 * SET_BLOCK_DEFAULT, 1000);
	table.checksums[3] = checksum(data + 2 * SET_BLOCK_DEFAULT + 4096, 100);
	*info = (struct set_info){
		.epoch = 5,
		.kind = SET_FULL,
		.segment_count = 2,
		.data_bytes = 2 * SET_BLOCK_DEFAULT + 4096 + 100,
		.table_offset = 2 * SET_BLOCK_DEFAULT + 8192,
		.table_bytes = bytes,
		.table_digest = checksum(buffer, bytes),
		.block_bytes = SET_BLOCK_DEFAULT,
	};
	return table;
}

START_TEST(a_good_table_opens)
{
	struct set_info info;
	struct table table = build(&info), opened;

	ck_assert_msg(!table_open(table.header, &info, 3, &opened, &err), "%s", err.text);
	ck_assert_ptr_eq(opened.checksums, table.checksums);
	free(table.header);
}
END_TEST

START_TEST(every_flipped_byte_of_a_table_is_found)
{
	struct set_info info;
	struct table table = build(&info), opened;
	uint8_t *raw = (uint8_t *)table.header;

	for (size_t i = 0; i < info.table_bytes; i++) {
		raw[i] ^= 1;
		ck_assert_int_eq(table_open(raw, &info, 3, &opened, &err), -EUCLEAN);
		raw[i] ^= 1;
	}
	free(raw);
}
END_TEST

START_TEST(a_table_with_a_right_digest_and_wrong_numbers_is_refused)
{
	struct set_info info;
	struct table table = build(&info), opened;
	uint64_t *fields[] = {&table.header->magic,	   &table.header->epoch,
			      &table.header->extent_count, &table.header->block_count,
			      &table.extents[0].bytes,	   &table.extents[0].set_offset,
			      &table.extents[0].first_block, &table.extents[1].offset,
			      &table.extents[1].set_offset, &table.extents[1].bytes};
	static const uint64_t values[] = {UINT64_MAX, UINT64_MAX / 2, 1ull << 40, 1ull << 61};
	uint64_t before;

	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		for (unsigned v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
			if (fields[i] == &table.extents[1].offset && values[v] != UINT64_MAX)
				continue; /* any offset in a segment may be right */
			before = *fields[i];
			*fields[i] = values[v];
			info.table_digest = checksum(table.header, info.table_bytes);
			ck_assert_msg(table_open(table.header, &info, 3, &opened, &err) == -EUCLEAN,
				      "field %u, value %u", i, v);
			*fields[i] = before;
		}
	}
	info.table_digest = checksum(table.header, info.table_bytes);
	ck_assert_int_eq(table_open(table.header, &info, 4, &opened, &err), -EUCLEAN); /* another rank's */
	table.extents[1].segment = 2;
	info.table_digest = checksum(table.header, info.table_bytes);
	ck_assert_int_eq(table_open(table.header, &info, 3, &opened, &err), -EUCLEAN);
	free(table.header);
}
END_TEST

START_TEST(descriptions_out_of_range_are_refused)
{
	const uint64_t capacity = 1 << 20;
	struct set_info info, bad;
	struct table table = build(&info);

	ck_assert(!table_check_info(&info, capacity, &err));
	ck_assert_int_eq(table_check_info(&info, info.table_offset + info.table_bytes - 1, &err), -EBADMSG);
	bad = info;
	bad.epoch = 0;
	ck_assert_int_eq(table_check_info(&bad, capacity, &err), -EBADMSG);
	bad = info;
	bad.table_offset = UINT64_MAX - 4095;
	ck_assert_int_eq(table_check_info(&bad, capacity, &err), -EBADMSG);
	bad = info;
	bad.table_bytes = UINT64_MAX;
	ck_assert_int_eq(table_check_info(&bad, capacity, &err), -EBADMSG);
	bad = info;
	bad.table_bytes = 10;
	ck_assert_int_eq(table_check_info(&bad, capacity, &err), -EBADMSG);
	bad = info;
	bad.data_bytes = info.table_offset + 1;
	ck_assert_int_eq(table_check_info(&bad, capacity, &err), -EBADMSG);
	bad = info;
	bad.table_offset++;
	ck_assert_int_eq(table_check_info(&bad, capacity, &err), -EBADMSG);
	bad = info;
	bad.segment_count = SET_SEGMENTS_MAX + 1;
	ck_assert_int_eq(table_check_info(&bad, capacity, &err), -EBADMSG);
	free(table.header);
}
END_TEST

START_TEST(every_flipped_bit_of_the_data_is_found)
{
	uint64_t bad, first = 2 * SET_BLOCK_DEFAULT + 1000;
	struct set_info info;
	struct table table = build(&info);

	ck_assert_uint_eq(table_compare(&table, 0, data, first, &bad), 0);
	ck_assert_uint_eq(table_compare(&table, 3, data + 2 * SET_BLOCK_DEFAULT + 4096, 100, &bad), 0);
	for (uint64_t i = 0; i < first; i += 997) {
		data[i] ^= 0x80;
		ck_assert_uint_eq(table_compare(&table, 0, data, first, &bad), 1);
		ck_assert_uint_eq(bad, i / SET_BLOCK_DEFAULT);
		data[i] ^= 0x80;
	}
	free(table.header);
}
END_TEST

/* ---- blocks of other sizes ---- */

static const uint64_t bad_sizes[] = {
	0, 1, 512, SET_BLOCK_MIN / 2, SET_BLOCK_MIN + 1, 3 * SET_BLOCK_MIN, 2 * SET_BLOCK_MAX, SET_BLOCK_MAX - SET_BLOCK_MIN,
	(1ull << 32) + SET_BLOCK_DEFAULT, 1ull << 32, 1ull << 63, UINT64_MAX,
};

START_TEST(a_block_size_out_of_range_is_refused)
{
	struct set_info info;
	struct table table = build(&info), opened;

	for (unsigned i = 0; i < sizeof(bad_sizes) / sizeof(bad_sizes[0]); i++) {
		info.block_bytes = bad_sizes[i];
		ck_assert_int_eq(table_check_info(&info, 1 << 20, &err), -EBADMSG);
		ck_assert_ptr_nonnull(strstr(err.text, "power of 2 from 4096 to 4194304"));
		/* Nor where the table agrees. */
		table.header->block_bytes = (uint32_t)bad_sizes[i];
		info.table_digest = checksum(table.header, info.table_bytes);
		ck_assert_int_eq(table_open(table.header, &info, 3, &opened, &err), -EUCLEAN);
	}
	free(table.header);
}
END_TEST

START_TEST(a_table_has_the_block_size_of_its_description)
{
	struct set_info info;
	struct table table = build(&info), opened;

	for (uint64_t bytes = SET_BLOCK_MIN; bytes <= SET_BLOCK_MAX; bytes *= 2) {
		info.block_bytes = bytes;
		ck_assert(!table_check_info(&info, 1 << 20, &err));
		ck_assert_int_eq(table_open(table.header, &info, 3, &opened, &err), bytes == SET_BLOCK_DEFAULT ? 0 : -EUCLEAN);
	}
	free(table.header);
}
END_TEST

/* One segment of three blocks and a bit. */
static void compare_blocks(uint64_t block)
{
	const uint64_t bytes = 3 * block + 5, table_bytes = table_size(1, 1, 4);
	struct table table = table_init(calloc(1, table_bytes), block, 1, 1, 4), opened;
	struct set_info info = {1, SET_FULL, 1, bytes, 4 * block, table_bytes, .block_bytes = block};
	uint8_t *set = calloc(1, bytes);
	uint64_t bad, last;

	table.header->epoch = 1;
	table.extents[0].bytes = bytes;
	for (unsigned i = 0; i < 4; i++)
		table.checksums[i] = checksum(set + i * block, i < 3 ? block : 5);
	info.table_digest = checksum(table.header, table_bytes);
	ck_assert_msg(!table_open(table.header, &info, 0, &opened, &err), "%s", err.text);
	ck_assert_uint_eq(table_compare(&opened, 0, set, bytes, &bad), 0);
	for (unsigned i = 0; i < 4; i++) {
		last = i < 3 ? (i + 1) * block - 1 : bytes - 1;
		set[i * block]++;
		set[last]++;
		ck_assert_uint_eq(table_compare(&opened, 0, set, bytes, &bad), 1);
		ck_assert_uint_eq(bad, i);
		set[i * block]--;
		set[last]--;
	}
	/* From a block's middle on it is no extent. */
	table.extents[0].offset = block / 2;
	info.table_digest = checksum(table.header, table_bytes);
	ck_assert_int_eq(table_open(table.header, &info, 0, &opened, &err), -EUCLEAN);
	free(table.header);
	free(set);
}

START_TEST(blocks_of_any_size_are_each_compared)
{
	compare_blocks(SET_BLOCK_MIN);
	compare_blocks(SET_BLOCK_MAX);
}
END_TEST

START_TEST(sizes_that_overflow_are_zero)
{
	ck_assert_uint_eq(table_size(1, UINT64_MAX / 8, 1), 0);
	ck_assert_uint_eq(table_size(1, 1, UINT64_MAX / 8), 0);
	ck_assert_uint_eq(table_size(1, UINT64_MAX / 40, UINT64_MAX / 8), 0);
	ck_assert_uint_eq(table_size(2, 2, 4), 64 + 16 + 80 + 32);
	ck_assert_uint_eq(table_blocks(UINT64_MAX, SET_BLOCK_MIN), 1ull << 52);
	ck_assert_uint_eq(table_blocks(UINT64_MAX, SET_BLOCK_MAX), 1ull << 42);
	ck_assert_uint_eq(table_blocks(UINT64_MAX - SET_BLOCK_MIN, SET_BLOCK_MIN), (1ull << 52) - 1);
	ck_assert_uint_eq(table_blocks(0, SET_BLOCK_MIN), 0);
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("table");

	unit_add(suite, "table", a_good_table_opens, 10);
	unit_add(suite, "table", every_flipped_byte_of_a_table_is_found, 30);
	unit_add(suite, "table", a_table_with_a_right_digest_and_wrong_numbers_is_refused, 10);
	unit_add(suite, "table", descriptions_out_of_range_are_refused, 10);
	unit_add(suite, "table", every_flipped_bit_of_the_data_is_found, 60);
	unit_add(suite, "table", a_block_size_out_of_range_is_refused, 10);
	unit_add(suite, "table", a_table_has_the_block_size_of_its_description, 10);
	unit_add(suite, "table", blocks_of_any_size_are_each_compared, 60);
	unit_add(suite, "table", sizes_that_overflow_are_zero, 10);
	return suite;
}
