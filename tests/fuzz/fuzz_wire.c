/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_wire.c - the control protocol: headers, errors, and the payload of every message.
 *
 * The first byte says what the others are. New messages go to the end of the list, or the corpus would
 * be of others. The cursor packs here as it does in wire_frame().
 */
#include "message.h"

#include "common/error.h"

static void free_open(void *m)
{
	wire_open_reply_free(m);
}

static void free_commit(void *m)
{
	free(((struct wire_commit *)m)->set.segments);
}

static void free_commit_reply(void *m)
{
	free(((struct wire_commit_reply *)m)->epochs);
}

static void free_read(void *m)
{
	wire_read_reply_free(m);
}

static void free_list(void *m)
{
	wire_list_reply_free(m);
}

static void free_users(void *m)
{
	wire_users_reply_free(m);
}

static void free_show(void *m)
{
	wire_show_reply_free(m);
}

static void free_stat(void *m)
{
	free(((struct wire_stat_reply *)m)->stats);
}

static void free_command(void *m)
{
	free(((struct wire_command *)m)->command.text);
}

static const struct message messages[] = {
	MESSAGE(wire_hello, wire_hello_fields, NULL),
	MESSAGE(wire_hello_reply, wire_hello_reply_fields, NULL),
	MESSAGE(wire_proof, wire_proof_fields, NULL),
	MESSAGE(wire_open, wire_open_fields, NULL),
	MESSAGE(wire_open_reply, wire_open_reply_fields, free_open),
	MESSAGE(wire_begin, wire_begin_fields, NULL),
	MESSAGE(wire_begin_reply, wire_begin_reply_fields, NULL),
	MESSAGE(wire_commit, wire_commit_fields, free_commit),
	MESSAGE(wire_commit_reply, wire_commit_reply_fields, free_commit_reply),
	MESSAGE(wire_abort, wire_abort_fields, NULL),
	MESSAGE(wire_read, wire_read_fields, NULL),
	MESSAGE(wire_read_reply, wire_read_reply_fields, free_read),
	MESSAGE(wire_close, wire_close_fields, NULL),
	MESSAGE(wire_target, wire_target_fields, NULL),
	MESSAGE(wire_list_reply, wire_list_reply_fields, free_list),
	MESSAGE(wire_show_reply, wire_show_reply_fields, free_show),
	MESSAGE(wire_verify_reply, wire_verify_reply_fields, NULL),
	MESSAGE(wire_stat_reply, wire_stat_reply_fields, free_stat),
	MESSAGE(wire_ask, wire_ask_fields, NULL),
	MESSAGE(wire_ask_reply, wire_ask_reply_fields, NULL),
	MESSAGE(wire_asked, wire_asked_fields, NULL),
	MESSAGE(wire_asked_reply, wire_asked_reply_fields, NULL),
	MESSAGE(wire_command, wire_command_fields, free_command),
	MESSAGE(wire_share, wire_share_fields, NULL),
	MESSAGE(wire_users_reply, wire_users_reply_fields, free_users),
};
#define MESSAGES (sizeof(messages) / sizeof(messages[0]))

/* Headers are checked before anything is made of them, and so is an error's text. */
static void header_try(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_unpack(data, size < WIRE_HEADER_BYTES ? size : WIRE_HEADER_BYTES);
	struct wire_header header = {0};
	struct error err;

	wire_header_fields(&c, &header);
	if (c.failed || wire_header_check(&header, &err))
		return;
	must(header.bytes <= WIRE_PAYLOAD_MAX && header.status <= 0);
	must(*wire_type_name(header.type));
	if (header.status && header.bytes == size - WIRE_HEADER_BYTES) {
		wire_error(&header, data + WIRE_HEADER_BYTES, &err);
		must(err.code < 0 && memchr(err.text, '\0', sizeof(err.text)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size || size > WIRE_PAYLOAD_MAX)
		return 0;
	if (*data < MESSAGES)
		message_try(&messages[*data], data + 1, size - 1);
	else if (*data == UINT8_MAX)
		header_try(data + 1, size - 1);
	return 0;
}
