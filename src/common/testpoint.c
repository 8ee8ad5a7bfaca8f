/* SPDX-License-Identifier: BSD-3-Clause */
/* testpoint.c - named points for tests. */
#include "common/testpoint.h"

#ifdef HOLDFAST_TEST_POINTS
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void testpoint_pass(const char *name)
{
	static atomic_int passed;
	const char *spec = getenv("HOLDFAST_TEST_POINT");
	size_t n = strlen(name);
	const char *action, *count;

	if (!spec || strncmp(spec, name, n) || spec[n] != ':')
		return;
	action = spec + n + 1;
	count = strchr(action, ':');
	if (atomic_fetch_add(&passed, 1) + 1 != (count ? atoi(count + 1) : 1))
		return;
	if (!strncmp(action, "kill", 4))
		kill(getpid(), SIGKILL);
	else if (!strncmp(action, "stop", 4))
		raise(SIGSTOP); /* this thread, at once; kill() would let it go on while another one stops */
	else if (!strncmp(action, "sleep", 5))
		sleep(1);
	else
		_exit(99);
}
#else
typedef int testpoint_unused; /* ISO C wants a declaration in every file */
#endif
