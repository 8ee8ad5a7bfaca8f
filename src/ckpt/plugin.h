/* SPDX-License-Identifier: BSD-3-Clause */
/* plugin.h - what libholdfast exports for the Open MPI component only. Not installed. */
#ifndef HOLDFAST_PLUGIN_H
#define HOLDFAST_PLUGIN_H

#include <stddef.h>
#include "client/option.h"
#include "holdfast.h"

/*
 * Exit codes by which a rank tells the launcher that starting the job again is of no use. They are those of
 * sysexits.h.
 */
enum hf_exit {
	HF_EXIT_CRASH_LOOP = 70, /* it crashes again and again without progress, and is given up */
	HF_EXIT_RESUBMIT = 75,	 /* it left after a checkpoint, as it was asked: submit it again */
	HF_EXIT_CONFIG = 78,	 /* it cannot be protected as it is configured */
};

/* option_at() and option_override() of client/option.h, under names that the library exports. */
const struct option_text *hf_option_at(size_t index);
int hf_option_override(const char *name, const char *value);

/* To be called early in MPI_Init, which waits a lot for others: begins what hf_plugin_attach() will need. */
void hf_plugin_prepare(void);

/*
 * Attaches MPI_COMM_WORLD to the configured job; hf_world() then gives it. Collective. The message of a
 * failure is hf_message(NULL).
 */
int hf_plugin_attach(void);

/*
 * Ends the job after a failure of hf_plugin_attach(), and does not return: with HF_EXIT_CONFIG, unless it may
 * go better in a later incarnation, then with 1. Collective; what rank 0 wrote to stderr gets out before.
 */
_Noreturn void hf_plugin_abort(int code);

/*
 * Detaches the job of hf_world(), unless the application did that itself: of a job that somebody named the
 * sets stay, one that is called after its batch job or this very run is finished. An application that stops
 * early and wants to be requeued calls hf_detach(job, 0) before. Says on stderr what is worth knowing.
 */
int hf_plugin_detach(void);

#endif
