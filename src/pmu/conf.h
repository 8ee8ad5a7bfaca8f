/* SPDX-License-Identifier: BSD-3-Clause */
/* conf.h - what pmu-server is told: defaults, then the configuration file, then the command line. */
#ifndef HOLDFAST_CONF_H
#define HOLDFAST_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include "common/error.h"
#include "common/log.h"

#define CONF_LISTEN_MAX 8

struct conf {
	char *pool, *data;
	uint64_t size_bytes, metadata_bytes;
	unsigned listen_count;
	char *listen[CONF_LISTEN_MAX];
	char *net, *fabric, *fabric_listen;
	char *auth, *key_file, *old_key_file, *user_keys, *munge_socket;
	char *ready_file;
	char *persist;
	bool foreground, syslog;
	enum log_level log_level;
	uint64_t lease_s, ni_threads, max_sessions, ni_timeout_s, idle_exit_s;
	bool check_blocks, ni_seccomp;
	uint64_t keep, keep_span_s, keep_spans, merge_at;
	bool accept_damage, overwrite_device, shared_device;
};

/*
 * Reads the command line, and the file that it names. Prints help or version and exits where asked to;
 * -EINVAL with the sentence where something is wrong. Call conf_free() afterwards, also on failure.
 */
int conf_read(int argc, char **argv, struct conf *conf, struct error *err);

void conf_free(struct conf *conf);

#endif
