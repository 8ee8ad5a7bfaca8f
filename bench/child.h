/* SPDX-License-Identifier: BSD-3-Clause */
/* child.h - the processes that a benchmark starts: none of them, nor theirs, outlives it. */
#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "common/error.h"

/* Catches SIGINT, SIGTERM and SIGHUP, and adopts what our children leave behind. Call it once. */
int child_init(struct error *err);

/* fork(2). The child does not hear of Ctrl-C, and gets `signal_at_our_death` when we die. */
pid_t child_fork(int signal_at_our_death, struct error *err);

/* Sends the signal, waits for a while, then kills. Nothing where pid is 0. */
void child_end(pid_t pid, int signal);
void child_end_all(void);
bool child_gone(pid_t pid);

/* Puts the last words of a program, from the end of its log, behind the error's text. */
void child_explain(const char *log, const char *program, struct error *err);

/* Waits for input on `fd`: 0, -EINTR where the user wants us to stop, -ETIMEDOUT. */
int child_wait_input(int fd, uint64_t deadline, struct error *err);
/* -EINTR, where the user wants us to stop. */
int child_interrupted(struct error *err);

#endif
