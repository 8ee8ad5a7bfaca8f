/* SPDX-License-Identifier: BSD-3-Clause */
/* att.c - the address protection and translation table. */
#include "pmu/att.h"

#include <stdbool.h>
#include <stdlib.h>

struct att_entry *att_add(struct att *att, struct session *session, uint64_t file, uint64_t offset,
			  uint64_t bytes, uint32_t rights, uint64_t generation)
{
	struct att_entry *entry = malloc(sizeof(*entry));

	if (!entry)
		return NULL;
	*entry = (struct att_entry){++att->last_grant, session, file, offset, bytes, rights, generation, att->first};
	att->first = entry;
	att->count++;
	return entry;
}

struct att_entry *att_find(struct att *att, const struct session *session, uint64_t grant)
{
	struct att_entry *entry = att->first;

	while (entry && (entry->grant != grant || entry->session != session))
		entry = entry->next;
	return entry;
}

static void remove_at(struct att *att, struct att_entry **at)
{
	struct att_entry *entry = *at;

	*at = entry->next;
	att->count--;
	free(entry);
}

void att_remove(struct att *att, uint64_t grant)
{
	struct att_entry **at = &att->first;

	while (*at && (*at)->grant != grant)
		at = &(*at)->next;
	if (*at)
		remove_at(att, at);
}

void att_remove_session(struct att *att, const struct session *session)
{
	for (struct att_entry **at = &att->first; *at;) {
		if ((*at)->session == session)
			remove_at(att, at);
		else
			at = &(*at)->next;
	}
}

static bool overlaps(const struct att_entry *entry, uint64_t offset, uint64_t bytes)
{
	return entry->offset <= offset ? offset - entry->offset < entry->bytes : entry->offset - offset < bytes;
}

struct att_entry *att_find_range(struct att *att, uint64_t file, uint64_t offset, uint64_t bytes)
{
	struct att_entry *entry = att->first;

	while (entry && (entry->file != file || !overlaps(entry, offset, bytes)))
		entry = entry->next;
	return entry;
}
