/* SPDX-License-Identifier: BSD-3-Clause */
/* option.c - the table of configuration variables, and where their values come from. */
#include "client/option.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/set.h"
#include "common/size.h"

#define PATH_BYTES  4096
#define SYSTEM_FILE SYSCONFDIR "/holdfast/holdfast.conf"

enum option_type {
	TYPE_STRING, TYPE_SIZE, TYPE_BLOCK, TYPE_SECONDS, TYPE_INTERVAL, TYPE_COUNT, TYPE_EPOCH, TYPE_SIGNAL, TYPE_BOOL
};

struct option {
	struct option_text text;
	enum option_type type;
	size_t offset;	     /* in struct options */
	const char *allowed; /* of a string: its words, with '|' between them; NULL for any */
};

#define OPTION(name, type, field, fallback, allowed, help)                                         \
	{{name, fallback, help}, type, offsetof(struct options, field), allowed}

static const struct option table[] = {
	OPTION("server", TYPE_STRING, server, "", NULL,
	       "pmu-server to use: HOST[:PORT], [V6ADDR]:PORT or unix:PATH; without one, a server of the "
	       "user's own on each node"),
	OPTION("job", TYPE_STRING, job, "", NULL,
	       "name of the job; without one it is called after the batch job, else after this run"),
	OPTION("owner", TYPE_STRING, owner, "", NULL,
	       "user (name or uid) who shares the job with a group of yours: 'pmuctl share --run'; without one it is your own"),
	OPTION("mode", TYPE_STRING, mode, "full", "full|incremental",
	       "full: every checkpoint is whole; incremental: it is what changed since the last one, where that is less"),
	OPTION("chain", TYPE_COUNT, chain, "100", NULL,
	       "in mode incremental: increments between two full checkpoints, at most"),
	OPTION("tracker", TYPE_STRING, tracker, "auto", "auto|hash|uffd",
	       "in mode incremental: how changes are found; hash reads all, uffd has the kernel watch writes, auto tries both"),
	OPTION("threads", TYPE_COUNT, threads, "0", NULL,
	       "threads of a rank that look for changes (mode incremental), copy to and from a server on this node, or make "
	       "checksums of what another one sends, at a time; 0: one for each processor that is free for it, at most 8"),
	OPTION("async", TYPE_STRING, async, "auto", "auto|stage|cow",
	       "asynchronous checkpoints: stage copies all when one starts, cow protects pages and copies those that are "
	       "written meanwhile; auto takes cow where the kernel offers it and few are"),
	OPTION("stage_bytes", TYPE_SIZE, stage_bytes, "0", NULL,
	       "asynchronous checkpoints: memory of a rank for such copies, at most; what finds no room there is shipped "
	       "before the application goes on; 0: as much as it takes"),
	OPTION("interval", TYPE_INTERVAL, interval_ms, "600", NULL,
	       "seconds between checkpoints, for hf_due(); 0: it never says so; auto: the best for what a "
	       "checkpoint costs and how often the job fails"),
	OPTION("mtbf", TYPE_SECONDS, mtbf_ms, "86400", NULL,
	       "mean seconds between failures, for interval = auto, until they are seen to be fewer"),
	OPTION("fabric", TYPE_STRING, fabric, "", NULL,
	       "provider of the network back end; the server's own choice without it"),
	OPTION("fabric_device", TYPE_STRING, fabric_device, "", NULL,
	       "back end verbs: RDMA device of the rank, NAME or NAME:PORT, or an address of its interface; the nearest one "
	       "on the server's network without it; several, with commas between, are for the server's rails in turn"),
	OPTION("net", TYPE_STRING, net, "", NULL,
	       "network back end of the data plane; the best one without it"),
	OPTION("auth", TYPE_STRING, auth, "", "munge|psk|none",
	       "how to authenticate; psk where key_file is set, else none"),
	OPTION("key_file", TYPE_STRING, key_file, "", NULL,
	       "file with the pre-shared key, readable by its owner only"),
	OPTION("munge_socket", TYPE_STRING, munge_socket, "", NULL,
	       "auth = munge: the socket of this node's munged; MUNGE's own choice without it"),
	OPTION("server_user", TYPE_STRING, server_user, "holdfast", NULL,
	       "auth = munge: the user (name or uid) whose pmu-server is the right one, besides root's and your own"),
	OPTION("timeout", TYPE_SECONDS, timeout_ms, "10", NULL,
	       "seconds for one request or transfer"),
	OPTION("reconnect", TYPE_SECONDS, reconnect_ms, "30", NULL,
	       "seconds for which a server that went away is tried again"),
	OPTION("block", TYPE_BLOCK, block_bytes, "64K", NULL,
	       "bytes that have one checksum, and the least that an increment sends; 4K to 4M, a power of 2"),
	OPTION("chunk", TYPE_SIZE, chunk_bytes, "0", NULL,
	       "bytes of one transfer; 0: what suits the back end"),
	OPTION("window", TYPE_COUNT, window, "0", NULL,
	       "transfers under way at a time; 0: what suits the back end"),
	OPTION("pace", TYPE_SIZE, pace_bytes, "0", NULL,
	       "bytes a second that each rank's checkpoints may take of the network, at most; 0: as many as they can"),
	OPTION("pool", TYPE_STRING, pool, "", NULL,
	       "without a server: directory for the pool of this node's own; below the user's state "
	       "directory without it"),
	OPTION("pool_size", TYPE_SIZE, pool_size, "0", NULL,
	       "without a server: bytes of that pool; 0: half of the room there, at most 64 GiB"),
	OPTION("pool_idle", TYPE_SECONDS, pool_idle_ms, "600", NULL,
	       "without a server: seconds after which that of this node ends when nobody uses it; 0: never"),
	OPTION("epoch", TYPE_EPOCH, epoch, "0", NULL,
	       "complete epoch to restore, whatever newer ones there are, which are passed over; 0: the newest"),
	OPTION("checkpoint_signal", TYPE_SIGNAL, checkpoint_signal, "USR1", NULL,
	       "signal that asks for a checkpoint at the next hf_due(), or none"),
	OPTION("leave_signal", TYPE_SIGNAL, leave_signal, "USR2", NULL,
	       "signal that asks for a checkpoint and to leave after it, with exit code 75, or none"),
	OPTION("takeover", TYPE_BOOL, takeover, "no", NULL,
	       "take the job over although another run of it is alive, which is cut off"),
	OPTION("verbose", TYPE_BOOL, verbose, "no", NULL,
	       "rank 0 says on stderr what is done, and how long it took"),
};

