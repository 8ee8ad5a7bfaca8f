/* SPDX-License-Identifier: BSD-3-Clause */
/* worker.h - a few threads that do a process's long work, in no particular order. */
#ifndef HOLDFAST_WORKER_H
#define HOLDFAST_WORKER_H

/* Starts `count` threads; -errno. They run until the process ends. */
int worker_start(unsigned count);

/* Has some thread call work(arg) soon. `work` owns arg. -ENOMEM. */
int worker_submit(void (*work)(void *arg), void *arg);

#endif
