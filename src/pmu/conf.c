/* SPDX-License-Identifier: BSD-3-Clause */
/* conf.c - options of pmu-server: one table for the command line and the configuration file. */
#include "config.h"
#include "pmu/conf.h"

#include <argp.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <ini.h>
#include "common/address.h"
#include "common/identity.h"
#include "common/set.h"
#include "common/size.h"

enum kind { STRING, SIZE, NUMBER, FLAG, LEVEL, LISTEN };

static const struct conf_option {
	const char *name;
	int letter; /* 0: none */
	enum kind kind;
	size_t offset;
	uint64_t min, max; /* NUMBER, SIZE */
	const char *argument;
	const char *help;
} options[] = {
	{"pool", 'p', STRING, offsetof(struct conf, pool), 0, 0, "DIR",
	 "The pool's directory; made where it does not exist. Required."},
	{"data", 'd', STRING, offsetof(struct conf, data), 0, 0, "DIR-OR-DEVICE",
	 "Where the slots are kept, when the pool is made (the pool's directory): a directory, or a devdax device."},
	{"overwrite-device", 0, FLAG, offsetof(struct conf, overwrite_device), 0, 0, NULL,
	 "Take the device for a new pool although it is not empty: what it holds is lost."},
	{"shared-device", 0, FLAG, offsetof(struct conf, shared_device), 0, 0, NULL,
	 "Let several users' checkpoints lie on one device: no kernel keeps their network interfaces apart then."},
	{"size", 's', SIZE, offsetof(struct conf, size_bytes), 1 << 20, UINT64_MAX / 2, "SIZE",
	 "Bytes for checkpoints (8G)."},
	{"metadata-size", 0, SIZE, offsetof(struct conf, metadata_bytes), 16 << 20, 1ull << 40, "SIZE",
	 "Bytes for metadata, when the pool is made (64M)."},
	{"listen", 'l', LISTEN, 0, 0, 0, "ADDR[:PORT]",
	 "Address for clients, or unix:PATH; may be given up to 8 times (127.0.0.1:7300). Port 0: any."},
	{"net", 0, STRING, offsetof(struct conf, net), 0, 0, "NAME",
	 "Back end of the data plane: ofi is libfabric, verbs RDMA devices (ofi)."},
	{"fabric", 'f', STRING, offsetof(struct conf, fabric), 0, 0, "NAME",
	 "libfabric provider of the data plane, with --net ofi (tcp)."},
	{"fabric-listen", 0, STRING, offsetof(struct conf, fabric_listen), 0, 0, "ADDR[,ADDR]...",
	 "Address of the data plane (that of the first --listen); with --net verbs up to 4, of several devices or ports, over "
	 "which each client spreads its transfers."},
	{"local", 0, FLAG, offsetof(struct conf, local), 0, 0, "yes|no",
	 "Whether clients on this node, as the user whose job it is, map their own slots and copy by themselves (yes)."},
	{"persist", 0, STRING, offsetof(struct conf, persist), 0, 0, "METHOD",
	 "How sets become durable, with --net verbs on persistent memory: server, flush (clients do it by RDMA FLUSH) or "
	 "read (by a read; right only where what the network card writes passes the caches by, DDIO off) (server)."},
	{"auth", 'a', STRING, offsetof(struct conf, auth), 0, 0, "munge|psk|none",
	 "How clients prove who they are (psk). none: on loopback and UNIX sockets only."},
	{"munge-socket", 0, STRING, offsetof(struct conf, munge_socket), 0, 0, "FILE",
	 "The socket of munged, for --auth munge (MUNGE's own choice)."},
	{"key-file", 'k', STRING, offsetof(struct conf, key_file), 0, 0, "FILE",
	 "The key of psk; only its owner may be able to read it."},
	{"old-key-file", 0, STRING, offsetof(struct conf, old_key_file), 0, 0, "FILE",
	 "Another key that clients may have, while a new one takes its place."},
	{"user-keys", 0, STRING, offsetof(struct conf, user_keys), 0, 0, "DIR",
	 "Keys of users, each in a file named after the uid: who has one proves that, and not the key of all."},
	{"ready-file", 'r', STRING, offsetof(struct conf, ready_file), 0, 0, "FILE",
	 "Written once clients may connect: one line an address."},
	{"foreground", 'F', FLAG, offsetof(struct conf, foreground), 0, 0, NULL,
	 "Do not go to the background."},
	{"syslog", 0, FLAG, offsetof(struct conf, syslog), 0, 0, NULL,
	 "Log to syslog; else to stderr, and to syslog in the background."},
	{"log-level", 'L', LEVEL, offsetof(struct conf, log_level), 0, 0, "LEVEL",
	 "error, warning, info or debug (info)."},
	{"lease", 0, NUMBER, offsetof(struct conf, lease_s), 1, 86400, "SECONDS",
	 "A client that is silent for this long is dead (10)."},
	{"ni-threads", 0, NUMBER, offsetof(struct conf, ni_threads), 1, 64, "N",
	 "Threads of each user's network interface (2)."},
	{"ni-timeout", 0, NUMBER, offsetof(struct conf, ni_timeout_s), 1, 86400, "SECONDS",
	 "A network interface that takes longer for one order is ended and started anew (300)."},
	{"ni-seccomp", 0, FLAG, offsetof(struct conf, ni_seccomp), 0, 0, "yes|no",
	 "Whether network interfaces give up all system calls that they have no use for (yes)."},
	{"max-sessions", 0, NUMBER, offsetof(struct conf, max_sessions), 1, 1 << 20, "N",
	 "Clients at one time (4096)."},
	{"idle-exit", 0, NUMBER, offsetof(struct conf, idle_exit_s), 0, 1000000000, "SECONDS",
	 "End when there has been no client for this long; 0: never (0)."},
	{"check-blocks", 0, FLAG, offsetof(struct conf, check_blocks), 0, 0, NULL,
	 "Check every block's checksum before a set is published."},
	{"keep", 0, NUMBER, offsetof(struct conf, keep), 2, SETS_MAX, "N",
	 "Increments: the newest complete epochs of a job that are kept (4)."},
	{"keep-span", 0, NUMBER, offsetof(struct conf, keep_span_s), 0, 1000000000, "SECONDS",
	 "Increments: of older epochs, the last one of each span of this length is kept, too; 0: none (0)."},
	{"keep-spans", 0, NUMBER, offsetof(struct conf, keep_spans), 1, SETS_MAX, "N",
	 "How many spans back (24)."},
	{"merge-at", 0, NUMBER, offsetof(struct conf, merge_at), 0, SETS_MAX, "N",
	 "Increments: when so many of a region's sets need not be kept, they are merged with those that must; 0: "
	 "never (32)."},
	{"scrub-interval", 0, NUMBER, offsetof(struct conf, scrub_interval_s), 0, 1000000000, "SECONDS",
	 "Every set is read again once in this time, in the background, and checked; 0: never (604800, a week)."},
	{"admins", 0, STRING, offsetof(struct conf, admins), 0, 0, "USER[,USER]...",
	 "Who may list, verify, ask, fence and remove all users' jobs, besides root and the user that the server runs as."},
	{"quota-bytes", 0, SIZE, offsetof(struct conf, quotas[QUOTA_BYTES]), 0, UINT64_MAX / 2, "SIZE",
	 "Bytes that the regions of each user may take; 0: as much as there is (0). [user NAME] in the file has others."},
	{"quota-regions", 0, NUMBER, offsetof(struct conf, quotas[QUOTA_REGIONS]), 0, 1ull << 40, "N",
	 "Regions of each user, one for each rank of his jobs; 0: as many as there is room for (0)."},
	{"quota-sessions", 0, NUMBER, offsetof(struct conf, quotas[QUOTA_SESSIONS]), 0, 1ull << 40, "N",
	 "Sessions of each user at one time; 0: as many as there may be (0)."},
	{"accept-damage", 0, FLAG, offsetof(struct conf, accept_damage), 0, 0, NULL,
	 "Start although slot files are missing or short; their sets are given up."},
	{0},
};

