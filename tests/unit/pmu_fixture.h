/* SPDX-License-Identifier: BSD-3-Clause */
/* pmu_fixture.h - a real pmu-server for tests: on a pool of its own, on loopback, ended by pid. */
#ifndef HOLDFAST_PMU_FIXTURE_H
#define HOLDFAST_PMU_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct pmu {
	pid_t pid;	   /* 0: not running */
	char directory[128]; /* holds pool, ready file and log; removed by pmu_remove() */
	char address[64];  /* of the running server; the same again after a restart */
};

/* Makes the directory. */
void pmu_make(struct pmu *pmu);

/* Starts the server and waits until it is ready; `extra` is NULL or a NULL-terminated list of further
 * arguments. `environment` ("NAME=VALUE") may be NULL. Tells whether it came up. */
bool pmu_start(struct pmu *pmu, const char *const *extra, const char *environment);

/* SIGTERM and wait; tells whether it exited with 0. */
bool pmu_stop(struct pmu *pmu);

/* SIGKILL and wait. */
void pmu_kill(struct pmu *pmu);

/* Pid of the (only) NI process, or -1. */
pid_t pmu_ni_pid(const struct pmu *pmu);

/* A connection to it that says nothing yet; the caller's. */
int pmu_connect(const struct pmu *pmu);

/* Does the server close this connection, within some milliseconds of its last word? What it says is dropped. */
bool pmu_hangs_up(int fd, int ms);

/* Lines of the server's log that have this in them. */
unsigned pmu_log_lines(const struct pmu *pmu, const char *text);

/* Memory of a process that no file has. */
uint64_t pmu_anonymous_bytes(pid_t pid);

/* Stops what still runs and removes the directory. */
void pmu_remove(struct pmu *pmu);

#endif
