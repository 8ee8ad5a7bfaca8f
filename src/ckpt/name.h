/* SPDX-License-Identifier: BSD-3-Clause */
/* name.h - what a job is called, and which launch and incarnation of it this is. */
#ifndef HOLDFAST_NAME_H
#define HOLDFAST_NAME_H

#include <stdint.h>
#include "client/client.h"
#include "common/error.h"

/* Where a job's name comes from; only that of the launch is nobody else's, ever. */
enum name_origin { NAME_GIVEN, NAME_BATCH, NAME_LAUNCH };

/* Plain bytes: rank 0 sends it to the others. */
struct name {
	char job[JOB_NAME_BYTES];
	uint32_t origin; /* enum name_origin */
	uint32_t incarnation;
	uint8_t launch[LAUNCH_BYTES];
};

/*
 * Decides: `given` by the application, else `configured` (both may be NULL), else the batch job's number,
 * else the launch's. HF_EINVAL, HF_ECONFIG.
 */
int name_decide(const char *given, const char *configured, struct name *name, struct error *err);

#endif
