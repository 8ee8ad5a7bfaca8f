/* SPDX-License-Identifier: BSD-3-Clause */
/* thread.h - threads of the library's own, in processes that are others'. */
#ifndef HOLDFAST_THREAD_H
#define HOLDFAST_THREAD_H

#include <pthread.h>
#include <semaphore.h>

/*
 * Begins a thread that takes no signal that is sent to the process: those are for the application's own threads. Faults
 * of the thread itself (SIGSEGV, SIGBUS, ...) go to the application's handler. Returns 0 or -errno.
 */
int thread_begin(pthread_t *thread, void *(*run)(void *), void *arg);

/*
 * Runs work(arg) in `threads` threads at once, the caller's among them, and returns when all have; in fewer where no more
 * can be had. `work` shares out what is to be done by itself, and must do all of it when it is alone.
 */
void thread_crowd(unsigned threads, void (*work)(void *arg), void *arg);

/* Waits until another thread has posted. */
void thread_await(sem_t *posted);

/*
 * For how many threads of this process there is a processor each, while as many processes as `sharing` (this one among
 * them) want the same on this machine: 1 to 8, for with more of them memory is what all wait for.
 */
unsigned thread_processors(unsigned sharing);

#endif
