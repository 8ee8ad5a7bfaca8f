/* SPDX-License-Identifier: BSD-3-Clause */
/* record.h - the command line that runs the job, which its launcher gives, for holdfast-restart. */
#ifndef HOLDFAST_RECORD_H
#define HOLDFAST_RECORD_H

#include "common/command.h"
#include "common/error.h"

struct hf_job;

/*
 * Reads HOLDFAST_COMMAND and HOLDFAST_COMMAND_DIR; a command of 0 bytes where no launcher set them. Its text is
 * malloced. HF_ECONFIG: they are malformed. HF_ENOSPC: over the limits of common/command.h. HF_ENOMEM.
 */
int record_read(struct command_line *command, struct error *err);

/*
 * Rank 0: has the server keep the command line of a job that somebody named, and says so where it is not the
 * one by which the job was run before. What goes wrong is said, too, and is no error: the job is as safe without.
 */
void record_command(struct hf_job *job);

#endif
