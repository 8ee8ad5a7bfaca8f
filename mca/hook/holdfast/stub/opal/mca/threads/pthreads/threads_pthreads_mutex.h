/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * threads_pthreads_mutex.h - stands in for Open MPI 5.0's header of this name where a package left it
 * out: what opal/mca/threads/mutex.h needs for its declarations. The component takes no such lock.
 */
#ifndef HOLDFAST_STUB_THREADS_PTHREADS_MUTEX_H
#define HOLDFAST_STUB_THREADS_PTHREADS_MUTEX_H

#include <pthread.h>
#include "opal/class/opal_object.h"
#include "opal/sys/atomic.h"

typedef pthread_mutex_t opal_thread_internal_mutex_t;
typedef pthread_cond_t opal_thread_internal_cond_t;

#define OPAL_THREAD_INTERNAL_MUTEX_INITIALIZER PTHREAD_MUTEX_INITIALIZER
#define OPAL_THREAD_INTERNAL_COND_INITIALIZER  PTHREAD_COND_INITIALIZER

static inline int opal_thread_internal_mutex_trylock(opal_thread_internal_mutex_t *mutex)
{
	return pthread_mutex_trylock(mutex) ? 1 : 0;
}

static inline void opal_thread_internal_mutex_lock(opal_thread_internal_mutex_t *mutex)
{
	pthread_mutex_lock(mutex);
}

static inline void opal_thread_internal_mutex_unlock(opal_thread_internal_mutex_t *mutex)
{
	pthread_mutex_unlock(mutex);
}

#endif
