/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_conf.c - pmu-server's configuration file: refused with a sentence, or all is within its limits. */
#include "fuzz.h"

#include <string.h>
#include "common/set.h"
#include "pmu/conf.h"

static void conf_within_limits(const struct conf *conf)
{
	must(conf->pool && *conf->pool && conf->net && conf->fabric && conf->auth && conf->persist);
	must(conf->listen_count && conf->listen_count <= CONF_LISTEN_MAX);
	for (unsigned i = 0; i < conf->listen_count; i++)
		must(conf->listen[i]);
	must(conf->size_bytes >= 1 << 20 && conf->lease_s && conf->ni_threads && conf->ni_threads <= 64);
	must(conf->max_sessions && conf->ni_timeout_s && conf->log_level <= LOG_LEVEL_DEBUG);
	must(!conf->admin_count || conf->admin_uids);
	for (const struct conf_user *user = conf->users; user; user = user->next)
		must(user->uid != UINT32_MAX);
	must(conf->keep >= 2 && conf->keep <= SETS_MAX && conf->merge_at <= SETS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *path = (char *)(uintptr_t)input_path(data, size);
	char *argv[] = {(char[]){"pmu-server"}, (char[]){"--config"}, path, NULL};
	struct error err = {0};
	struct conf conf;

	if (!conf_read(3, argv, &conf, &err))
		conf_within_limits(&conf);
	else
		must(err.code < 0 && *err.text && memchr(err.text, '\0', sizeof(err.text)));
	conf_free(&conf);
	return 0;
}