#define TABLE_LENGTH (sizeof(table) / sizeof(table[0]))

static char *overrides[TABLE_LENGTH];

static const struct option *option_find(const char *name)
{
	for (size_t i = 0; i < TABLE_LENGTH; i++)
		if (!strcmp(table[i].text.name, name))
			return &table[i];
	return NULL;
}

const struct option_text *option_at(size_t index)
{
	return index < TABLE_LENGTH ? &table[index].text : NULL;
}

int option_override(const char *name, const char *value)
{
	const struct option *option = option_find(name);
	char *copy = NULL;

	if (!option)
		return -EINVAL;
	if (value && *value) {
		copy = strdup(value);
		if (!copy)
			return -ENOMEM;
	}
	free(overrides[option - table]);
	overrides[option - table] = copy;
	return 0;
}

static bool is_word(const char *allowed, const char *value)
{
	size_t length = strlen(value);

	while (length && *allowed) {
		size_t word = strcspn(allowed, "|");

		if (word == length && !strncmp(allowed, value, length))
			return true;
		allowed += word + (allowed[word] == '|');
	}
	return false;
}

static int parse_seconds(const char *text, uint64_t *ms)
{
	double seconds;
	char *end;

	if (!isdigit((unsigned char)*text) && *text != '.')
		return -EINVAL;
	errno = 0;
	seconds = strtod(text, &end);
	if (errno || end == text || *end || strpbrk(text, "xXpPeE") || seconds > 1e9)
		return -EINVAL;
	*ms = (uint64_t)(seconds * 1000 + 0.5);
	/* What is not nothing must not be rounded to 0, which has a meaning of its own. */
	if (!*ms && seconds > 0)
		*ms = 1;
	return 0;
}

static int parse_interval(const char *text, uint64_t *ms)
{
	if (strcmp(text, "auto"))
		return parse_seconds(text, ms);
	*ms = INTERVAL_AUTO;
	return 0;
}

static int parse_count(const char *text, uint64_t most, uint64_t *count)
{
	unsigned long value;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *end || value > most)
		return -EINVAL;
	*count = value;
	return 0;
}

/* Of those that a process may catch and go on. */
static int parse_signal(const char *text, int *number)
{
	static const int signals[] = {SIGUSR1, SIGUSR2, SIGHUP, SIGINT,	 SIGTERM, SIGALRM,
				      SIGURG,  SIGXCPU, SIGPWR, SIGCONT, SIGQUIT, SIGWINCH};

	if (!strcmp(text, "none")) {
		*number = 0;
		return 0;
	}
	if (!strncmp(text, "SIG", 3))
		text += 3;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		if (strcmp(sigabbrev_np(signals[i]), text))
			continue;
		*number = signals[i];
		return 0;
	}
	return -EINVAL;
}

