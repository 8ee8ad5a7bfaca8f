/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * console.h - standard input and forwarded signals for later incarnations: mpirun itself gives them to the first
 * one, by name, and to no other.
 */
#ifndef HOLDFAST_PRTE_CONSOLE_H
#define HOLDFAST_PRTE_CONSOLE_H

#include <stdbool.h>
#include "prte_config.h"
#include "src/runtime/prte_globals.h"

/* Puts itself before PRRTE's forwarding. `kept`: descriptor 0 is a pipe that begins anew with each incarnation. */
void console_open(bool kept);

/* This job's processes are gone, another one follows. */
void console_leave(const prte_job_t *job);

/* All processes of the job run. */
void console_enter(const prte_job_t *job);

#endif
