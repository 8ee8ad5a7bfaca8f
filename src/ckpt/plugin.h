/* SPDX-License-Identifier: BSD-3-Clause */
/* plugin.h - what libholdfast exports for the Open MPI component only. Not installed. */
#ifndef HOLDFAST_PLUGIN_H
#define HOLDFAST_PLUGIN_H

#include <stddef.h>
#include "client/option.h"
#include "holdfast.h"

/*
 * Exit codes by which a rank says something to its launcher, which restarts the job after none of them; as in
 * sysexits.h.
 */
enum hf_exit {
	HF_EXIT_CRASH_LOOP = 70, /* EX_SOFTWARE: the job fails again and again, and was given up */
	HF_EXIT_RESUBMIT = 75,	 /* EX_TEMPFAIL: it left after a checkpoint, as asked; run it again */
	HF_EXIT_CONFIG = 78,	 /* EX_CONFIG: it cannot be protected */
};

/* option_at() and option_override() of client/option.h, under names that the library exports. */
const struct option_text *hf_option_at(size_t index);
int hf_option_override(const char *name, const char *value);

/*
 * Attaches MPI_COMM_WORLD to the configured job; hf_world() then gives it. Collective. The message of a
 * failure is hf_message(NULL).
 */
int hf_plugin_attach(void);

/*
 * Detaches the job of hf_world(), unless the application did that itself: of a job that somebody named the
 * sets stay, one that is called after its batch job or this very run is finished. An application that stops
 * early and wants to be requeued calls hf_detach(job, 0) before. Says on stderr what is worth knowing.
 */
int hf_plugin_detach(void);

#endif
