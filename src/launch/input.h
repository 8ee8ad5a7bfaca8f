/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * input.h - standard input for a job that may be started again: a thread passes it on and keeps what it passed,
 * so that the next incarnation reads the same from the beginning.
 *
 * Only files, pipes and sockets are kept; a terminal is its user's, and /dev/null needs nothing. The launcher
 * goes on reading descriptor 0, which becomes a pipe of ours. One thread calls.
 */
#ifndef HOLDFAST_INPUT_H
#define HOLDFAST_INPUT_H

#include <stdint.h>
#include "common/error.h"

struct input;

/* Puts itself before descriptor 0. *input stays NULL where there is nothing to keep. At most `max_bytes` are
 * kept, in an unlinked file of the temporary directory. -errno. */
int input_open(uint64_t max_bytes, struct input **input, struct error *err);

/* Ends the input of the incarnation that failed: the launcher reads its end. Takes NULL. */
void input_stop(struct input *input);

/* Descriptor 0 begins anew. -EFBIG: more came than is kept. Takes NULL. */
int input_again(struct input *input, struct error *err);

/* Ends it for good; descriptor 0 stays what it is. Takes NULL. */
void input_close(struct input *input);

#endif