#define KEY_CONFIG 'c'

struct given {
	const struct conf_option *option;
	const char *value;
};

struct reading {
	struct conf *conf;
	struct error *err;
	struct given given[64];
	unsigned given_count;
	const char *file;
	struct conf_user *user; /* whose section we are in; NULL: in none */
	char section[64];
	bool listen_from_file;
};

static const struct conf_option *option_find(const char *name)
{
	for (const struct conf_option *o = options; o->name; o++) {
		if (!strcmp(o->name, name))
			return o;
	}
	return NULL;
}

static int set_string(char **field, const char *value, struct error *err)
{
	char *copy = strdup(value);

	if (!copy)
		return error_nomem(err, "an option");
	free(*field);
	*field = copy;
	return 0;
}

static int set_number(const struct conf_option *o, uint64_t *field, const char *value, struct error *err)
{
	uint64_t number;

	if (size_parse(value, &number) || number < o->min || number > o->max)
		return error_set(err, -EINVAL, "%s: '%s' is not a %s from %llu to %llu", o->name, value,
				 o->kind == SIZE ? "size (4096, 64M, 8G)" : "number",
				 (unsigned long long)o->min, (unsigned long long)o->max);
	*field = number;
	return 0;
}

static int set_flag(const struct conf_option *o, bool *field, const char *value, struct error *err)
{
	if (!value || !strcasecmp(value, "yes") || !strcasecmp(value, "true") || !strcmp(value, "1"))
		*field = true;
	else if (!strcasecmp(value, "no") || !strcasecmp(value, "false") || !strcmp(value, "0"))
		*field = false;
	else
		return error_set(err, -EINVAL, "%s: '%s' is neither yes nor no", o->name, value);
	return 0;
}

