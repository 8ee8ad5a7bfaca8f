/* SPDX-License-Identifier: BSD-3-Clause */
/* launcher.c - what the launcher tells the ranks of a job, in their environment. */
#include "ckpt/launcher.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "holdfast.h"

int launcher_number(const char *variable, uint64_t max, uint64_t *value, struct error *err)
{
	const char *text = getenv(variable);
	unsigned long long parsed;
	char *end;

	if (!text || !*text)
		return HF_OK;
	errno = 0;
	parsed = strtoull(text, &end, 10);
	if (errno || *end || *text < '0' || *text > '9' || parsed > max)
		return error_set(err, HF_ECONFIG, "%s is no number; it is for launchers, unset it", variable);
	*value = parsed;
	return HF_OK;
}

int launcher_read(struct launcher *launcher, struct error *err)
{
	const char *cause = getenv("HOLDFAST_RESTART");
	struct launcher read = {.crashes = 0};
	int code = launcher_number("HOLDFAST_RESTART_NS", UINT64_MAX, &read.failed_ns, err);

	if (!code)
		code = launcher_number("HOLDFAST_LAUNCH_NS", UINT64_MAX, &read.started_ns, err);
	if (!code)
		code = launcher_number("HOLDFAST_CRASHES", UINT64_MAX, &read.crashes, err);
	if (code)
		return code;
	snprintf(read.cause, sizeof(read.cause), "%s", cause ? cause : "");
	/* It ends up on a terminal, as part of one line. */
	for (char *c = read.cause; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 127)
			*c = '?';
	*launcher = read;
	return HF_OK;
}
