/* SPDX-License-Identifier: BSD-3-Clause */
/* slot.h - what the NI does to the bytes of a slot: room for them, a set of them made durable, a set of them checked. */
#ifndef HOLDFAST_SLOT_H
#define HOLDFAST_SLOT_H

#include "common/error.h"
#include "ni/mapping.h"
#include "wire/ni_wire.h"

/* Maps what a MAP describes; where it says so, the file gets its size first, durably. The descriptor stays the caller's. */
int slot_prepare(const struct ni_request *request, int fd, struct error *err);

/* Makes the set of a COMMIT durable, and checks what the COMMIT wants checked. -EUCLEAN, -EILSEQ: it is not whole. */
int slot_commit(const struct ni_request *request, const struct mapping *mapping, struct error *err);

/* Compares every block of the request's set with its table; the reply gets what differs. -EUCLEAN: there is no table. */
int slot_verify(const struct ni_request *request, const struct mapping *mapping, struct ni_reply *reply,
		struct error *err);

#endif
