/* SPDX-License-Identifier: BSD-3-Clause */
/* wire.c - the messages of the control protocol, field by field. */
#include "wire/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "wire/seal.h"

#define SEGMENT_MIN_BYTES (2 + 4 + 4 + 8)
#define SET_INFO_BYTES	  (8 + 4 + 4 + 7 * 8)

static const char *const type_names[WIRE_TYPE_END] = {
	[WIRE_HELLO] = "HELLO",	  [WIRE_PROOF] = "PROOF",   [WIRE_CREATE] = "CREATE",
	[WIRE_OPEN] = "OPEN",	  [WIRE_BEGIN] = "BEGIN",   [WIRE_COMMIT] = "COMMIT",
	[WIRE_ABORT] = "ABORT",	  [WIRE_READ] = "READ",	    [WIRE_CLOSE] = "CLOSE",
	[WIRE_DROP] = "DROP",	  [WIRE_LIST] = "LIST",	    [WIRE_SHOW] = "SHOW",
	[WIRE_VERIFY] = "VERIFY", [WIRE_STAT] = "STAT",	    [WIRE_ASK] = "ASK",
	[WIRE_ASKED] = "ASKED",	  [WIRE_RECORD] = "RECORD", [WIRE_FENCE] = "FENCE",
	[WIRE_SHARE] = "SHARE",	  [WIRE_USERS] = "USERS",
};

const char *wire_type_name(unsigned type)
{
	type &= ~WIRE_REPLY;
	return type < WIRE_TYPE_END && type_names[type] ? type_names[type] : "?";
}

void wire_header_fields(struct cursor *c, struct wire_header *m)
{
	cursor_u32(c, &m->magic);
	cursor_u16(c, &m->version);
	cursor_u16(c, &m->type);
	cursor_u32(c, &m->bytes);
	cursor_i32(c, &m->status);
	cursor_u64(c, &m->id);
}

int wire_header_check(const struct wire_header *m, struct error *err)
{
	if (m->magic != WIRE_MAGIC)
		return error_set(err, -EPROTO, "the peer does not speak Holdfast's protocol");
	if (m->version != WIRE_VERSION)
		return error_set(err, -EPROTO, "the peer speaks version %u of the protocol, this is %u",
				 m->version, WIRE_VERSION);
	if (m->bytes > WIRE_PAYLOAD_MAX)
		return error_set(err, -EPROTO, "a message of %u bytes is over the limit of %u", m->bytes,
				 WIRE_PAYLOAD_MAX);
	if (m->status > 0 || m->status < -4095)
		return error_set(err, -EPROTO, "a message has the impossible status %d", m->status);
	return 0;
}

void wire_set_info_fields(struct cursor *c, struct set_info *m)
{
	cursor_u64(c, &m->epoch);
	cursor_u32(c, &m->kind);
	cursor_u32(c, &m->segment_count);
	cursor_u64(c, &m->data_bytes);
	cursor_u64(c, &m->table_offset);
	cursor_u64(c, &m->table_bytes);
	cursor_u64(c, &m->table_digest);
	cursor_u64(c, &m->time_ns);
	cursor_u64(c, &m->generation);
	cursor_u64(c, &m->block_bytes);
}

void wire_set_fields(struct cursor *c, struct wire_set *m)
{
	wire_set_info_fields(c, &m->info);
	cursor_array(c, &m->info.segment_count, SET_SEGMENTS_MAX, SEGMENT_MIN_BYTES,
		     sizeof(*m->segments), (void **)&m->segments);
	for (uint32_t i = 0; i < m->info.segment_count && !c->failed; i++) {
		cursor_string(c, m->segments[i].name, sizeof(m->segments[i].name));
		cursor_u32(c, &m->segments[i].type);
		cursor_u32(c, &m->segments[i].element_bytes);
		cursor_u64(c, &m->segments[i].count);
	}
}

