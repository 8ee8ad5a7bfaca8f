/* SPDX-License-Identifier: BSD-3-Clause */
/* log.h - one line a message, to stderr or syslog, with levels. Any thread may log. */
#ifndef HOLDFAST_LOG_H
#define HOLDFAST_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* `ident` is kept by reference. May be called again, to change level or destination. */
void log_open(const char *ident, enum log_level level, bool to_syslog);

/* "error", "warning", "info", "debug"; returns 0 or -EINVAL. */
int log_level_parse(const char *text, enum log_level *level);

void log_message(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)	 log_message(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_message(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)	 log_message(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	 log_message(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
