/* SPDX-License-Identifier: BSD-3-Clause */
/* log.c - one line a message, to stderr or syslog. */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>
#include <time.h>

static struct {
	const char *ident;
	enum log_level level;
	bool to_syslog;
} config = {"holdfast", LOG_LEVEL_INFO, false};

static const struct {
	const char *name;
	int priority;
} levels[] = {
	[LOG_LEVEL_ERROR] = {"error", LOG_ERR},
	[LOG_LEVEL_WARNING] = {"warning", LOG_WARNING},
	[LOG_LEVEL_INFO] = {"info", LOG_INFO},
	[LOG_LEVEL_DEBUG] = {"debug", LOG_DEBUG},
};

void log_open(const char *ident, enum log_level level, bool to_syslog)
{
	config.ident = ident;
	config.level = level;
	config.to_syslog = to_syslog;
	if (to_syslog)
		openlog(ident, LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

int log_level_parse(const char *text, enum log_level *level)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (!strcasecmp(text, levels[i].name)) {
			*level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

void log_message(enum log_level level, const char *fmt, ...)
{
	char text[1024], when[32];
	struct timespec now;
	struct tm tm;
	va_list ap;

	if (level > config.level)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (config.to_syslog) {
		syslog(levels[level].priority, "%s", text);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	strftime(when, sizeof(when), "%F %T", &tm);
	fprintf(stderr, "%s.%03ld %s %s: %s\n", when, now.tv_nsec / 1000000, config.ident,
		levels[level].name, text);
}
