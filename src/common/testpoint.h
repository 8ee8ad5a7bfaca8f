/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * testpoint.h - named points at which a test stops or kills the process; nothing in production builds.
 *
 * With --enable-test-points, HOLDFAST_TEST_POINT="NAME:ACTION[:COUNT]" in the environment makes the
 * COUNTth passage (default 1) of TEST_POINT("NAME") do ACTION: "kill" (SIGKILL), "stop" (SIGSTOP),
 * "sleep" (this thread, for 1 s), "hold" (this thread, while the file HOLDFAST_TEST_HOLD is there) or "exit"
 * (_exit(99)). Several points are separated by commas.
 */
#ifndef HOLDFAST_TESTPOINT_H
#define HOLDFAST_TESTPOINT_H

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "config.h"

#ifdef HOLDFAST_TEST_POINTS
void testpoint_pass(const char *name);
#define TEST_POINT(name) testpoint_pass(name)
#else
#define TEST_POINT(name) ((void)0)
#endif

#endif
