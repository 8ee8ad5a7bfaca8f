/* SPDX-License-Identifier: BSD-3-Clause */
/* record.c - checksums of records, and changes of them in transactions. */
#include "pmm/index.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/checksum.h"
#include "common/size.h"
#include "common/testpoint.h"

uint64_t record_checksum(const void *record, size_t checksum_offset)
{
	return checksum(record, checksum_offset);
}

uint64_t rank_checksum(uint64_t region, uint64_t job, uint32_t rank)
{
	const struct rank_key key = {region, job, rank};

	return checksum(&key, sizeof(key));
}

uint64_t record_offset(const struct pool *pool, const void *record)
{
	return (uint64_t)((uintptr_t)record - (uintptr_t)pool->pop);
}

void *record_at(const struct pool *pool, uint64_t offset)
{
	return (uint8_t *)pool->pop + offset;
}

/* ---- transactions ---- */

/*
 * Without a jmp_buf libpmemobj returns errors instead of jumping, so that no variable is ever clobbered. The
 * price: once something failed, the transaction has been rolled back, and nothing more may be stored.
 */
int transaction(struct pool *pool, int (*change)(struct pool *pool, void *arg), void *arg,
		struct error *err, const char *what)
{
	char text[32];
	int rc, end;

	rc = -pmemobj_tx_begin(pool->pop, NULL, TX_PARAM_NONE);
	if (!rc) {
		pmemobj_tx_set_user_data(pool);
		rc = change(pool, arg);
		TEST_POINT("transaction");
		if (pmemobj_tx_stage() == TX_STAGE_WORK) {
			if (rc)
				pmemobj_tx_abort(-rc);
			else
				pmemobj_tx_commit();
		}
	}
	if (pmemobj_tx_stage() != TX_STAGE_NONE) {
		end = -pmemobj_tx_end();
		if (!rc)
			rc = end;
	}
	if (rc == -ENOMEM)
		return error_set(err, -ENOSPC, "cannot %s: the metadata of pool %s (%s) is full; remove jobs, "
				 "or make a new pool with more metadata", what, pool->directory,
				 size_format(pool->root ? pool->root->metadata_bytes : 0, text, sizeof(text)));
	if (rc)
		return error_set(err, rc, "cannot %s: transaction in the metadata of pool %s failed: %s", what,
				 pool->directory, strerror(-rc));
	return 0;
}

int change_record(void *record, size_t bytes)
{
	struct pool *pool = pmemobj_tx_get_user_data();

	pool->changes++;
	return -pmemobj_tx_add_range_direct(record, bytes);
}

/*
 * libpmemobj's own classes give every size of object its own 2 MiB; layouts and rank tables have many sizes,
 * and the metadata was full when a tenth of it was used. Ours are three, and an object takes several units.
 */
#define HEAP_HEADER_BYTES 16

static const struct heap_class {
	size_t unit_bytes;
	unsigned units_per_block, units_max; /* at most 64 an object */
} heap_classes[HEAP_CLASSES] = {
	{144, 1000, 56},
	{4096, 60, 32},
	{65536, 31, 31},
};

void heap_classes_register(struct pool *pool)
{
	for (unsigned i = 0; i < HEAP_CLASSES; i++) {
		struct pobj_alloc_class_desc class = {
			.unit_size = heap_classes[i].unit_bytes,
			.units_per_block = heap_classes[i].units_per_block,
			.header_type = POBJ_HEADER_COMPACT,
		};
		int rc = pmemobj_ctl_set(pool->pop, "heap.alloc_class.new.desc", &class);

		pool->heap_classes[i] = rc ? 0 : class.class_id;
	}
}

/* 0: libpmemobj's choice. */
static unsigned heap_class(const struct pool *pool, size_t bytes)
{
	for (unsigned i = 0; i < HEAP_CLASSES; i++) {
		if (bytes + HEAP_HEADER_BYTES <= heap_classes[i].units_max * heap_classes[i].unit_bytes)
			return pool->heap_classes[i];
	}
	return 0;
}

void *change_allocate(struct pool *pool, size_t bytes, enum format_type type)
{
	uint64_t flags = POBJ_XALLOC_ZERO | POBJ_CLASS_ID((uint64_t)heap_class(pool, bytes));
	PMEMoid oid = pmemobj_tx_xalloc(bytes, type, flags);

	pool->changes++;
	return OID_IS_NULL(oid) ? NULL : record_at(pool, oid.off);
}

int change_free(struct pool *pool, uint64_t offset)
{
	if (!offset)
		return 0;
	pool->changes++;
	return -pmemobj_tx_free((PMEMoid){pool->uuid, offset});
}

int damaged(const struct pool *pool, struct error *err, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return error_set(err, -EUCLEAN, "pool %s is damaged: %s; restore it from a copy, or move it away and "
			 "start with an empty one", pool->directory, text);
}
