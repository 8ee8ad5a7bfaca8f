/* SPDX-License-Identifier: BSD-3-Clause */
/* version.c - which run-time this is. */
#include "launch/version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "config.h"

bool version_is_known(const char *runtime, const char *version, const char *series)
{
#ifdef HOLDFAST_TEST_POINTS
	if (getenv("HOLDFAST_TEST_RUNTIME"))
		version = getenv("HOLDFAST_TEST_RUNTIME");
#endif
	if (!strncmp(version, series, strlen(series)))
		return true;
	fprintf(stderr,
		"holdfast: this mpirun is %s %.64s, and its component of Holdfast knows %sx only: a failed job is not "
		"started again (holdfast-mpirun --loop works with any)\n",
		runtime, version, series);
	return false;
}
