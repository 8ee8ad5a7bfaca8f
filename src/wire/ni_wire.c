/* SPDX-License-Identifier: BSD-3-Clause */
/* ni_wire.c - messages between PMM and NI, field by field. */
#include "wire/ni_wire.h"

#include "wire/wire.h"

void ni_request_fields(struct cursor *c, void *message)
{
	struct ni_request *m = message;

	cursor_u64(c, &m->id);
	cursor_u32(c, &m->type);
	cursor_u32(c, &m->flags);
	cursor_u64(c, &m->peer);
	cursor_u64(c, &m->file);
	cursor_u64(c, &m->grant);
	cursor_u64(c, &m->offset);
	cursor_u64(c, &m->bytes);
	cursor_u32(c, &m->rights);
	cursor_u32(c, &m->rank);
	cursor_u32(c, &m->count);
	cursor_u32(c, &m->numa_node);
	cursor_bytes(c, m->token, sizeof(m->token));
	wire_set_info_fields(c, &m->set);
	cursor_string(c, m->text, sizeof(m->text));
	cursor_string(c, m->net, sizeof(m->net));
	cursor_string(c, m->provider, sizeof(m->provider));
}

void ni_reply_fields(struct cursor *c, void *message)
{
	struct ni_reply *m = message;

	cursor_u64(c, &m->id);
	cursor_i32(c, &m->status);
	wire_net_address_fields(c, &m->address);
	wire_net_key_fields(c, &m->key);
	cursor_u64(c, &m->blocks);
	cursor_u64(c, &m->bad_blocks);
	cursor_string(c, m->text, sizeof(m->text));
}
