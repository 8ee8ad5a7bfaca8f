/* SPDX-License-Identifier: BSD-3-Clause */
/* testpoint.c - named points for tests. */
#include "common/testpoint.h"

#ifdef HOLDFAST_TEST_POINTS
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POINTS_MAX 4
#define HOLD_MS	   60000

/* While HOLDFAST_TEST_HOLD is there. */
static void hold(void)
{
	const char *path = getenv("HOLDFAST_TEST_HOLD");

	for (unsigned ms = 0; path && !access(path, F_OK) && ms < HOLD_MS; ms += 5)
		usleep(5000);
}

static void point_pass(const char *spec, const char *name, atomic_int *passed)
{
	size_t n = strlen(name);
	const char *action, *count;

	if (strncmp(spec, name, n) || spec[n] != ':')
		return;
	action = spec + n + 1;
	count = action + strcspn(action, ":,");
	if (atomic_fetch_add(passed, 1) + 1 != (*count == ':' ? atoi(count + 1) : 1))
		return;
	if (!strncmp(action, "kill", 4))
		kill(getpid(), SIGKILL);
	else if (!strncmp(action, "stop", 4))
		raise(SIGSTOP); /* this thread, at once; kill() would let it go on while another one stops */
	else if (!strncmp(action, "sleep", 5))
		sleep(1);
	else if (!strncmp(action, "hold", 4))
		hold();
	else
		_exit(99);
}

void testpoint_pass(const char *name)
{
	static atomic_int passed[POINTS_MAX];
	const char *spec = getenv("HOLDFAST_TEST_POINT");

	for (unsigned i = 0; spec && i < POINTS_MAX; i++) {
		point_pass(spec, name, &passed[i]);
		spec = strchr(spec, ',');
		spec += spec != NULL;
	}
}
#else
typedef int testpoint_unused; /* ISO C wants a declaration in every file */
#endif
