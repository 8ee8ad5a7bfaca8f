/* SPDX-License-Identifier: BSD-3-Clause */
/* saying.h - what the two halves of a speaker share: what it says (saying.c), and what is made of that (speaker.c). */
#ifndef HOLDFAST_SAYING_H
#define HOLDFAST_SAYING_H

#include "speaker.h"

/* States of a session, as docs/protocol.md names them. */
enum { NEW, CHALLENGED, READY, ATTACHED, WRITING };

/* May the session be in a state in which this request is legal? */
bool type_is_legal(const struct speaker *s, unsigned type);

/* The newest epoch that a region has, as far as any of them knows; of no meaning for regions that are none of theirs. */
uint64_t *epoch_known(const char *job, uint32_t rank);

/* Bytes to be sent, behind those that are to be sent already. */
void speaker_say(struct speaker *s, const void *bytes, size_t count);

#endif