static int parse_bool(const char *text, bool *value)
{
	if (is_word("1|yes|true|on", text))
		*value = true;
	else if (is_word("0|no|false|off", text))
		*value = false;
	else
		return -EINVAL;
	return 0;
}

/* Sets one variable. `where` names the source in the message. */
static int option_set(const struct option *option, struct options *options, const char *value,
		      const char *where, struct error *err)
{
	void *field = (char *)options + option->offset;
	const char *allowed = "";
	bool ok = true;
	char *copy;

	switch (option->type) {
	case TYPE_STRING:
		ok = !option->allowed || is_word(option->allowed, value);
		allowed = option->allowed;
		break;
	case TYPE_SIZE:
		ok = !size_parse(value, field);
		allowed = "a size, such as 4096, 64K or 1M";
		break;
	case TYPE_BLOCK:
		ok = !size_parse(value, field) && set_block_ok(*(uint64_t *)field);
		allowed = "a power of 2 from 4K to 4M, such as 4096, 64K or 1M";
		break;
	case TYPE_SECONDS:
		ok = !parse_seconds(value, field);
		allowed = "a number of seconds, such as 10 or 0.5";
		break;
	case TYPE_INTERVAL:
		ok = !parse_interval(value, field);
		allowed = "auto, or a number of seconds, such as 10 or 0.5";
		break;
	case TYPE_COUNT:
		ok = !parse_count(value, 1000000, field);
		allowed = "a whole number from 0 to 1000000";
		break;
	case TYPE_EPOCH:
		ok = !parse_count(value, UINT64_MAX, field);
		allowed = "the number of an epoch, or 0";
		break;
	case TYPE_SIGNAL:
		ok = !parse_signal(value, field);
		allowed = "USR1, USR2, HUP, INT, TERM, ALRM, URG, XCPU, PWR, CONT, QUIT, WINCH or none";
		break;
	case TYPE_BOOL:
		ok = !parse_bool(value, field);
		allowed = "yes or no";
		break;
	}
	if (!ok)
		return error_set(err, -EINVAL, "%s: %s cannot be \"%s\"; allowed: %s", where,
				 option->text.name, value, allowed);
	if (option->type != TYPE_STRING)
		return 0;
	copy = strdup(value);
	if (!copy)
		return error_set(err, -ENOMEM, "out of memory for the configuration");
	free(*(char **)field);
	*(char **)field = copy;
	return 0;
}

/* A file on its way through the parser. */
struct file {
	FILE *stream;
	const char *path;
	struct options *options;
	struct error *err;
	unsigned line;
	int code;
};

/*
 * Reads a line for the parser and counts it, for messages. Leading blanks go: the parser would take an
 * indented line for more of the value above.
 */
static char *file_line(char *line, int capacity, void *stream)
{
	struct file *file = stream;
	size_t blanks;

	if (file->code || !fgets(line, capacity, file->stream))
		return NULL;
	file->line++;
	if (!strchr(line, '\n') && !feof(file->stream)) {
		file->code = error_set(file->err, -EINVAL, "%s:%u: the line is longer than %d bytes",
				       file->path, file->line, capacity - 2);
		return NULL;
	}
	blanks = strspn(line, " \t");
	memmove(line, line + blanks, strlen(line + blanks) + 1);
	return line;
}

static int file_variable(void *user, const char *section, const char *name, const char *value)
{
	struct file *file = user;
	const struct option *option = option_find(name);
	char where[PATH_BYTES + 32];

	if (file->code)
		return 0;
	if (*section) {
		file->code = error_set(file->err, -EINVAL,
				       "%s:%u: there are no sections in this file, but [%s]",
				       file->path, file->line, section);
		return 0;
	}
	if (!option) {
		char names[512] = "";

		for (size_t i = 0; i < TABLE_LENGTH; i++)
			snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
				 i ? ", " : "", table[i].text.name);
		file->code = error_set(file->err, -EINVAL,
				       "%s:%u: there is no variable \"%s\"; allowed: %s", file->path,
				       file->line, name, names);
		return 0;
	}
	if (!*value)
		return 1;
	snprintf(where, sizeof(where), "%s:%u", file->path, file->line);
	file->code = option_set(option, file->options, value, where, file->err);
	return file->code == 0;
}

