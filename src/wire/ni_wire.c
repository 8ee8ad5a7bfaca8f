/* SPDX-License-Identifier: BSD-3-Clause */
/* ni_wire.c - messages between PMM and NI, field by field. */
#include "wire/ni_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SOURCE_BYTES 256 /* more than one takes */

void ni_request_fields(struct cursor *c, void *message)
{
	struct ni_request *m = message;

	cursor_u64(c, &m->id);
	cursor_u32(c, &m->type);
	cursor_u32(c, &m->flags);
	cursor_u64(c, &m->peer);
	cursor_u64(c, &m->group);
	cursor_u64(c, &m->file);
	cursor_u64(c, &m->grant);
	cursor_u64(c, &m->offset);
	cursor_u64(c, &m->bytes);
	cursor_u32(c, &m->rights);
	cursor_u32(c, &m->rank);
	cursor_u32(c, &m->count);
	cursor_u32(c, &m->numa_node);
	cursor_u32(c, &m->granularity);
	cursor_bytes(c, m->token, sizeof(m->token));
	wire_set_info_fields(c, &m->set);
	cursor_u32(c, &m->extent_count);
	for (unsigned i = 0; i < SLOT_EXTENTS; i++) {
		cursor_u64(c, &m->extents[i].offset);
		cursor_u64(c, &m->extents[i].bytes);
	}
	cursor_string(c, m->text, sizeof(m->text));
	cursor_string(c, m->net, sizeof(m->net));
	cursor_string(c, m->provider, sizeof(m->provider));
}

void ni_reply_fields(struct cursor *c, void *message)
{
	struct ni_reply *m = message;

	cursor_u64(c, &m->id);
	cursor_i32(c, &m->status);
	cursor_u32(c, &m->flags);
	wire_net_address_fields(c, &m->address);
	wire_net_address_fields(c, &m->local);
	wire_net_key_fields(c, &m->key);
	cursor_u64(c, &m->blocks);
	cursor_u64(c, &m->bad_blocks);
	wire_set_info_fields(c, &m->set);
	cursor_string(c, m->text, sizeof(m->text));
}

/* ---- what a MERGE is of ---- */

void ni_merge_fields(struct cursor *c, void *message)
{
	struct ni_merge *m = message;

	cursor_u64(c, &m->state_bytes_max);
	cursor_array(c, &m->source_count, SETS_MAX, 8 + 8, sizeof(*m->sources), (void **)&m->sources);
	for (uint32_t i = 0; i < m->source_count && !c->failed; i++) {
		cursor_u64(c, &m->sources[i].file);
		cursor_u64(c, &m->sources[i].place);
		wire_set_info_fields(c, &m->sources[i].set);
	}
	wire_set_fields(c, &m->last);
}

int ni_merge_pack(struct ni_merge *m, int *fd, struct error *err)
{
	size_t capacity = SOURCE_BYTES * (m->source_count + 1) + wire_set_bytes(&m->last.info);
	uint8_t *packed = malloc(capacity);
	struct cursor c = cursor_pack(packed, capacity);
	ssize_t n = -1;
	int rc = 0;

	if (!packed)
		return error_nomem(err, "a merge");
	ni_merge_fields(&c, m);
	*fd = memfd_create("merge", MFD_CLOEXEC);
	if (*fd >= 0 && cursor_ok(&c))
		n = write(*fd, packed, (size_t)(c.at - packed));
	if (n != c.at - packed) {
		rc = error_set(err, -EIO, "a merge cannot be described to the NI: %s", strerror(errno));
		if (*fd >= 0)
			close(*fd);
	}
	free(packed);
	return rc;
}

int ni_merge_unpack(int fd, struct ni_merge *m, struct error *err)
{
	off_t bytes = lseek(fd, 0, SEEK_END);
	uint8_t *packed = bytes > 0 ? malloc((size_t)bytes) : NULL;
	struct cursor c;
	int rc = 0;

	*m = (struct ni_merge){0};
	if (!packed || pread(fd, packed, (size_t)bytes, 0) != bytes) {
		free(packed);
		return error_set(err, -EIO, "the description of a merge cannot be read");
	}
	c = cursor_unpack(packed, (size_t)bytes);
	ni_merge_fields(&c, m);
	if (!cursor_ok(&c) || m->source_count < 2)
		rc = error_set(err, -EBADMSG, "the description of a merge is malformed");
	free(packed);
	return rc;
}

void ni_merge_free(struct ni_merge *m)
{
	free(m->sources);
	free(m->last.segments);
	*m = (struct ni_merge){0};
}
