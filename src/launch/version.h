/* SPDX-License-Identifier: BSD-3-Clause */
/* version.h - the launcher's inside, which has no stable ABI, is known in one series of releases only. */
#ifndef HOLDFAST_VERSION_H
#define HOLDFAST_VERSION_H

#include <stdbool.h>

/*
 * Is this run-time ("PRRTE") of the series ("3.0.") that its component was built for? Else says in one line that
 * nothing is started again. A build with test points takes HOLDFAST_TEST_RUNTIME for the version, if it is set.
 */
bool version_is_known(const char *runtime, const char *version, const char *series);

#endif
