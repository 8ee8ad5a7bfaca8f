/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz.h - what the targets share: a promise that is kept or the input is a find, and an input as a file. */
#ifndef HOLDFAST_FUZZ_H
#define HOLDFAST_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(promise)                                                                                  \
	do {                                                                                           \
		if (!(promise)) {                                                                      \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #promise);          \
			abort();                                                                       \
		}                                                                                      \
	} while (0)

/* The input as text, to be freed. */
static inline char *input_text(const void *data, size_t size)
{
	char *text = calloc(1, size + 1);

	must(text);
	memcpy(text, data, size);
	return text;
}

/* A memory file that holds the input; the same one each time, which stays open. */
static inline int input_fd(const void *data, size_t size)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("input", MFD_CLOEXEC);
	must(fd >= 0 && !ftruncate(fd, 0) && pwrite(fd, data, size, 0) == (ssize_t)size);
	return fd;
}

/* The name of that file. */
static inline const char *input_path(const void *data, size_t size)
{
	static char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", input_fd(data, size));
	return path;
}

#endif
