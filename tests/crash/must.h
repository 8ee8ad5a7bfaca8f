/* SPDX-License-Identifier: BSD-3-Clause */
/* must.h - what a test of crashes itself cannot do without. */
#ifndef HOLDFAST_MUST_H
#define HOLDFAST_MUST_H

#include <stdio.h>
#include <stdlib.h>

#define must(condition)                                                                                  \
	do {                                                                                             \
		if (!(condition)) {                                                                      \
			fprintf(stderr, "Bail out! %s:%d: %s (%m)\n", __FILE__, __LINE__, #condition); \
			abort();                                                                         \
		}                                                                                        \
	} while (0)

#endif
