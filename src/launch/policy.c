/* SPDX-License-Identifier: BSD-3-Clause */
/* policy.c - how often, after what, and what the ranks are told. */
#include "launch/policy.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <jansson.h>
#include <sodium.h>
#include "common/clock.h"

#define CAUSE_BYTES   256
#define LAUNCH_BYTES  16
#define CODES_MAX     32
#define COMMAND_BYTES 16384 /* longer command lines are not recorded */

struct policy {
	struct policy_settings settings;
	int final_codes[CODES_MAX];
	unsigned final_count;
	unsigned incarnation;
	unsigned crashes; /* incarnations in a row that ended by the application's own fault */
	uint64_t *restarts_ns; /* monotonic, the latest max_restarts of them, a ring */
	char launch[2 * LAUNCH_BYTES + 1];
	uint64_t launch_ns, failed_ns; /* since the epoch */
	char cause[CAUSE_BYTES];
	char *command, *directory; /* NULL: not recorded */
};

static int codes_read(struct policy *policy, struct error *err)
{
	const char *at = policy->settings.final_codes ? policy->settings.final_codes : "";
	char *end;
	long code;

	while (*at) {
		errno = 0;
		code = strtol(at, &end, 10);
		if (errno || end == at || (*end && *end != ',') || code < 1 || code > 255)
			return error_set(err, -EINVAL, "'%s' is no list of exit codes (1 to 255, with commas)",
					 policy->settings.final_codes);
		if (policy->final_count == CODES_MAX)
			return error_set(err, -EINVAL, "more than %d exit codes", CODES_MAX);
		policy->final_codes[policy->final_count++] = (int)code;
		at = *end ? end + 1 : end;
	}
	return 0;
}

/* What cannot be recorded is left out: a restart by hand needs it, this run does not. */
static void command_keep(struct policy *policy, char *const *argv)
{
	json_t *list = json_array();

	for (; list && argv && *argv; argv++) {
		if (json_array_append_new(list, json_string(*argv))) {
			json_decref(list);
			return; /* no UTF-8 */
		}
	}
	if (json_array_size(list)) {
		policy->command = json_dumps(list, JSON_COMPACT);
		policy->directory = getcwd(NULL, 0);
	}
	json_decref(list);
	if (policy->command && strlen(policy->command) > COMMAND_BYTES) {
		free(policy->command);
		policy->command = NULL;
	}
}

int policy_new(const struct policy_settings *settings, char *const *argv, struct policy **out,
	       struct error *err)
{
	struct policy *policy = calloc(1, sizeof(*policy));
	uint8_t launch[LAUNCH_BYTES];
	int rc;

	if (!policy)
		return error_nomem(err, "the policy of restarts");
	policy->settings = *settings;
	if (policy->settings.max_restarts < 0)
		policy->settings.max_restarts = 0;
	rc = codes_read(policy, err);
	if (rc)
		goto err_free;
	policy->restarts_ns = calloc((size_t)policy->settings.max_restarts + 1, sizeof(uint64_t));
	if (!policy->restarts_ns || sodium_init() < 0) {
		rc = error_nomem(err, "the policy of restarts");
		goto err_free;
	}
	randombytes_buf(launch, sizeof(launch));
	sodium_bin2hex(policy->launch, sizeof(policy->launch), launch, sizeof(launch));
	policy->launch_ns = clock_realtime_ns();
	command_keep(policy, argv);
	*out = policy;
	return 0;

err_free:
	policy_free(policy);
	return rc;
}

void policy_free(struct policy *policy)
{
	if (!policy)
		return;
	free(policy->restarts_ns);
	free(policy->command);
	free(policy->directory);
	free(policy);
}

unsigned policy_incarnation(const struct policy *policy)
{
	return policy->incarnation;
}

