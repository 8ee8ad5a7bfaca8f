/* SPDX-License-Identifier: BSD-3-Clause */
/* segment.c - a rank's protected segments, and what a stored set holds. */
#include "ckpt/segment.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "ckpt/type.h"
#include "holdfast.h"

_Static_assert(HF_SEGMENT_NAME_MAX + 1 == SEGMENT_NAME_BYTES, "names of segments");
_Static_assert(HF_SEGMENTS_MAX == SET_SEGMENTS_MAX, "number of segments");

int segment_name_check(const char *name, struct error *err)
{
	size_t length;

	if (!name || !*name)
		return error_set(err, HF_EINVAL, "a segment needs a name");
	length = strnlen(name, SEGMENT_NAME_BYTES);
	if (length > HF_SEGMENT_NAME_MAX)
		return error_set(err, HF_EINVAL, "the segment's name \"%.32s...\" has over %d bytes", name,
				 HF_SEGMENT_NAME_MAX);
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
			return error_set(err, HF_EINVAL, "a segment's name has a control character");
	return HF_OK;
}

struct client_segment *segments_find(const struct segments *segments, const char *name)
{
	for (size_t i = 0; i < segments->count; i++)
		if (!strcmp(segments->list[i].segment.name, name))
			return &segments->list[i];
	return NULL;
}

int segments_set(struct segments *segments, const struct client_segment *segment, struct error *err)
{
	struct client_segment *known = segments_find(segments, segment->segment.name);

	if (known) {
		uint32_t hint = known->hint;

		*known = *segment;
		known->hint = hint;
		return HF_OK;
	}
	if (segments->count == HF_SEGMENTS_MAX)
		return error_set(err, HF_ENOSPC, "segment %s is one more than the %d that there can be",
				 segment->segment.name, HF_SEGMENTS_MAX);
	if (segments->count == segments->capacity) {
		size_t capacity = segments->capacity ? 2 * segments->capacity : 16;
		void *list = realloc(segments->list, capacity * sizeof(*segments->list));

		if (!list)
			return error_set(err, HF_ENOMEM, "out of memory for segment %s",
					 segment->segment.name);
		segments->list = list;
		segments->capacity = capacity;
	}
	segments->list[segments->count++] = *segment;
	return HF_OK;
}

int segments_remove(struct segments *segments, const char *name, struct error *err)
{
	struct client_segment *known = segments_find(segments, name);
	size_t behind;

	if (!known)
		return error_set(err, HF_EINVAL, "there is no protected segment %s", name);
	behind = segments->count - (size_t)(known - segments->list) - 1;
	memmove(known, known + 1, behind * sizeof(*known));
	segments->count--;
	return HF_OK;
}

void segments_free(struct segments *segments)
{
	free(segments->list);
	*segments = (struct segments){0};
}

int segments_match(const struct segments *segments, const struct layout *layout, struct error *err)
{
	for (size_t i = 0; i < segments->count; i++) {
		const struct segment *wanted = &segments->list[i].segment;
		const struct segment *stored = layout_find(layout, wanted->name);

		if (!stored)
			return error_set(err, HF_ESEGMENT,
					 "segment %s is protected, but not in the set of epoch %" PRIu64
					 "; hf_stored() tells what is, hf_unprotect() leaves it out",
					 wanted->name, layout->epoch);
		if (stored->type != wanted->type || stored->element_bytes != wanted->element_bytes ||
		    stored->count != wanted->count)
			return error_set(err, HF_ESEGMENT,
					 "segment %s is protected as %" PRIu64 " x %s of %u bytes, but epoch "
					 "%" PRIu64 " holds %" PRIu64 " x %s of %u bytes; protect it as "
					 "hf_stored() tells",
					 wanted->name, wanted->count, element_name(wanted->type),
					 wanted->element_bytes, layout->epoch, stored->count,
					 element_name(stored->type), stored->element_bytes);
	}
	return HF_OK;
}

int layout_of_segments(struct layout *layout, uint64_t epoch, const struct segments *segments,
		       struct error *err)
{
	struct segment *list = calloc(segments->count + 1, sizeof(*list));

	if (!list)
		return error_set(err, HF_ENOMEM, "out of memory for the layout of epoch %" PRIu64, epoch);
	for (size_t i = 0; i < segments->count; i++)
		list[i] = segments->list[i].segment;
	layout_free(layout);
	*layout = (struct layout){.epoch = epoch, .list = list, .count = segments->count};
	return HF_OK;
}

const struct segment *layout_find(const struct layout *layout, const char *name)
{
	for (size_t i = 0; i < layout->count; i++)
		if (!strncmp(layout->list[i].name, name, SEGMENT_NAME_BYTES))
			return &layout->list[i];
	return NULL;
}

void layout_free(struct layout *layout)
{
	free(layout->list);
	*layout = (struct layout){0};
}
