/* SPDX-License-Identifier: BSD-3-Clause */
/* segment.h - a rank's protected segments, and what a stored set holds. */
#ifndef HOLDFAST_SEGMENT_H
#define HOLDFAST_SEGMENT_H

#include <stddef.h>
#include "client/client.h"
#include "common/error.h"

/* Protected segments, in the order in which they were first protected. */
struct segments {
	struct client_segment *list;
	size_t count;
	size_t capacity;
};

/* What a stored set holds. */
struct layout {
	uint64_t epoch; /* 0: none */
	struct segment *list;
	size_t count;
};

/* HF_EINVAL: no usable name of a segment. */
int segment_name_check(const char *name, struct error *err);

/* Adds one, or replaces that of the same name. HF_ENOMEM, HF_ENOSPC. */
int segments_set(struct segments *segments, const struct client_segment *segment, struct error *err);

/* NULL: there is none of this name. */
struct client_segment *segments_find(const struct segments *segments, const char *name);

/* HF_EINVAL: there is none of this name. */
int segments_remove(struct segments *segments, const char *name, struct error *err);

void segments_free(struct segments *segments);

/* HF_ESEGMENT names the first protected segment that the layout lacks, or holds otherwise. */
int segments_match(const struct segments *segments, const struct layout *layout, struct error *err);

/* Makes `layout` say what a set of these segments holds. HF_ENOMEM. */
int layout_of_segments(struct layout *layout, uint64_t epoch, const struct segments *segments,
		       struct error *err);

/* NULL: there is none of this name. */
const struct segment *layout_find(const struct layout *layout, const char *name);

void layout_free(struct layout *layout);

#endif
