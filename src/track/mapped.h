/* SPDX-License-Identifier: BSD-3-Clause */
/* mapped.h - what kind of memory a range of addresses is. */
#ifndef HOLDFAST_MAPPED_H
#define HOLDFAST_MAPPED_H

#include <stdint.h>
#include "common/error.h"

/* 0: all of the range is private anonymous memory, readable and writable, which nobody else can write by
 * way of a file or a mapping of their own. -ENOTSUP names what it is instead. */
int mapped_private(uintptr_t begin, uint64_t bytes, struct error *err);

#endif