static int option_set(struct conf *conf, const struct conf_option *o, const char *value, struct error *err)
{
	void *field = (char *)conf + o->offset;

	switch (o->kind) {
	case STRING:
		return set_string(field, value, err);
	case SIZE:
	case NUMBER:
		return set_number(o, field, value, err);
	case FLAG:
		return set_flag(o, field, value, err);
	case LEVEL:
		if (log_level_parse(value, field))
			return error_set(err, -EINVAL, "%s: '%s' is not error, warning, info or debug",
					 o->name, value);
		return 0;
	case LISTEN:
		if (conf->listen_count == CONF_LISTEN_MAX)
			return error_set(err, -EINVAL, "listen: at most %d addresses", CONF_LISTEN_MAX);
		return set_string(&conf->listen[conf->listen_count++], value, err);
	}
	return -EINVAL;
}

/* ---- the command line ---- */

/* argp's: above all letters, where there is none. */
static int option_key(const struct conf_option *o)
{
	return o->letter ? o->letter : 256 + (int)(o - options);
}

static error_t argp_option(int key, char *argument, struct argp_state *state)
{
	struct reading *reading = state->input;

	if (key == ARGP_KEY_ARG) {
		argp_error(state, "'%s' is not an option", argument);
		return EINVAL;
	}
	if (key == KEY_CONFIG) {
		reading->file = argument;
		return 0;
	}
	for (const struct conf_option *o = options; o->name; o++) {
		if (option_key(o) != key)
			continue;
		if (reading->given_count == sizeof(reading->given) / sizeof(reading->given[0]))
			argp_error(state, "too many options");
		reading->given[reading->given_count++] = (struct given){o, argument};
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

const char *argp_program_version = "pmu-server (Holdfast) " PACKAGE_VERSION;

static void command_line_read(int argc, char **argv, struct reading *reading)
{
	struct argp_option table[sizeof(options) / sizeof(options[0]) + 1] = {
		{"config", KEY_CONFIG, "FILE", 0, "Read options from FILE: lines of NAME = VALUE.", 0},
	};
	struct argp argp = {
		table, argp_option, NULL,
		"Serves persistent memory to MPI jobs for their checkpoints.\v"
		"SIGTERM ends it cleanly; SIGHUP makes it read the configuration file again.",
		NULL, NULL, NULL,
	};

	for (size_t i = 0; options[i].name; i++)
		table[i + 1] = (struct argp_option){options[i].name, option_key(&options[i]), options[i].argument, 0,
						    options[i].help, 0};
	argp_err_exit_status = EXIT_FAILURE;
	argp_parse(&argp, argc, argv, 0, NULL, reading);
}

/* ---- the file ---- */

/* The user whose section begins: his quotas are those of all, until it says something else. */
static int section_begin(struct reading *reading, const char *section)
{
	struct conf *conf = reading->conf;
	struct conf_user *user;
	uint32_t uid;

	reading->user = NULL;
	snprintf(reading->section, sizeof(reading->section), "%s", section);
	if (!*section)
		return 0;
	if (strncmp(section, "user ", 5))
		return error_set(reading->err, -EINVAL, "there are no sections like [%s], but [user NAME]", section);
	if (identity_user(section + 5, &uid))
		return error_set(reading->err, -EINVAL, "[%s]: there is no such user; write a name or a uid", section);
	for (user = conf->users; user; user = user->next) {
		if (user->uid == uid)
			return error_set(reading->err, -EINVAL, "[%s]: this user has a section already", section);
	}
	user = calloc(1, sizeof(*user));
	if (!user)
		return error_nomem(reading->err, "a user");
	*user = (struct conf_user){uid, {UINT64_MAX, UINT64_MAX, UINT64_MAX}, conf->users};
	conf->users = reading->user = user;
	return 0;
}

static int section_line(struct reading *reading, const char *name, const char *value)
{
	const struct conf_option *o = option_find(name);
	const size_t first = offsetof(struct conf, quotas);
	uint64_t *quotas = reading->user->quotas;

	if (!o || o->offset < first || o->offset - first >= sizeof(reading->user->quotas))
		return error_set(reading->err, -EINVAL, "[%s]: '%s' is none of quota-bytes, quota-regions and quota-sessions",
				 reading->section, name);
	return set_number(o, &quotas[(o->offset - first) / sizeof(*quotas)], value, reading->err);
}

static int file_line(void *arg, const char *section, const char *name, const char *value)
{
	struct reading *reading = arg;
	const struct conf_option *o;

	if (strcmp(section, reading->section) && section_begin(reading, section))
		return 0;
	if (reading->user)
		return !section_line(reading, name, value);
	o = option_find(name);
	if (!o) {
		error_set(reading->err, -EINVAL, "there is no option '%s'; pmu-server --help lists them",
			  name);
		return 0;
	}
	return !option_set(reading->conf, o, value, reading->err);
}

static int file_read(struct reading *reading)
{
	int line;

	reading->err->code = 0;
	line = ini_parse(reading->file, file_line, reading);
	if (line == -1)
		return error_set(reading->err, -errno, "configuration file %s: %s", reading->file,
				 strerror(errno));
	if (line < 0)
		return error_nomem(reading->err, "the configuration file");
	if (line > 0 && !reading->err->code)
		return error_set(reading->err, -EINVAL, "%s, line %d: write NAME = VALUE", reading->file,
				 line);
	if (line > 0)
		return error_context(reading->err, "%s, line %d", reading->file, line);
	return 0;
}

/* ---- who may what ---- */

static int admins_parse(struct conf *conf, struct error *err)
{
	char *list = strdup(conf->admins ? conf->admins : ""), *at, *name = list ? strtok_r(list, ", ", &at) : NULL;
	uint32_t *more;
	int rc = list ? 0 : error_nomem(err, "the administrators");

	for (; name && !rc; name = strtok_r(NULL, ", ", &at)) {
		more = reallocarray(conf->admin_uids, conf->admin_count + 1u, sizeof(*more));
		if (more)
			conf->admin_uids = more;
		if (!more)
			rc = error_nomem(err, "the administrators");
		else if (identity_user(name, &more[conf->admin_count]))
			rc = error_set(err, -EINVAL, "admins: there is no user '%s'; write names or uids, with commas between",
				       name);
		else
			conf->admin_count++;
	}
	free(list);
	return rc;
}

bool conf_is_admin(const struct conf *conf, uint32_t uid)
{
	for (unsigned i = 0; i < conf->admin_count; i++) {
		if (conf->admin_uids[i] == uid)
			return true;
	}
	return false;
}

uint64_t conf_quota_of(const struct conf *conf, uint32_t uid, enum conf_quota quota)
{
	const struct conf_user *user = conf->users;

	while (user && user->uid != uid)
		user = user->next;
	return user && user->quotas[quota] != UINT64_MAX ? user->quotas[quota] : conf->quotas[quota];
}

/* ---- all of it ---- */

static int defaults_set(struct conf *conf, struct error *err)
{
	*conf = (struct conf){
		.size_bytes = 8ull << 30,
		.log_level = LOG_LEVEL_INFO,
		.lease_s = 10,
		.ni_threads = 2,
		.max_sessions = 4096,
		.ni_timeout_s = 300,
		.ni_seccomp = true,
		.local = true,
		.keep = 4,
		.keep_spans = 24,
		.merge_at = 32,
		.scrub_interval_s = 604800,
	};
	if (set_string(&conf->net, "ofi", err) || set_string(&conf->auth, "psk", err) ||
	    set_string(&conf->persist, "server", err))
		return -ENOMEM;
	return 0;
}

static int conf_check(struct conf *conf, struct error *err)
{
	if (admins_parse(conf, err))
		return err->code;
	if (!conf->pool || !*conf->pool)
		return error_set(err, -EINVAL, "no pool: name its directory with --pool DIR");
	if (!strcmp(conf->auth, "psk") && !conf->key_file && !conf->user_keys)
		return error_set(err, -EINVAL,
				 "authentication psk needs a key: --key-file FILE "
				 "(head -c 32 /dev/urandom > FILE, chmod 600 FILE); or --auth none on "
				 "loopback");
	if (conf->fabric && strcmp(conf->net, "ofi") != 0)
		return error_set(err, -EINVAL, "--fabric names a provider of libfabric, which --net %s does not use: "
				 "leave it out", conf->net);
	if (conf->fabric_listen && strchr(conf->fabric_listen, ',') && strcmp(conf->net, "verbs") != 0)
		return error_set(err, -EINVAL, "--fabric-listen takes several addresses with --net verbs only: give one");
	if (!conf->fabric && set_string(&conf->fabric, strcmp(conf->net, "ofi") ? "" : "tcp", err))
		return -ENOMEM;
	if (!conf->listen_count)
		return set_string(&conf->listen[conf->listen_count++],
				  "127.0.0.1:" ADDRESS_PORT_DEFAULT, err);
	return 0;
}

int conf_read(int argc, char **argv, struct conf *conf, struct error *err)
{
	struct reading reading = {.conf = conf, .err = err};
	int rc;

	rc = defaults_set(conf, err);
	if (rc)
		return rc;
	command_line_read(argc, argv, &reading);
	if (reading.file) {
		rc = file_read(&reading);
		if (rc)
			return rc;
		reading.listen_from_file = conf->listen_count > 0;
	}
	for (unsigned i = 0; i < reading.given_count; i++) {
		const struct given *given = &reading.given[i];

		/* Addresses on the command line take the place of the file's. */
		if (given->option->kind == LISTEN && reading.listen_from_file) {
			while (conf->listen_count)
				free(conf->listen[--conf->listen_count]);
			memset(conf->listen, 0, sizeof(conf->listen));
			reading.listen_from_file = false;
		}
		rc = option_set(conf, given->option, given->value, err);
		if (rc)
			return error_context(err, "option --%s", given->option->name);
	}
	return conf_check(conf, err);
}

void conf_free(struct conf *conf)
{
	char **strings[] = {&conf->pool,	  &conf->data, &conf->net,	&conf->fabric,
			    &conf->fabric_listen, &conf->auth, &conf->key_file, &conf->ready_file, &conf->persist,
			    &conf->old_key_file,  &conf->user_keys, &conf->munge_socket, &conf->admins};
	struct conf_user *user;

	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		free(*strings[i]);
	for (unsigned i = 0; i < CONF_LISTEN_MAX; i++)
		free(conf->listen[i]);
	while ((user = conf->users)) {
		conf->users = user->next;
		free(user);
	}
	free(conf->admin_uids);
	*conf = (struct conf){0};
}
