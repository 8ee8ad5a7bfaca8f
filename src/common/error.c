/* SPDX-License-Identifier: BSD-3-Clause */
/* error.c - an error code and its sentence. */
#include "common/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return code;
	err->code = code;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return code;
}

int error_context(struct error *err, const char *fmt, ...)
{
	char text[ERROR_TEXT_BYTES];
	va_list ap;
	int n;

	if (!err)
		return -EIO;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		return err->code;
	snprintf(text + n, sizeof(text) - (size_t)n, ": %s", err->text);
	memcpy(err->text, text, sizeof(text));
	return err->code;
}

int error_nomem(struct error *err, const char *what)
{
	return error_set(err, -ENOMEM, "out of memory for %s", what);
}