/* Reads one file; one that does not exist is an error only where it `must` be there. */
static int file_read(const char *path, bool must, struct options *options, struct error *err)
{
	struct file file = {.path = path, .options = options, .err = err};
	int line;

	file.stream = fopen(path, "re");
	if (!file.stream) {
		if (!must && (errno == ENOENT || errno == ENOTDIR))
			return 0;
		return error_set(err, -EINVAL, "cannot read the configuration file %s: %s", path,
				 strerror(errno));
	}
	line = ini_parse_stream(file_line, &file, file_variable, &file);
	if (!file.code && ferror(file.stream))
		file.code = error_set(err, -EINVAL, "cannot read the configuration file %s: %s", path,
				      strerror(errno));
	fclose(file.stream);
	if (!file.code && line < 0)
		file.code = error_set(err, -ENOMEM, "out of memory for the configuration file %s",
				      path);
	if (!file.code && line)
		file.code = error_set(err, -EINVAL, "%s:%d: not a line of the form \"name = value\"",
				      path, line);
	return file.code;
}

static int files_read(struct options *options, struct error *err)
{
	const char *named = getenv("HOLDFAST_CONFIG"), *home = getenv("HOME");
	char path[PATH_BYTES];
	int code;

	if (named && *named)
		return file_read(named, true, options, err);
	code = file_read(SYSTEM_FILE, false, options, err);
	if (code || !home || !*home)
		return code;
	if ((size_t)snprintf(path, sizeof(path), "%s/.config/holdfast.conf", home) >= sizeof(path))
		return 0;
	return file_read(path, false, options, err);
}

static int environment_read(struct options *options, struct error *err)
{
	for (size_t i = 0; i < TABLE_LENGTH; i++) {
		char name[64] = "HOLDFAST_", where[96];
		size_t at = strlen(name);
		const char *value;
		int code;

		for (const char *c = table[i].text.name; *c; c++)
			name[at++] = (char)toupper((unsigned char)*c);
		name[at] = '\0';
		value = getenv(name);
		if (!value || !*value)
			continue;
		snprintf(where, sizeof(where), "environment variable %s", name);
		code = option_set(&table[i], options, value, where, err);
		if (code)
			return code;
	}
	return 0;
}

static int overrides_read(struct options *options, struct error *err)
{
	for (size_t i = 0; i < TABLE_LENGTH; i++) {
		char where[96];
		int code;

		if (!overrides[i])
			continue;
		snprintf(where, sizeof(where), "MCA variable hook_holdfast_%s", table[i].text.name);
		code = option_set(&table[i], options, overrides[i], where, err);
		if (code)
			return code;
	}
	return 0;
}

static int defaults_set(struct options *options, struct error *err)
{
	for (size_t i = 0; i < TABLE_LENGTH; i++) {
		int code;

		if (!*table[i].text.fallback)
			continue;
		code = option_set(&table[i], options, table[i].text.fallback, "default", err);
		if (code)
			return code;
	}
	return 0;
}

/* What no single variable tells. */
static int options_check(struct options *options, struct error *err)
{
	if (options->leave_signal && options->leave_signal == options->checkpoint_signal)
		return error_set(err, -EINVAL, "checkpoint_signal and leave_signal cannot be the same, %s",
				 sigabbrev_np(options->leave_signal));
	if (!options->timeout_ms)
		return error_set(err, -EINVAL, "timeout cannot be 0: every wait has a deadline");
	if (!options->mtbf_ms)
		return error_set(err, -EINVAL, "mtbf cannot be 0: nothing would ever be computed");
	if (!options->auth) {
		options->auth = strdup(options->key_file ? "psk" : "none");
		if (!options->auth)
			return error_set(err, -ENOMEM, "out of memory for the configuration");
	}
	if (!strcmp(options->auth, "psk") && !options->key_file)
		return error_set(err, -EINVAL,
				 "auth = psk needs key_file, the file with the pre-shared key");
	return 0;
}

int options_load(struct options *options, struct error *err)
{
	struct options loaded = {0};
	int code = defaults_set(&loaded, err);

	if (!code)
		code = files_read(&loaded, err);
	if (!code)
		code = environment_read(&loaded, err);
	if (!code)
		code = overrides_read(&loaded, err);
	if (!code)
		code = options_check(&loaded, err);
	if (code) {
		options_free(&loaded);
		return code;
	}
	*options = loaded;
	return 0;
}

void options_free(struct options *options)
{
	for (size_t i = 0; i < TABLE_LENGTH; i++) {
		char **field = (char **)((char *)options + table[i].offset);

		if (table[i].type != TYPE_STRING)
			continue;
		free(*field);
		*field = NULL;
	}
}
