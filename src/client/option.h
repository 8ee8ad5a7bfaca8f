/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * option.h - the configuration variables of clients and tools: one table for environment, files and
 * plug-in, and the values that hold for one job.
 *
 * Precedence: option_override() (the plug-in's MCA variables), environment HOLDFAST_<NAME>, the
 * user's file, the system's file, default. An empty value counts as not set.
 */
#ifndef HOLDFAST_OPTION_H
#define HOLDFAST_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/error.h"

#define INTERVAL_AUTO UINT64_MAX

struct options {
	char *server; /* NULL: embedded.h */
	char *job;
	char *owner;
	char *mode;
	char *tracker;
	char *fabric;
	char *fabric_device;
	char *net;
	char *auth; /* "munge", "psk" or "none", never NULL once loaded */
	char *key_file;
	char *munge_socket;
	char *server_user;
	char *pool;
	char *async; /* "auto", "stage" or "cow" */
	uint64_t stage_bytes; /* 0: no bound */
	uint64_t interval_ms; /* INTERVAL_AUTO: what suits cost and failures */
	uint64_t mtbf_ms;
	uint64_t timeout_ms;
	uint64_t reconnect_ms;
	uint64_t block_bytes;
	uint64_t chunk_bytes;
	uint64_t pace_bytes;
	uint64_t window;
	uint64_t threads; /* that look for changes, or copy; 0: chosen */
	uint64_t chain; /* increments between two full sets, at most */
	uint64_t pool_size; /* bytes; 0: chosen */
	uint64_t pool_idle_ms;
	uint64_t epoch;	       /* to restore; 0: the newest */
	int checkpoint_signal; /* 0: none */
	int leave_signal;
	bool takeover;
	bool verbose;
};

/* One variable, for whoever registers it elsewhere. Strings are static. */
struct option_text {
	const char *name;
	const char *fallback; /* the default; "" where there is none */
	const char *help;
};

/* The variable with this index, or NULL past the last. */
const struct option_text *option_at(size_t index);

/* Sets a variable for every later options_load() of this process, before environment and files; NULL or
 * "" takes that back. -EINVAL: no such variable. -ENOMEM. Not while an options_load() runs. */
int option_override(const char *name, const char *value);

/* Fills `options` from all sources. -EINVAL, -ENOMEM; nothing is to be freed then. */
int options_load(struct options *options, struct error *err);

/* Frees the strings; options that were zeroed are fine. */
void options_free(struct options *options);

#endif
