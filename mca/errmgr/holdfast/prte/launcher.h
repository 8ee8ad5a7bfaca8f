/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * launcher.h - the glue between PRRTE's state machine and src/launch: sees a job fail, has its rest ended, and
 * launches it again as a new job of the same mpirun.
 */
#ifndef HOLDFAST_PRTE_LAUNCHER_H
#define HOLDFAST_PRTE_LAUNCHER_H

#include "common/error.h"
#include "launch/restart.h"

struct launcher_settings {
	struct restart_settings restart;
	bool exclude_failed_nodes;
};

/* Puts itself before PRRTE's callbacks, which must be there. Nothing is changed where it fails. -errno. */
int launcher_open(const struct launcher_settings *settings, struct error *err);

void launcher_close(void);

#endif
