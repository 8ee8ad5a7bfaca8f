/* SPDX-License-Identifier: BSD-3-Clause */
/* trial.h - at the server's start: whether the data plane works, and reaches memory of the kind that slots are in. */
#ifndef HOLDFAST_TRIAL_H
#define HOLDFAST_TRIAL_H

#include "common/error.h"

struct server;

/*
 * Tries it in a NI that exists for this only, where the data plane may be unable to. What is refused now would be with
 * the first checkpoint. 0 where there is no room for a trial, which is logged.
 */
int trial_run(const struct server *server, struct error *err);

#endif
