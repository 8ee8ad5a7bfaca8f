/* SPDX-License-Identifier: BSD-3-Clause */
/* changes.c - mode incremental: what of a rank's segments changed since the newest complete epoch. */
#include "ckpt/changes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "holdfast.h"

/* A segment as it was when its changes were found last. */
struct watched {
	struct segment segment;
	void *at;
	enum track_hint hint;
	struct track_segment *track;
};

int changes_open(struct changes *changes, const struct options *options, struct error *err)
{
	const struct track_options how = {
		.tracker = options->tracker,
		.block_bytes = options->block_bytes,
		.threads = (unsigned)options->threads,
	};
	int rc;

	if (strcmp(options->mode, "incremental"))
		return HF_OK;
	rc = track_open(&how, &changes->track, err);
	if (rc)
		err->code = rc == -ENOMEM ? HF_ENOMEM : HF_ECONFIG;
	return rc ? err->code : HF_OK;
}

void changes_close(struct changes *changes)
{
	track_close(changes->track);
	free(changes->list);
	*changes = (struct changes){0};
}

static int room_for(struct changes *changes, size_t count, struct error *err)
{
	struct watched *list;

	if (count <= changes->capacity)
		return HF_OK;
	list = reallocarray(changes->list, count, sizeof(*list));
	if (!list)
		return error_set(err, HF_ENOMEM, "out of memory to find changes");
	changes->list = list;
	changes->capacity = count;
	return HF_OK;
}

/* Brings the one that is called so to place i; false: there is none. Seldom has to look far. */
static bool bring(struct changes *changes, size_t i, const char *name)
{
	struct watched other;

	for (size_t k = i; k < changes->count; k++) {
		if (strcmp(changes->list[k].segment.name, name))
			continue;
		other = changes->list[i];
		changes->list[i] = changes->list[k];
		changes->list[k] = other;
		return true;
	}
	return false;
}

static bool same_description(const struct segment *a, const struct segment *b)
{
	return a->type == b->type && a->element_bytes == b->element_bytes && a->count == b->count;
}

/* At place i is what watches the segment now. */
static int watch(struct changes *changes, size_t i, const struct client_segment *s, struct error *err)
{
	uint64_t bytes = s->segment.count * s->segment.element_bytes;
	enum track_hint hint = (enum track_hint)s->hint;
	bool known = bring(changes, i, s->segment.name);
	struct watched *w = &changes->list[i];
	struct track_segment *track = NULL;
	int rc;

	if (known && same_description(&w->segment, &s->segment) && w->hint == hint) {
		rc = w->at == s->at ? 0 : track_move(w->track, s->at, bytes, err);
		w->at = rc ? w->at : s->at;
		return rc ? HF_ENOMEM : HF_OK;
	}
	rc = track_add(changes->track, s->segment.name, s->at, bytes, hint, &track, err);
	if (rc)
		return HF_ENOMEM;
	if (known) {
		track_remove(w->track);
	} else {
		/* What was here goes behind the others. */
		changes->list[changes->count++] = *w;
	}
	*w = (struct watched){s->segment, s->at, hint, track};
	return HF_OK;
}

int changes_find(struct changes *changes, struct segments *segments, struct error *err)
{
	struct track_changes found;
	int code = room_for(changes, changes->count + segments->count + 1, err);

	changes->bytes = changes->changed = 0;
	for (size_t i = 0; !code && i < segments->count; i++) {
		code = watch(changes, i, &segments->list[i], err);
		if (code)
			err->code = code;
	}
	if (code)
		return code;
	while (changes->count > segments->count)
		track_remove(changes->list[--changes->count].track);
	for (size_t i = 0; i < segments->count; i++) {
		struct client_segment *s = &segments->list[i];

		track_collect(changes->list[i].track, &found);
		s->ranges = found.ranges;
		s->range_count = found.count;
		s->checksums = found.checksums;
		changes->changed += found.bytes;
		changes->bytes += s->segment.count * s->segment.element_bytes;
	}
	return HF_OK;
}

void changes_settled(struct changes *changes, uint64_t epoch)
{
	if (!changes->track)
		return;
	track_arm(changes->track);
	changes->epoch = epoch;
}
