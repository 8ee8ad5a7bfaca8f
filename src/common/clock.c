/* SPDX-License-Identifier: BSD-3-Clause */
/* clock.c - monotonic time and deadlines. */
#include "common/clock.h"

#include <limits.h>
#include <time.h>

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t clock_monotonic_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t clock_realtime_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

uint64_t deadline_in_ms(uint64_t ms)
{
	return clock_monotonic_ns() + ms * 1000000u;
}

int deadline_left_ms(uint64_t deadline)
{
	uint64_t now = clock_monotonic_ns(), left_ms;

	if (now >= deadline)
		return 0;
	left_ms = (deadline - now + 999999u) / 1000000u;
	return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

void deadline_sleep_ms(uint64_t deadline, uint64_t ms)
{
	uint64_t left = (uint64_t)deadline_left_ms(deadline);
	struct timespec ts;

	if (ms > left)
		ms = left;
	ts.tv_sec = (time_t)(ms / 1000);
	ts.tv_nsec = (long)(ms % 1000) * 1000000;
	nanosleep(&ts, NULL);
}