void wire_net_key_fields(struct cursor *c, struct net_key *m)
{
	cursor_u64(c, &m->address);
	cursor_u64(c, &m->bytes);
	for (unsigned i = 0; i < NET_RAILS_MAX; i++)
		cursor_u64(c, &m->keys[i]);
}

void wire_net_address_fields(struct cursor *c, struct net_address *m)
{
	cursor_u32(c, &m->format);
	cursor_u32(c, &m->bytes);
	if (m->bytes > sizeof(m->raw))
		c->failed = true;
	else
		cursor_bytes(c, m->raw, m->bytes);
}

void wire_hello_fields(struct cursor *c, void *message)
{
	struct wire_hello *m = message;

	cursor_u16(c, &m->version_min);
	cursor_u16(c, &m->version_max);
	cursor_string(c, m->auth, sizeof(m->auth));
	cursor_u32(c, &m->uid);
	cursor_u32(c, &m->gid);
	cursor_u32(c, &m->pid);
	cursor_string(c, m->host, sizeof(m->host));
	cursor_bytes(c, m->nonce, sizeof(m->nonce));
}

void wire_hello_reply_fields(struct cursor *c, void *message)
{
	struct wire_hello_reply *m = message;

	cursor_u16(c, &m->version);
	cursor_string(c, m->auth, sizeof(m->auth));
	cursor_u32(c, &m->uid);
	cursor_bytes(c, m->nonce, sizeof(m->nonce));
}

void wire_proof_fields(struct cursor *c, void *message)
{
	struct wire_proof *m = message;

	cursor_u16(c, &m->bytes);
	if (m->bytes > sizeof(m->proof))
		c->failed = true;
	else
		cursor_bytes(c, m->proof, m->bytes);
}

void wire_open_fields(struct cursor *c, void *message)
{
	struct wire_open *m = message;

	cursor_string(c, m->job, sizeof(m->job));
	cursor_u32(c, &m->rank);
	cursor_u32(c, &m->ranks);
	cursor_u32(c, &m->mode);
	cursor_u32(c, &m->flags);
	cursor_u64(c, &m->generation);
	cursor_bytes(c, m->launch, sizeof(m->launch));
	cursor_bytes(c, m->client, sizeof(m->client));
	cursor_u32(c, &m->incarnation);
	cursor_u32(c, &m->uid);
}

void wire_open_reply_fields(struct cursor *c, void *message)
{
	struct wire_open_reply *m = message;

	cursor_u64(c, &m->generation);
	cursor_u64(c, &m->launch_generation);
	cursor_u64(c, &m->session);
	cursor_string(c, m->net, sizeof(m->net));
	cursor_string(c, m->provider, sizeof(m->provider));
	cursor_string(c, m->persist, sizeof(m->persist));
	wire_net_address_fields(c, &m->address);
	wire_net_address_fields(c, &m->local);
	cursor_bytes(c, m->token, sizeof(m->token));
	cursor_u64(c, &m->log_room);
	cursor_array(c, &m->set_count, SETS_MAX, SET_INFO_BYTES, sizeof(*m->sets), (void **)&m->sets);
	for (uint32_t i = 0; i < m->set_count && !c->failed; i++)
		wire_set_info_fields(c, &m->sets[i]);
}

void wire_begin_fields(struct cursor *c, void *message)
{
	struct wire_begin *m = message;

	cursor_u64(c, &m->epoch);
	cursor_u32(c, &m->kind);
	cursor_u64(c, &m->keep);
	cursor_u64(c, &m->bytes);
	cursor_u64(c, &m->block_bytes);
	cursor_u32(c, &m->persist);
}

static void grant_fields(struct cursor *c, struct wire_grant *m)
{
	cursor_u64(c, &m->grant);
	wire_net_key_fields(c, &m->key);
}

void wire_begin_reply_fields(struct cursor *c, void *message)
{
	struct wire_begin_reply *m = message;

	grant_fields(c, &m->grant);
	cursor_u64(c, &m->withdrawn_first);
	cursor_u64(c, &m->withdrawn_last);
}

