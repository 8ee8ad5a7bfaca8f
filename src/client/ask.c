/* SPDX-License-Identifier: BSD-3-Clause */
/* ask.c - what tools ask of the job, and the command line that runs it. */
#include <stdlib.h>
#include "client/session.h"
#include "common/clock.h"

#define ASKED_MS 2000u /* of timeout_ms: an answer is the server's memory, and nobody shall wait for it long */

struct asked {
	uint64_t served, epoch;
	struct wire_asked_reply reply;
};

static int asked_attempt(struct client *client, void *arg, struct error *err)
{
	struct asked *asked = arg;
	struct wire_asked message = {
		.target = {.uid = WIRE_UID_SELF, .epoch = asked->epoch},
		.served = asked->served,
	};
	uint64_t timeout_ms = client->options.timeout_ms;

	return control_call(&client->control, WIRE_ASKED, wire_asked_fields, &message, wire_asked_reply_fields,
			    &asked->reply, deadline_in_ms(timeout_ms < ASKED_MS ? timeout_ms : ASKED_MS), err);
}

int client_asked(struct client *client, uint64_t served, uint64_t epoch, struct client_wish *wish,
		 struct error *err)
{
	struct asked asked = {.served = served, .epoch = epoch};
	int rc = session_try(client, asked_attempt, &asked, err);

	if (rc)
		return rc;
	*wish = (struct client_wish){
		.checkpoint = asked.reply.flags & WIRE_ASK_CHECKPOINT,
		.leave = asked.reply.flags & WIRE_ASK_LEAVE,
		.count = asked.reply.count,
	};
	return 0;
}

struct record {
	const struct command_line *command;
	struct wire_command before;
};

static int record_attempt(struct client *client, void *arg, struct error *err)
{
	struct record *record = arg;
	struct wire_command message = {*record->command};

	free(record->before.command.text);
	record->before = (struct wire_command){0};
	return control_call(&client->control, WIRE_RECORD, wire_command_fields, &message, wire_command_fields,
			    &record->before, session_deadline(client, 0), err);
}

int client_record(struct client *client, const struct command_line *command, struct command_line *before,
		  struct error *err)
{
	struct record record = {.command = command};
	int rc = session_retry(client, record_attempt, &record, err);

	if (rc)
		free(record.before.command.text);
	else
		*before = record.before.command;
	return rc;
}
