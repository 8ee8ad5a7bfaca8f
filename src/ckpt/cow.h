/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cow.h - pages as they were at one instant, although the application goes on to write them: they are write-protected by
 * userfaultfd, and a page is copied when it is written for the first time.
 *
 * Pages have the order in which their areas were added, and are read in this order. Until its page was read, a write
 * has it copied first, or waits where there is no room for the copy; afterwards a copy is only made while there is
 * room, so that all can be read once more.
 *
 * cow_read() and cow_rewind() belong to one thread, all the rest to another.
 */
#ifndef HOLDFAST_COW_H
#define HOLDFAST_COW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/error.h"

struct cow;

/* Of whole pages. */
struct cow_range {
	uintptr_t begin, end;
};

struct cow_stats {
	uint64_t pages, faults, kept; /* as in snapshot.h */
};

/* Tries it in earnest, on pages of its own, with writes of the program's and of the kernel's. -errno with the reason: it does
 * not work here. */
int cow_probe(struct error *err);

/* kept_bytes: for copies of pages, at most; 0: as many as it takes. A write waits no longer than timeout_ms; threads: that
 * protect pages at a time. -ENOMEM. */
int cow_new(uint64_t kept_bytes, uint64_t timeout_ms, unsigned threads, struct cow **cow, struct error *err);

/* Takes NULL. Between cow_end() and cow_begin() only. */
void cow_free(struct cow *cow);

/* After cow_begin(), cow_end() must follow. */
int cow_begin(struct cow *cow, struct error *err);

/*
 * One area more, of whole pages. It is a part of `within`, all pages that the segment touches, which are registered,
 * too, so that what malloc() got in one piece stays one to mremap(2). `name`, of the segment, is for messages and is
 * copied. -errno with the reason: this memory cannot be protected; all else is as it was.
 */
int cow_add(struct cow *cow, const struct cow_range *pages, const struct cow_range *within, const char *name, size_t *area,
	    struct error *err);

/* From here on all areas stay as they are, to cow_read(). On error no page is protected. */
int cow_protect(struct cow *cow, struct error *err);

/*
 * Copies bytes from `offset` of the area on, as they were at cow_protect(). -EIDRM: the memory was unmapped, or given back, before;
 * -ETIME: a write would have had to wait for too long. Then nothing is protected any more, and it fails ever after.
 */
int cow_read(struct cow *cow, size_t area, uint64_t offset, uint64_t bytes, void *into, struct error *err);

/* All is to be read once more. -ENODATA: that cannot be, for pages were written that there was no room to copy. */
int cow_rewind(struct cow *cow, struct error *err);

/* Waits until no page of [begin, end) is to be read any more; the memory is about to go. */
void cow_release(struct cow *cow, uintptr_t begin, uintptr_t end);

/* Nothing is protected, and no write waits any more. Any thread. */
void cow_end(struct cow *cow);

void cow_stats(const struct cow *cow, struct cow_stats *stats);

#endif
