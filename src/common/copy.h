/* SPDX-License-Identifier: BSD-3-Clause */
/* copy.h - copies that go past the caches, since nobody reads soon what was copied, and that checksum as they go. */
#ifndef HOLDFAST_COPY_H
#define HOLDFAST_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Copies by non-temporal stores where the processor has them, and fences them: when it has returned, the stores are
 * seen by all processors, and are on their way to the medium where that is persistent memory. The two do not overlap.
 */
void copy_streaming(void *to, const void *from, size_t bytes);

/*
 * The same, and puts the checksum of each block of `block_bytes` (a power of 2, at least 4096), the last one maybe
 * shorter, into checksums[]: in one pass over what is copied, so that it costs little beside the copy.
 */
void copy_checksummed(void *to, const void *from, size_t bytes, size_t block_bytes, uint64_t *checksums);

/* Has this processor stores that go past the caches, and can the rest be written back? */
bool copy_is_past_caches(void);

/*
 * What these functions copied to `to` has left the caches when it has returned. `to` is that of one call, or of several
 * that were made of whole blocks.
 */
void copy_write_back(const void *to, size_t bytes);

/* Either of them (`checksums` may be NULL), by up to so many threads at once where it is long enough for that. */
void copy_by_threads(unsigned threads, void *to, const void *from, size_t bytes, size_t block_bytes, uint64_t *checksums);

#endif
