/* SPDX-License-Identifier: BSD-3-Clause */
/* error.h - an error code and the sentence that goes with it, carried up to whoever reports it. */
#ifndef HOLDFAST_ERROR_H
#define HOLDFAST_ERROR_H

#define ERROR_TEXT_BYTES 768

struct error {
	int code; /* -errno, or 0 */
	char text[ERROR_TEXT_BYTES];
};

/* Sets code and text and returns `code`, so that `return error_set(...)` reads well. err may be NULL. */
int error_set(struct error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts context in front of the text that is there, as "context: text"; returns the code. */
int error_context(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* -ENOMEM with a text that names what there was no memory for. */
int error_nomem(struct error *err, const char *what);

#endif
