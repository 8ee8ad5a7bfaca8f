/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mailbox.h - how a rank tells its launcher that the job has reached MPI_Finalize: what fails after that is not
 * started again, since its work is done and its sets may be gone. The launcher hears of exit codes only.
 *
 * The mailbox is a listening TCP socket of the launcher; a note waits in its queue until the launcher looks. Its
 * address and a random token travel in the environment. The notes are hints from the user's own processes:
 * whoever knows the token is one of them.
 */
#ifndef HOLDFAST_MAILBOX_H
#define HOLDFAST_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>
#include "common/error.h"

#define MAILBOX_VARIABLE "HOLDFAST_LAUNCHER"

struct mailbox;

/* -errno where there is no socket to be had. */
int mailbox_open(struct mailbox **mailbox, struct error *err);

/* The value of MAILBOX_VARIABLE for the ranks; the mailbox's. */
const char *mailbox_address(const struct mailbox *mailbox);

/* Looks at what has come: has that incarnation reached MPI_Finalize? Takes a second at most. */
bool mailbox_finalized(struct mailbox *mailbox, unsigned incarnation);

/* Takes NULL. */
void mailbox_close(struct mailbox *mailbox);

/* From a rank: returns 0 once the launcher's node has the note, within some seconds. -errno. */
int mailbox_post_finalized(const char *address, unsigned incarnation, struct error *err);

#endif
