/* SPDX-License-Identifier: BSD-3-Clause */
/* command.h - the command line with which a launcher was started, to be recorded with the job. */
#ifndef HOLDFAST_LAUNCH_COMMAND_H
#define HOLDFAST_LAUNCH_COMMAND_H

/*
 * The arguments in `file`, which is like /proc/self/cmdline; the first of them replaced by `name`, unless that is
 * NULL or empty. One allocation, for free(), which refers to `name`. NULL: there are none, or more than would be
 * recorded, or no memory: a command line is never cut.
 */
char **command_read(const char *file, const char *name);

#endif
