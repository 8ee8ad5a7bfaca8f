/* SPDX-License-Identifier: BSD-3-Clause */
/* uffd.h - what the kernel's categories of a page say of it. */
#ifndef HOLDFAST_TRACK_UFFD_H
#define HOLDFAST_TRACK_UFFD_H

#include <stdint.h>

enum uffd_state {
	UFFD_CLEAN,   /* as it was */
	UFFD_WRITTEN, /* and protected again by the scan that tells */
	UFFD_EMPTIED, /* by MADV_DONTNEED: it reads as zeros; some kernels call it written */
	UFFD_LOST,    /* not registered (any more): unmapped, mapped anew, moved here */
};

/* Of PAGE_IS_..., as PAGEMAP_SCAN returns them; 0 for a page that it does not return. */
enum uffd_state uffd_state(uint64_t categories);

#endif
