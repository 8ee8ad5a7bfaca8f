/* SPDX-License-Identifier: BSD-3-Clause */
/* restart.c - one launcher's restarts. */
#include "launch/restart.h"

#include <stdlib.h>
#include "launch/input.h"
#include "launch/mailbox.h"

struct restart {
	struct policy *policy;
	struct mailbox *mailbox;
	struct input *input; /* NULL: nothing is kept */
	int start_timeout_s;
	enum restart_stage stage;    /* of this incarnation */
	enum restart_stage farthest; /* of all before */
};

int restart_open(const struct restart_settings *settings, char *const *argv, struct restart **out,
		 struct error *err)
{
	struct restart *restart = calloc(1, sizeof(*restart));
	int rc;

	if (!restart)
		return error_nomem(err, "restarts");
	restart->start_timeout_s = settings->start_timeout_s;
	restart->farthest = RESTART_RUNNING;
	rc = policy_new(&settings->policy, argv, &restart->policy, err);
	if (!rc)
		rc = mailbox_open(&restart->mailbox, err);
	if (!rc && settings->stdin_max_bytes)
		rc = input_open(settings->stdin_max_bytes, &restart->input, err);
	if (rc) {
		restart_close(restart);
		return rc;
	}
	*out = restart;
	return 0;
}

void restart_close(struct restart *restart)
{
	if (!restart)
		return;
	input_close(restart->input);
	mailbox_close(restart->mailbox);
	policy_free(restart->policy);
	free(restart);
}

bool restart_finished(struct restart *restart)
{
	return mailbox_has(restart->mailbox, MAILBOX_FINALIZED, policy_incarnation(restart->policy));
}

void restart_reached(struct restart *restart, enum restart_stage stage)
{
	if (stage > restart->stage)
		restart->stage = stage;
}

/* What the ranks told is seen only when somebody looks. */
static void stage_update(struct restart *restart)
{
	if (mailbox_has(restart->mailbox, MAILBOX_BEGUN, policy_incarnation(restart->policy)))
		restart_reached(restart, RESTART_BEGUN);
}

bool restart_is_late(struct restart *restart, struct policy_failure *failure)
{
	stage_update(restart);
	if (restart->stage >= restart->farthest)
		return false;
	*failure = (struct policy_failure){.cause = POLICY_LATE, .code = restart->start_timeout_s};
	return true;
}

bool restart_failed(struct restart *restart, const struct policy_failure *failure)
{
	stage_update(restart);
	if (restart_finished(restart) || !policy_failed(restart->policy, failure))
		return false;
	if (restart->stage > restart->farthest)
		restart->farthest = restart->stage;
	restart->stage = RESTART_LAUNCHED;
	input_stop(restart->input);
	return true;
}

bool restart_begin(struct restart *restart)
{
	struct error err;

	if (!input_again(restart->input, &err))
		return true;
	policy_decline(restart->policy, err.text);
	return false;
}

void restart_environment(const struct restart *restart,
			 void (*set)(void *arg, const char *name, const char *value), void *arg)
{
	policy_environment(restart->policy, set, arg);
	set(arg, MAILBOX_VARIABLE, mailbox_address(restart->mailbox));
}

void restart_decline(struct restart *restart, const char *reason)
{
	policy_decline(restart->policy, reason);
}
