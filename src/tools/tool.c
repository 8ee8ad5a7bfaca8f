/* SPDX-License-Identifier: BSD-3-Clause */
/* tool.c - what pmuctl, holdfast-checkpoint and holdfast-restart share: options, connection, requests. */
#include "config.h"
#include "tools/pmuctl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "client/embedded.h"
#include "common/clock.h"
#include "common/identity.h"
#include "common/share.h"
#include "common/size.h"

#define CONNECT_MS 5000

/* ---- requests ---- */

int pmuctl_request(struct pmuctl *ctl, enum wire_type type, wire_fields_fn *fields, void *message,
		   wire_fields_fn *reply_fields, void *reply)
{
	struct error err;
	int rc;

	rc = control_call(&ctl->control, type, fields, message, reply_fields, reply,
			  deadline_in_ms(ctl->timeout_ms), &err);
	if (!rc)
		return PMUCTL_OK;
	fprintf(stderr, "%s: %s\n", ctl->program, err.text);
	return rc == -ENOENT || rc == -ESRCH ? PMUCTL_NO_JOB : PMUCTL_ERROR;
}

int pmuctl_call(struct pmuctl *ctl, enum wire_type type, struct wire_target *target,
		wire_fields_fn *reply_fields, void *reply)
{
	return pmuctl_request(ctl, type, target ? wire_target_fields : wire_nothing_fields, target, reply_fields,
			      reply);
}

struct wire_target pmuctl_target(const struct pmuctl *ctl)
{
	struct wire_target target = {.uid = ctl->uid};

	if (ctl->job)
		snprintf(target.job, sizeof(target.job), "%s", ctl->job);
	return target;
}

/* The sets of `more`, which is the same region on a later page, behind those of `region`. False: no memory. */
static bool region_append(struct wire_region *region, struct wire_region *more)
{
	size_t count = (size_t)region->set_count + more->set_count;
	struct wire_set *sets = realloc(region->sets, (count + 1) * sizeof(*sets));

	if (!sets)
		return false;
	if (more->set_count)
		memcpy(sets + region->set_count, more->sets, more->set_count * sizeof(*sets));
	region->sets = sets;
	region->set_count = (uint32_t)count;
	more->set_count = 0;
	return true;
}

struct regions {
	struct pmuctl *ctl;
	int (*each)(struct pmuctl *ctl, const struct wire_region *region, void *arg);
	void *arg;
	struct wire_region begun; /* one that goes on with the next page; without `sets`: none */
};

/* The first region of a page may go on with that which was begun, and the last one (`more`) goes on. */
static int region_one(struct regions *regions, struct wire_region *region, bool more)
{
	int rc = PMUCTL_OK;

	if (regions->begun.sets && regions->begun.rank == region->rank) {
		if (!region_append(&regions->begun, region)) {
			fprintf(stderr, "%s: no memory for the sets of rank %u\n", regions->ctl->program, region->rank);
			return PMUCTL_ERROR;
		}
	} else {
		wire_region_free(&regions->begun);
		regions->begun = *region;
		*region = (struct wire_region){0};
	}
	if (!more) {
		rc = regions->each(regions->ctl, &regions->begun, regions->arg);
		wire_region_free(&regions->begun);
	}
	return rc;
}

static int regions_page(struct regions *regions, struct wire_target *target, struct wire_job *job)
{
	struct wire_show_reply reply = {0};
	int rc;

	rc = pmuctl_call(regions->ctl, WIRE_SHOW, target, wire_show_reply_fields, &reply);
	for (uint32_t i = 0; i < reply.count && rc == PMUCTL_OK; i++)
		rc = region_one(regions, &reply.regions[i], i + 1 == reply.count && reply.next_epoch);
	if (rc == PMUCTL_OK && (reply.next || reply.next_epoch) &&
	    (reply.next < target->rank || (reply.next == target->rank && reply.next_epoch <= target->epoch))) {
		fprintf(stderr, "%s: the server's list does not come to its end\n", regions->ctl->program);
		rc = PMUCTL_ERROR;
	}
	target->rank = reply.next;
	target->epoch = reply.next_epoch;
	if (job)
		*job = reply.job;
	if (reply.command.command.bytes) {
		free(regions->ctl->command.text);
		regions->ctl->command = reply.command.command;
		reply.command.command.text = NULL;
	}
	wire_show_reply_free(&reply);
	return rc;
}

int pmuctl_each_region(struct pmuctl *ctl,
		       int (*each)(struct pmuctl *ctl, const struct wire_region *region, void *arg),
		       void *arg, struct wire_job *job)
{
	struct regions regions = {.ctl = ctl, .each = each, .arg = arg};
	struct wire_target target = pmuctl_target(ctl);
	int rc;

	do {
		rc = regions_page(&regions, &target, job);
	} while (rc == PMUCTL_OK && (target.rank || target.epoch));
	wire_region_free(&regions.begun);
	return rc;
}

const char *pmuctl_time(uint64_t ns)
{
	time_t seconds = (time_t)(ns / 1000000000u);
	static char text[32];
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%F %T", &tm);
	return text;
}

