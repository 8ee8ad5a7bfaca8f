/* SPDX-License-Identifier: BSD-3-Clause */
/* memory.h - pages of this process. */
#ifndef HOLDFAST_MEMORY_H
#define HOLDFAST_MEMORY_H

#include <stddef.h>

/*
 * Faults in all pages that hold a byte of [at, at + bytes), for writing, without changing any: one call instead of a
 * fault for each page, which costs far more, most of all on a virtual machine (madvise(2), MADV_POPULATE_WRITE).
 * For memory that is about to be written. Returns 0 or an errno value: EINVAL or ENOSYS before Linux 5.14, EFAULT,
 * ENOMEM and EHWPOISON for pages that cannot be had. Whoever wants no more than speed may ignore it.
 */
int memory_populate(void *at, size_t bytes);

/*
 * All of [at, at + bytes) is about to be written. Faults in what is not there yet, by way of huge pages where none of
 * a huge page's memory is: the first writes to fresh memory are an order of magnitude cheaper so, most of all on a
 * virtual machine. What is there already keeps what was decided for it, and so does a system or a process that wants
 * no huge pages (madvise(2), MADV_HUGEPAGE). Looks at each page's presence, which costs little (mincore(2)). Changes no
 * byte; what fails is left as it is.
 */
void memory_will_fill(void *at, size_t bytes);

#endif