void wire_commit_fields(struct cursor *c, void *message)
{
	struct wire_commit *m = message;

	cursor_u64(c, &m->grant);
	wire_set_fields(c, &m->set);
}

void wire_commit_reply_fields(struct cursor *c, void *message)
{
	struct wire_commit_reply *m = message;

	cursor_u64(c, &m->log_room);
	cursor_u32(c, &m->chain);
	cursor_array(c, &m->epoch_count, SETS_MAX, sizeof(uint64_t), sizeof(uint64_t), (void **)&m->epochs);
	for (uint32_t i = 0; i < m->epoch_count && !c->failed; i++)
		cursor_u64(c, &m->epochs[i]);
}

void wire_abort_fields(struct cursor *c, void *message)
{
	struct wire_abort *m = message;

	cursor_u64(c, &m->epoch);
}

void wire_read_fields(struct cursor *c, void *message)
{
	struct wire_read *m = message;

	cursor_u32(c, &m->rank);
	cursor_u64(c, &m->epoch);
	cursor_u8(c, &m->layout_only);
}

void wire_read_reply_fields(struct cursor *c, void *message)
{
	struct wire_read_reply *m = message;

	cursor_u32(c, &m->grant_count);
	if (m->grant_count > WIRE_READ_GRANTS_MAX) {
		m->grant_count = 0;
		c->failed = true;
	}
	for (uint32_t i = 0; i < m->grant_count; i++)
		grant_fields(c, &m->grants[i]);
	wire_set_fields(c, &m->set);
	cursor_array(c, &m->part_count, SETS_MAX, SET_INFO_BYTES + 4 + 8, sizeof(*m->parts),
		     (void **)&m->parts);
	for (uint32_t i = 0; i < m->part_count && !c->failed; i++) {
		wire_set_info_fields(c, &m->parts[i].info);
		cursor_u32(c, &m->parts[i].grant);
		cursor_u64(c, &m->parts[i].place);
		if (m->parts[i].grant >= m->grant_count)
			c->failed = true;
	}
}

void wire_close_fields(struct cursor *c, void *message)
{
	struct wire_close *m = message;

	cursor_u64(c, &m->grant);
}

void wire_target_fields(struct cursor *c, void *message)
{
	struct wire_target *m = message;

	cursor_string(c, m->job, sizeof(m->job));
	cursor_u32(c, &m->uid);
	cursor_u32(c, &m->rank);
	cursor_u64(c, &m->epoch);
}

static void job_fields(struct cursor *c, struct wire_job *m)
{
	cursor_string(c, m->name, sizeof(m->name));
	cursor_u32(c, &m->uid);
	cursor_u32(c, &m->ranks);
	cursor_u32(c, &m->regions);
	cursor_u32(c, &m->sessions);
	cursor_u64(c, &m->complete_epoch);
	cursor_u64(c, &m->reserved_bytes);
	cursor_u64(c, &m->created_ns);
	cursor_u32(c, &m->group);
	cursor_u32(c, &m->share);
	cursor_u32(c, &m->damaged);
}

void wire_share_fields(struct cursor *c, void *message)
{
	struct wire_share *m = message;

	wire_target_fields(c, &m->target);
	cursor_u32(c, &m->group);
	cursor_u32(c, &m->share);
}

void wire_users_reply_fields(struct cursor *c, void *message)
{
	struct wire_users_reply *m = message;

	cursor_u32(c, &m->next);
	cursor_array(c, &m->count, UINT32_MAX, 4 + 7 * 8, sizeof(*m->users), (void **)&m->users);
	for (uint32_t i = 0; i < m->count && !c->failed; i++) {
		struct wire_user *user = &m->users[i];

		cursor_u32(c, &user->uid);
		cursor_u64(c, &user->jobs);
		cursor_u64(c, &user->regions);
		cursor_u64(c, &user->reserved_bytes);
		cursor_u64(c, &user->sessions);
		cursor_u64(c, &user->quota_regions);
		cursor_u64(c, &user->quota_bytes);
		cursor_u64(c, &user->quota_sessions);
	}
}

