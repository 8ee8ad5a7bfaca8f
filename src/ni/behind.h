/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * behind.h - what clients write to a slot is on its way to the disk while more of it arrives, so that COMMIT has less to
 * wait for. For media behind the page cache; elsewhere there is nothing to do. Nothing is promised: COMMIT persists all
 * the same. Any thread.
 */
#ifndef HOLDFAST_NI_BEHIND_H
#define HOLDFAST_NI_BEHIND_H

#include "ni/mapping.h"

/* Starts the thread that does it: -errno. It runs until the process ends. */
int behind_start(void);

struct behind;

/* From now on. NULL: nothing is to be done, or there is no memory. */
struct behind *behind_begin(const struct mapping *mapping, uint64_t offset, uint64_t bytes);

/* No longer; takes NULL. A write-back that was begun goes on by itself. */
void behind_end(struct behind *behind);

#endif
