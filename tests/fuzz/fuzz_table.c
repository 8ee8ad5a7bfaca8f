/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_table.c - a set's table as a slot holds it: refused, or none of its extents leads out of set and table.
 *
 * The input is the set's description, as on the wire, and the table. The table's size is what there
 * is, and its digest right unless the first byte is not 0: who writes the one writes the other.
 */
#include "fuzz.h"

#include <string.h>
#include "common/checksum.h"
#include "wire/table.h"
#include "wire/wire.h"

#define DATA_BYTES (1u << 20)

static volatile uint64_t seen; /* so that all is read */

static void table_walk(const struct table *table, const struct set_info *info)
{
	static const uint8_t data[DATA_BYTES];
	const struct table_header *header = table->header;
	uint64_t blocks = 0, bad = 0, n, sum = 0;

	must((uint8_t *)(table->checksums + header->block_count) == (uint8_t *)header + info->table_bytes);
	for (uint32_t i = 0; i < header->segment_count; i++)
		sum ^= table->segment_ids[i];
	for (uint64_t i = 0; i < header->extent_count; i++) {
		const struct table_extent *e = &table->extents[i];

		must(e->segment < header->segment_count && e->set_offset % SET_ALIGN == 0);
		must(e->set_offset <= info->data_bytes && e->bytes <= info->data_bytes - e->set_offset);
		must(e->first_block == blocks);
		n = table_blocks(e->bytes, info->block_bytes);
		must(n <= header->block_count - blocks);
		blocks += n;
		if (e->bytes && e->bytes <= sizeof(data) &&
		    table_compare(table, e->first_block, data, e->bytes, &bad))
			must(bad >= e->first_block && bad - e->first_block < n);
	}
	must(blocks == header->block_count);
	for (uint64_t i = 0; i < blocks; i++)
		sum ^= table->checksums[i];
	seen = sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_unpack(data, size);
	struct set_info info = {0};
	struct table table;
	struct error err;
	uint8_t keep_digest = 0;
	void *buffer;

	cursor_u8(&c, &keep_digest);
	wire_set_info_fields(&c, &info);
	if (c.failed)
		return 0;
	info.table_bytes = (uint64_t)(c.end - c.at);
	buffer = malloc(info.table_bytes + !info.table_bytes);
	must(buffer);
	memcpy(buffer, c.at, info.table_bytes);
	if (!keep_digest)
		info.table_digest = checksum(buffer, info.table_bytes);
	if (!table_check_info(&info, UINT64_MAX / 2, &err))
		must(info.table_offset >= info.data_bytes);
	if (!table_open(buffer, &info, 0, &table, &err))
		table_walk(&table, &info);
	free(buffer);
	return 0;
}
