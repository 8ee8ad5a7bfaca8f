/* SPDX-License-Identifier: BSD-3-Clause */
/* merge.h - MERGE: adjacent sets of a chain become one, in a thread of its own that gets what time others leave. */
#ifndef HOLDFAST_MERGE_H
#define HOLDFAST_MERGE_H

#include "common/error.h"
#include "wire/ni_wire.h"

/* Called once for each merge that was begun, in its thread. */
typedef void merge_done_fn(const struct ni_request *request, const struct set_info *made, const struct error *err);

/*
 * Begins to merge what `fd` (closed here) describes, into `request->bytes` at `request->offset` of `request->file`.
 * What it was made of is checked on the way: -EILSEQ where a block is damaged. What it makes is durable when `done`
 * hears of it. -EBUSY: one is under way.
 */
int merge_begin(const struct ni_request *request, int fd, merge_done_fn *done, struct error *err);

/* Has the one under way end soon, with -ECANCELED. */
void merge_cancel(void);

#endif
