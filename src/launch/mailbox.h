/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mailbox.h - how a rank tells its launcher how far the job has come: through MPI_Init, and to MPI_Finalize. What
 * fails after that is not started again, since its work is done and its sets may be gone. The launcher itself
 * sees processes only.
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

enum mailbox_note {
	MAILBOX_BEGUN,	   /* all ranks are through MPI_Init */
	MAILBOX_FINALIZED, /* all ranks have come to MPI_Finalize */
	MAILBOX_NOTES,
};

/* -errno where there is no socket to be had. */
int mailbox_open(struct mailbox **mailbox, struct error *err);

/* The value of MAILBOX_VARIABLE for the ranks; the mailbox's. */
const char *mailbox_address(const struct mailbox *mailbox);

/* Looks at what has come: is there such a note of that incarnation? Takes a second at most. */
bool mailbox_has(struct mailbox *mailbox, enum mailbox_note note, unsigned incarnation);

/* Takes NULL. */
void mailbox_close(struct mailbox *mailbox);

/* From a rank: returns 0 once the launcher's node has the note, within some seconds. -errno. */
int mailbox_post(const char *address, enum mailbox_note note, unsigned incarnation, struct error *err);

#endif
