/* SPDX-License-Identifier: BSD-3-Clause */
/* checkpoint.c - pmuctl checkpoint, and what holdfast-checkpoint does. */
#include <errno.h>
#include <inttypes.h>
#include "common/clock.h"
#include "tools/pmuctl.h"

#define POLL_MS 100

static int asked(struct pmuctl *ctl, struct wire_asked_reply *reply)
{
	struct wire_asked asked = {.target = pmuctl_target(ctl)};

	return pmuctl_request(ctl, WIRE_ASKED, wire_asked_fields, &asked, wire_asked_reply_fields, reply);
}

static int failed(const struct pmuctl *ctl, const char *how)
{
	fprintf(stderr, "%s: job %s %s\n", ctl->program, ctl->job, how);
	return PMUCTL_ERROR;
}

static int late(const struct pmuctl *ctl, const char *how)
{
	fprintf(stderr, "%s: after %" PRIu64 " s, job %s %s\n", ctl->program, ctl->timeout_ms / 1000, ctl->job,
		how);
	return PMUCTL_ERROR;
}

/* Until wish number `count` is served. */
static int wait_served(struct pmuctl *ctl, uint64_t count, uint64_t deadline, uint64_t *epoch)
{
	struct wire_asked_reply reply;
	int rc;

	for (;; deadline_sleep_ms(deadline, POLL_MS)) {
		rc = asked(ctl, &reply);
		if (rc != PMUCTL_OK)
			return rc;
		if (reply.served >= count)
			break;
		if (!reply.sessions)
			return failed(ctl, "ended before it made the checkpoint");
		if (!deadline_left_ms(deadline))
			return late(ctl, "has made no checkpoint: it does when it calls hf_due() or "
					 "hf_checkpoint() next, as this wish stands while it runs");
	}
	if (!reply.epoch)
		return failed(ctl, "could not make the checkpoint, and goes on; its standard error says why");
	*epoch = reply.epoch;
	return PMUCTL_OK;
}

/* Until no rank is left; a job that leaves keeps its sets, and so it is still there then. */
static int wait_gone(struct pmuctl *ctl, uint64_t deadline)
{
	struct wire_asked_reply reply;
	int rc;

	for (;; deadline_sleep_ms(deadline, POLL_MS)) {
		rc = asked(ctl, &reply);
		if (rc != PMUCTL_OK || !reply.sessions)
			return rc;
		if (!deadline_left_ms(deadline))
			return late(ctl, "has made its checkpoint, and runs still; its standard error may say why");
	}
}

int pmuctl_ask_checkpoint(struct pmuctl *ctl, uint64_t *epoch)
{
	uint64_t deadline = deadline_in_ms(ctl->timeout_ms);
	struct wire_ask_reply reply;
	struct wire_ask ask = {
		.target = pmuctl_target(ctl),
		.flags = WIRE_ASK_CHECKPOINT | (ctl->term ? WIRE_ASK_LEAVE : 0),
	};
	int rc;

	rc = pmuctl_request(ctl, WIRE_ASK, wire_ask_fields, &ask, wire_ask_reply_fields, &reply);
	if (rc == PMUCTL_OK)
		rc = wait_served(ctl, reply.count, deadline, epoch);
	if (rc == PMUCTL_OK && ctl->term)
		rc = wait_gone(ctl, deadline);
	return rc;
}

int pmuctl_checkpoint(struct pmuctl *ctl)
{
	uint64_t epoch;
	int rc = pmuctl_ask_checkpoint(ctl, &epoch);

	if (rc != PMUCTL_OK)
		return rc;
	if (ctl->json)
		printf("{\"epoch\": %" PRIu64 ", \"left\": %s}\n", epoch, ctl->term ? "true" : "false");
	else
		printf("job %s: epoch %" PRIu64 " is complete%s\n", ctl->job, epoch,
		       ctl->term ? ", and all ranks have left" : "");
	return rc;
}
