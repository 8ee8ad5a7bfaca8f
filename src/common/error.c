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
	char context[ERROR_TEXT_BYTES / 2], text[ERROR_TEXT_BYTES];
	va_list ap;

	if (!err)
		return -EIO;
	va_start(ap, fmt);
	vsnprintf(context, sizeof(context), fmt, ap);
	va_end(ap);
	memcpy(text, err->text, sizeof(text));
	snprintf(err->text, sizeof(err->text), "%s: %.*s", context,
		 (int)(sizeof(err->text) - sizeof(context) - 3), text);
	return err->code;
}

int error_nomem(struct error *err, const char *what)
{
	return error_set(err, -ENOMEM, "out of memory for %s", what);
}
