/* SPDX-License-Identifier: BSD-3-Clause */
/* spawn.h - starting a program that goes to the background by itself and shares nothing with us. */
#ifndef HOLDFAST_SPAWN_H
#define HOLDFAST_SPAWN_H

#include <stddef.h>
#include <stdint.h>
#include "common/error.h"

/*
 * Runs argv[0] (looked for in PATH where it has no '/'), and waits until it has let go of its standard error,
 * as it does when it is in the background or at its end; `said` gets the end of what it wrote there. It
 * inherits the environment, and no descriptor, session, process group, signal disposition or mask, working
 * directory or CPU binding of ours. -ENOENT, -EACCES and the like: it cannot be run; -ETIMEDOUT.
 */
int spawn_background(char *const argv[], uint64_t deadline, char *said, size_t capacity,
		     struct error *err);

#endif