void wire_list_reply_fields(struct cursor *c, void *message)
{
	struct wire_list_reply *m = message;

	cursor_u32(c, &m->next);
	cursor_array(c, &m->count, UINT32_MAX, 2 + 7 * 4 + 3 * 8, sizeof(*m->jobs), (void **)&m->jobs);
	for (uint32_t i = 0; i < m->count && !c->failed; i++)
		job_fields(c, &m->jobs[i]);
}

void wire_command_fields(struct cursor *c, void *message)
{
	struct command_line *m = &((struct wire_command *)message)->command;

	cursor_array(c, &m->bytes, COMMAND_BYTES_MAX, 1, 1, (void **)&m->text);
	cursor_bytes(c, m->text, m->bytes);
	if (!c->packing && !c->failed && !command_ok(m))
		c->failed = true;
}

/* A set whose segments are those of the set before it is shown without. */
static void shown_set_fields(struct cursor *c, struct wire_set *m)
{
	uint8_t own = m->segments || !m->info.segment_count;

	cursor_u8(c, &own);
	cursor_u8(c, &m->damaged);
	if (own)
		wire_set_fields(c, m);
	else
		wire_set_info_fields(c, &m->info);
}

static void region_fields(struct cursor *c, struct wire_region *m)
{
	cursor_u32(c, &m->rank);
	cursor_u32(c, &m->mode);
	cursor_u64(c, &m->generation);
	cursor_u64(c, &m->reserved_bytes);
	cursor_u64(c, &m->log_bytes);
	cursor_u64(c, &m->log_used_bytes);
	cursor_u8(c, &m->alive);
	cursor_string(c, m->host, sizeof(m->host));
	cursor_u32(c, &m->pid);
	cursor_u64(c, &m->since_ns);
	cursor_array(c, &m->set_count, SETS_MAX, SET_INFO_BYTES + 2, sizeof(*m->sets), (void **)&m->sets);
	for (uint32_t i = 0; i < m->set_count && !c->failed; i++)
		shown_set_fields(c, &m->sets[i]);
}

void wire_show_reply_fields(struct cursor *c, void *message)
{
	struct wire_show_reply *m = message;

	job_fields(c, &m->job);
	wire_command_fields(c, &m->command);
	cursor_u32(c, &m->next);
	cursor_u64(c, &m->next_epoch);
	cursor_array(c, &m->count, RANKS_MAX, 4 + 4 + 4 * 8 + 1 + 2 + 4 + 8 + 4, sizeof(*m->regions),
		     (void **)&m->regions);
	for (uint32_t i = 0; i < m->count && !c->failed; i++)
		region_fields(c, &m->regions[i]);
}

void wire_verify_reply_fields(struct cursor *c, void *message)
{
	struct wire_verify_reply *m = message;

	cursor_u64(c, &m->blocks);
	cursor_u64(c, &m->bad_blocks);
	cursor_string(c, m->detail, sizeof(m->detail));
}

void wire_stat_reply_fields(struct cursor *c, void *message)
{
	struct wire_stat_reply *m = message;

	cursor_array(c, &m->count, WIRE_STATS_MAX, 4, sizeof(*m->stats), (void **)&m->stats);
	for (uint32_t i = 0; i < m->count && !c->failed; i++) {
		cursor_string(c, m->stats[i].key, sizeof(m->stats[i].key));
		cursor_string(c, m->stats[i].value, sizeof(m->stats[i].value));
	}
}

void wire_ask_fields(struct cursor *c, void *message)
{
	struct wire_ask *m = message;

	wire_target_fields(c, &m->target);
	cursor_u32(c, &m->flags);
}

void wire_ask_reply_fields(struct cursor *c, void *message)
{
	struct wire_ask_reply *m = message;

	cursor_u64(c, &m->count);
}

void wire_asked_fields(struct cursor *c, void *message)
{
	struct wire_asked *m = message;

	wire_target_fields(c, &m->target);
	cursor_u64(c, &m->served);
}

