/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * option.h - the configuration variables: one table for environment, files and plug-in, and the
 * values that hold for one job.
 *
 * Precedence: hf_option_override() (the plug-in's MCA variables), environment HOLDFAST_<NAME>, the
 * user's file, the system's file, default. An empty value counts as not set.
 */
#ifndef HOLDFAST_OPTION_H
#define HOLDFAST_OPTION_H

#include <stdbool.h>
#include <stdint.h>
#include "common/error.h"

struct options {
	char *server;
	char *job;
	char *mode;
	char *fabric;
	char *net;
	char *auth; /* "psk" or "none", never NULL once loaded */
	char *key_file;
	uint64_t interval_ms;
	uint64_t timeout_ms;
	uint64_t reconnect_ms;
	uint64_t chunk_bytes;
	uint64_t window;
	bool takeover;
	bool verbose;
};

/* Fills `options` from all sources. HF_ECONFIG, HF_ENOSYS, HF_ENOMEM; nothing is to be freed then. */
int options_load(struct options *options, struct error *err);

/* Frees the strings; options that were zeroed are fine. */
void options_free(struct options *options);

#endif
