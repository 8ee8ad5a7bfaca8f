/* SPDX-License-Identifier: BSD-3-Clause */
/* plugin.h - what libholdfast exports for the Open MPI component only. Not installed. */
#ifndef HOLDFAST_PLUGIN_H
#define HOLDFAST_PLUGIN_H

#include <stddef.h>
#include "holdfast.h"

/* One configuration variable, for whoever registers it elsewhere. Strings are static. */
struct hf_option {
	const char *name;
	const char *fallback; /* the default; "" where there is none */
	const char *help;
};

/* The variable with this index, or NULL past the last. */
const struct hf_option *hf_option_at(size_t index);

/*
 * Sets a variable for every later hf_attach() of this process, before environment and files; NULL or
 * "" takes that back. HF_EINVAL: no such variable. Not while an hf_attach() runs.
 */
int hf_option_override(const char *name, const char *value);

/*
 * Attaches MPI_COMM_WORLD to the configured job; hf_world() then gives it. Collective. The message of a
 * failure is hf_message(NULL).
 */
int hf_plugin_attach(void);

/*
 * Detaches the job of hf_world(), unless the application did that itself: a job that is called after
 * this very run is finished, of another one the sets stay. Says on stderr what is worth knowing.
 */
int hf_plugin_detach(void);

#endif