void wire_asked_reply_fields(struct cursor *c, void *message)
{
	struct wire_asked_reply *m = message;

	cursor_u32(c, &m->flags);
	cursor_u32(c, &m->sessions);
	cursor_u64(c, &m->count);
	cursor_u64(c, &m->served);
	cursor_u64(c, &m->epoch);
}

void wire_nothing_fields(struct cursor *c, void *message)
{
	(void)c;
	(void)message;
}

uint8_t *wire_frame(const struct wire_header *header, wire_fields_fn *fields, void *message,
		    const char *text, size_t *bytes)
{
	size_t capacity = 64u << 10, most = WIRE_HEADER_BYTES + WIRE_PAYLOAD_MAX;
	struct wire_header h = *header;
	struct cursor c;
	uint8_t *frame;

	/* Most messages are small: grow the frame only for those that do not fit. */
	for (;; capacity = most) {
		frame = malloc(capacity + SEAL_BYTES);
		if (!frame)
			return NULL;
		c = cursor_pack(frame + WIRE_HEADER_BYTES, capacity - WIRE_HEADER_BYTES);
		if (h.status)
			cursor_string(&c, (char *)(uintptr_t)text, ERROR_TEXT_BYTES);
		else
			fields(&c, message);
		if (cursor_ok(&c))
			break;
		free(frame);
		if (capacity == most)
			return NULL;
	}
	h.magic = WIRE_MAGIC;
	h.version = WIRE_VERSION;
	h.bytes = (uint32_t)(c.at - frame - WIRE_HEADER_BYTES);
	*bytes = (size_t)(c.at - frame);
	c = cursor_pack(frame, WIRE_HEADER_BYTES);
	wire_header_fields(&c, &h);
	return frame;
}

int wire_unpack(const void *payload, size_t bytes, wire_fields_fn *fields, void *message)
{
	struct cursor c = cursor_unpack(payload, bytes);

	fields(&c, message);
	return cursor_ok(&c) ? 0 : -EBADMSG;
}

int wire_error(const struct wire_header *header, const void *payload, struct error *err)
{
	char text[ERROR_TEXT_BYTES] = "";
	struct cursor c = cursor_unpack(payload, header->bytes);

	cursor_string(&c, text, sizeof(text));
	if (!cursor_ok(&c))
		return error_set(err, -EBADMSG, "the server's error message is malformed");
	return error_set(err, header->status, "%s", text);
}

bool wire_job_name_ok(const char *name)
{
	size_t n = strnlen(name, JOB_NAME_BYTES);

	if (!n || n == JOB_NAME_BYTES)
		return false;
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f || name[i] == '/')
			return false;
	}
	return true;
}

void wire_list_reply_free(struct wire_list_reply *m)
{
	free(m->jobs);
	*m = (struct wire_list_reply){0};
}

void wire_users_reply_free(struct wire_users_reply *m)
{
	free(m->users);
	*m = (struct wire_users_reply){0};
}

void wire_open_reply_free(struct wire_open_reply *m)
{
	free(m->sets);
	*m = (struct wire_open_reply){0};
}

void wire_read_reply_free(struct wire_read_reply *m)
{
	free(m->set.segments);
	free(m->parts);
	*m = (struct wire_read_reply){0};
}

void wire_region_free(struct wire_region *m)
{
	for (uint32_t i = 0; i < m->set_count; i++)
		free(m->sets[i].segments);
	free(m->sets);
	*m = (struct wire_region){0};
}

void wire_show_reply_free(struct wire_show_reply *m)
{
	for (uint32_t i = 0; i < m->count; i++)
		wire_region_free(&m->regions[i]);
	free(m->regions);
	free(m->command.command.text);
	*m = (struct wire_show_reply){0};
}

size_t wire_set_bytes(const struct set_info *info)
{
	return SET_INFO_BYTES + (size_t)info->segment_count * (SEGMENT_MIN_BYTES + SEGMENT_NAME_BYTES);
}
