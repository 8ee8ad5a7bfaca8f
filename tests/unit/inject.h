/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inject.h - what a test makes clock, memory and medium of a process do: inject.so, which LD_PRELOAD puts before the C
 * library, or inject.c linked into the test's own program. The file that HOLDFAST_TEST_INJECT names is this structure,
 * shared by the test and by all processes that it disturbs.
 */
#ifndef HOLDFAST_INJECT_H
#define HOLDFAST_INJECT_H

#include <stdint.h>

struct inject {
	int64_t clock_ns;	 /* 0: added to CLOCK_REALTIME, of all */
	int32_t write_back_pid;	 /* 8: whose msync and fsync fail with EIO */
	uint32_t write_backs;	 /* 12: so many of the next ones */
	int32_t memory_pid;	 /* 16: who gets no memory */
	uint32_t memory_count;	 /* 20: so often */
	uint64_t memory_after;	 /* 24: after so many times that it did */
	uint64_t memory_asked;	 /* 32: how often it asked */
	int64_t later_ns;	 /* 40: added to CLOCK_MONOTONIC */
	int32_t later_pid;	 /* 48: of this one */
	uint32_t memory_of_library; /* 52: of what failed, so many times a library had asked */
	uint32_t memory_ours;	 /* 56: no library's fails, but the program's own */
	uint32_t begun;		 /* 60: write-backs that were begun without waiting for them, by anybody */
};

/* The structure of this process; makes the file (in /dev/shm or /tmp) and names it in the environment. Aborts on failure. */
struct inject *inject_make(char path[64]);

#endif
