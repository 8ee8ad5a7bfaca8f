/* SPDX-License-Identifier: BSD-3-Clause */
/* conf.h - what pmu-server is told: defaults, then the configuration file, then the command line. */
#ifndef HOLDFAST_CONF_H
#define HOLDFAST_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include "common/error.h"
#include "common/log.h"

#define CONF_LISTEN_MAX 8

/* What one user may have: bytes that regions reserve, regions, sessions at one time; 0: as much as there is. */
enum conf_quota { QUOTA_BYTES, QUOTA_REGIONS, QUOTA_SESSIONS, QUOTA_END };

/* A section [user NAME] of the configuration file. */
struct conf_user {
	uint32_t uid;
	uint64_t quotas[QUOTA_END]; /* UINT64_MAX: as for all */
	struct conf_user *next;
};

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
	bool check_blocks, ni_seccomp, local;
	uint64_t keep, keep_span_s, keep_spans, merge_at;
	uint64_t scrub_interval_s; /* 0: never */
	bool accept_damage, overwrite_device, shared_device;
	char *admins; /* as it is written */
	uint32_t *admin_uids;
	unsigned admin_count;
	uint64_t quotas[QUOTA_END]; /* of each user, but for */
	struct conf_user *users;
};

/*
 * Reads the command line, and the file that it names. Prints help or version and exits where asked to;
 * -EINVAL with the sentence where something is wrong. Call conf_free() afterwards, also on failure.
 */
int conf_read(int argc, char **argv, struct conf *conf, struct error *err);

void conf_free(struct conf *conf);

uint64_t conf_quota_of(const struct conf *conf, uint32_t uid, enum conf_quota quota);

/* Is he one of `admins`? */
bool conf_is_admin(const struct conf *conf, uint32_t uid);

#endif