const char *pmuctl_age(uint64_t ns)
{
	static const struct {
		const char *unit;
		uint64_t seconds;
	} units[] = {{"days", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};
	uint64_t now = clock_realtime_ns(), age = now > ns ? (now - ns) / 1000000000u : 0;
	static char text[32];
	unsigned i = 0;

	/* Of two of a unit on: less would be too rough. */
	while (units[i].seconds > 1 && age < 2 * units[i].seconds)
		i++;
	snprintf(text, sizeof(text), "%" PRIu64 " %s", age / units[i].seconds, units[i].unit);
	return text;
}

const char *pmuctl_share_name(uint32_t share)
{
	return share == JOB_SHARE_RUN ? "run" : share == JOB_SHARE_READ ? "read" : "no";
}

/* ---- options ---- */

enum { KEY_AUTH = 256, KEY_KEY_FILE, KEY_TIMEOUT };

static const struct argp_option option_table[] = {
	{"server", 's', "ADDRESS", 0, "HOST[:PORT] or unix:PATH (HOLDFAST_SERVER; else this node's own)", 0},
	{"auth", KEY_AUTH, "munge|psk|none", 0, "how to prove who we are (HOLDFAST_AUTH)", 0},
	{"key-file", KEY_KEY_FILE, "FILE", 0, "the key of psk (HOLDFAST_KEY_FILE)", 0},
	{"user", 'u', "USER", 0, "the jobs of this user (name or uid): one who shares them, or (administrators) any", 0},
	{"uid", 'u', NULL, OPTION_ALIAS | OPTION_HIDDEN, NULL, 0},
	{"timeout", KEY_TIMEOUT, "SECONDS", 0,
	 "how long the server may take to answer, and a job for its checkpoint (600)", 0},
	{0},
};

static int replace(char **field, const char *value)
{
	free(*field);
	*field = strdup(value);
	return *field ? 0 : ENOMEM;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct pmuctl *ctl = state->input;
	uint64_t number;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = ctl;
		return 0;
	case 's':
		ctl->server_given = true;
		return replace(&ctl->options.server, argument);
	case KEY_AUTH:
		return replace(&ctl->options.auth, argument);
	case KEY_KEY_FILE:
		return replace(&ctl->options.key_file, argument);
	case 'u':
		if (identity_user(argument, &ctl->uid))
			argp_error(state, "there is no user '%s'", argument);
		return 0;
	case KEY_TIMEOUT:
		if (size_parse(argument, &number) || number >= UINT32_MAX)
			argp_error(state, "'%s' is no number", argument);
		else
			ctl->timeout_ms = number * 1000;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

error_t pmuctl_parse_job(int key, char *argument, struct argp_state *state)
{
	struct pmuctl *ctl = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (ctl->job)
			argp_error(state, "'%s' is one argument too many", argument);
		ctl->job = argument;
		return 0;
	case ARGP_KEY_END:
		if (!ctl->job)
			argp_error(state, "which job? 'pmuctl jobs' lists them");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int parse(struct pmuctl *ctl, const struct argp *own, int argc, char **argv)
{
	const struct argp more = {.options = own->options, .parser = own->parser};
	const struct argp_child children[] = {{&more, 0, NULL, 0}, {0}};
	const struct argp all = {
		option_table, parse_option, own->args_doc, own->doc, children, own->help_filter, NULL,
	};
	static char version[64];

	snprintf(version, sizeof(version), "%s (Holdfast) " PACKAGE_VERSION, ctl->program);
	argp_program_version = version;
	argp_err_exit_status = PMUCTL_USAGE;
	return argp_parse(&all, argc, argv, 0, NULL, ctl) ? PMUCTL_USAGE : PMUCTL_OK;
}

/* ---- from beginning to end ---- */

static int configure(struct pmuctl *ctl, const char *program)
{
	struct error err;

	*ctl = (struct pmuctl){
		.program = program,
		.uid = WIRE_UID_SELF,
		.timeout_ms = 600000,
		.control = {.fd = -1},
	};
	if (!options_load(&ctl->options, &err))
		return PMUCTL_OK;
	fprintf(stderr, "%s: %s\n", program, err.text);
	return PMUCTL_USAGE;
}

/* Where no server is named, that of this node and user. */
static int server_find(const struct options *options, struct embedded *own, struct client_options *client,
		       struct error *err)
{
	int rc;

	if (options->server)
		return 0;
	rc = embedded_locate(options, own, err);
	if (!rc)
		rc = embedded_find(own, err);
	client->server = own->address;
	client->auth = "none";
	return rc;
}

static int server_connect(struct pmuctl *ctl)
{
	struct client_options client = {
		.server = ctl->options.server,
		.auth = ctl->options.auth,
		.key_file = ctl->options.key_file,
		.munge_socket = ctl->options.munge_socket,
		.server_user = ctl->options.server_user,
	};
	struct embedded own = {.started = false};
	struct error err;
	int rc;

	rc = server_find(&ctl->options, &own, &client, &err);
	if (rc) {
		fprintf(stderr, "%s: %s; -s HOST[:PORT] names another\n", ctl->program, err.text);
		return rc == -EINVAL ? PMUCTL_USAGE : PMUCTL_ERROR;
	}
	if (control_connect(&client, deadline_in_ms(CONNECT_MS), &ctl->control, &err)) {
		fprintf(stderr, "%s: %s\n", ctl->program, err.text);
		return PMUCTL_ERROR;
	}
	return PMUCTL_OK;
}

int pmuctl_main(struct pmuctl *ctl, const char *program, const struct argp *own, int (*run)(struct pmuctl *ctl),
		int argc, char **argv)
{
	int rc = configure(ctl, program);

	if (rc == PMUCTL_OK)
		rc = parse(ctl, own, argc, argv);
	if (rc == PMUCTL_OK)
		rc = server_connect(ctl);
	if (rc == PMUCTL_OK)
		rc = run(ctl);
	control_close(&ctl->control);
	free(ctl->command.text);
	options_free(&ctl->options);
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "%s: stdout: %s\n", ctl->program, strerror(errno));
		rc = rc ? rc : PMUCTL_ERROR;
	}
	return rc;
}
