/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * confine.h - what a NI gives up, so that who breaks into it through the fabric has one user's slots and no more:
 * first privileges, while it has one thread; then files, thread by thread; last system calls, once its data plane
 * has opened all that it ever will. docs/security.md says why each of them.
 *
 * In builds with AddressSanitizer files and system calls stay: its reports start a program and read files.
 */
#ifndef HOLDFAST_CONFINE_H
#define HOLDFAST_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/error.h"

/*
 * No new privileges, no capabilities, no core dumps, no file beyond `file_bytes`; nobody but root may look into the
 * process. It runs as `uid` from here on where it may change its own, and always where it is root's. The
 * parent-death signal is SIGKILL. -errno: it is not to serve.
 */
int confine_privileges(uint32_t uid, uint64_t file_bytes, struct error *err);

/* The calling thread, and those that it begins, open no file any more (Landlock), nor a TCP connection. Not where RDMA
 * devices are open: system calls alone do it then. Where it fails, confine_process() does. */
void confine_thread(void);

/* All threads: no system calls but those that a NI in service makes, if `filter` (seccomp). Where RDMA devices are open,
 * and `reopens` says that they will be opened again, there is none either. `text` tells what the process has given up. */
int confine_process(bool filter, bool reopens, char *text, size_t capacity, struct error *err);

#endif
