/* SPDX-License-Identifier: BSD-3-Clause */
/* clock.h - monotonic time and deadlines. A deadline is an absolute monotonic time in ns. */
#ifndef HOLDFAST_CLOCK_H
#define HOLDFAST_CLOCK_H

#include <stdint.h>

uint64_t clock_monotonic_ns(void);

/* Time since the epoch, for what people read. */
uint64_t clock_realtime_ns(void);

uint64_t deadline_in_ms(uint64_t ms);

/* Milliseconds left, rounded up, 0 when it has passed, INT_MAX at most: fit for poll(2). */
int deadline_left_ms(uint64_t deadline);

/* Sleeps `ms`, or until the deadline where that is sooner. */
void deadline_sleep_ms(uint64_t deadline, uint64_t ms);

#endif