static void cause_write(struct policy *policy, const struct policy_failure *f)
{
	char who[CAUSE_BYTES / 2];

	snprintf(who, sizeof(who), "rank %u%s%.64s", f->rank, f->node ? " on " : "", f->node ? f->node : "");
	switch (f->cause) {
	case POLICY_SIGNAL:
		snprintf(policy->cause, CAUSE_BYTES, "%s was killed by signal %d (%s)", who, f->code,
			 strsignal(f->code));
		break;
	case POLICY_EXIT:
		snprintf(policy->cause, CAUSE_BYTES, "%s exited with code %d", who, f->code);
		break;
	case POLICY_NO_FINALIZE:
		snprintf(policy->cause, CAUSE_BYTES, "%s exited without MPI_Finalize", who);
		break;
	case POLICY_ABORT:
		snprintf(policy->cause, CAUSE_BYTES, "%s called MPI_Abort with code %d", who, f->code);
		break;
	case POLICY_NODE:
		snprintf(policy->cause, CAUSE_BYTES, "node %.64s was lost", f->node ? f->node : "(unknown)");
		break;
	case POLICY_START:
		snprintf(policy->cause, CAUSE_BYTES, "%s could not be started", who);
		break;
	case POLICY_LATE:
		snprintf(policy->cause, CAUSE_BYTES, "the job did not get under way within %d s (start_timeout)",
			 f->code);
		break;
	case POLICY_JOB:
		if (f->code)
			snprintf(policy->cause, CAUSE_BYTES, "the job ended with exit code %d", f->code);
		else
			snprintf(policy->cause, CAUSE_BYTES, "the job ended without reaching MPI_Finalize");
		break;
	}
}

/* SIGKILL comes from outside, as a lost node does; who never began has no fault in its state. */
static bool is_crash(const struct policy_failure *failure)
{
	if (failure->cause == POLICY_JOB)
		return failure->code && failure->code != SIGKILL && failure->code != 128 + SIGKILL;
	return failure->cause != POLICY_NODE && failure->cause != POLICY_START && failure->cause != POLICY_LATE &&
	       !(failure->cause == POLICY_SIGNAL &&
		 (failure->code == SIGKILL || failure->code == SIGTERM || failure->code == SIGINT));
}

static bool is_final(const struct policy *policy, const struct policy_failure *failure)
{
	if (failure->cause != POLICY_EXIT && failure->cause != POLICY_ABORT && failure->cause != POLICY_JOB)
		return false;
	for (unsigned i = 0; i < policy->final_count; i++) {
		if (policy->final_codes[i] == failure->code)
			return true;
	}
	return false;
}

/* Is there a restart left within the window? */
static bool restart_take(struct policy *policy)
{
	unsigned max = (unsigned)policy->settings.max_restarts;
	uint64_t now = clock_monotonic_ns(), *oldest;

	if (!max)
		return false;
	oldest = &policy->restarts_ns[policy->incarnation % max];
	if (policy->incarnation >= max &&
	    (!policy->settings.window_s ||
	     now - *oldest < (uint64_t)policy->settings.window_s * 1000000000u))
		return false;
	*oldest = now;
	return true;
}

bool policy_failed(struct policy *policy, const struct policy_failure *failure)
{
	char within[48] = "";

	cause_write(policy, failure);
	policy->failed_ns = clock_realtime_ns();
	if (is_final(policy, failure)) {
		policy_decline(policy, "this exit code asks for none");
		return false;
	}
	if (!restart_take(policy)) {
		if (policy->settings.window_s)
			snprintf(within, sizeof(within), " within %d s", policy->settings.window_s);
		fprintf(stderr,
			"holdfast: %s: not started again after %d restarts%s (max_restarts, window); the same "
			"command goes on from the last checkpoint where the job has a name\n",
			policy->cause, policy->settings.max_restarts, within);
		return false;
	}
	policy->crashes = is_crash(failure) ? policy->crashes + 1 : 0;
	policy->incarnation++;
	fprintf(stderr, "holdfast: %s: the job is started again (restart %u)\n", policy->cause,
		policy->incarnation);
	return true;
}

void policy_decline(struct policy *policy, const char *reason)
{
	fprintf(stderr, "holdfast: %s%sthe job is not started again: %s\n", policy->cause,
		*policy->cause ? ": " : "", reason);
}

void policy_environment(const struct policy *policy,
			void (*set)(void *arg, const char *name, const char *value), void *arg)
{
	char number[32];

	set(arg, "HOLDFAST_LAUNCH", policy->launch);
	snprintf(number, sizeof(number), "%llu", (unsigned long long)policy->launch_ns);
	set(arg, "HOLDFAST_LAUNCH_NS", number);
	snprintf(number, sizeof(number), "%u", policy->incarnation);
	set(arg, "HOLDFAST_INCARNATION", number);
	if (policy->command && policy->directory) {
		set(arg, "HOLDFAST_COMMAND", policy->command);
		set(arg, "HOLDFAST_COMMAND_DIR", policy->directory);
	}
	if (!policy->incarnation)
		return;
	set(arg, "HOLDFAST_RESTART", policy->cause);
	snprintf(number, sizeof(number), "%llu", (unsigned long long)policy->failed_ns);
	set(arg, "HOLDFAST_RESTART_NS", number);
	snprintf(number, sizeof(number), "%u", policy->crashes);
	set(arg, "HOLDFAST_CRASHES", number);
}
