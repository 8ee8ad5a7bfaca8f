/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cow_inside.h - what the two halves of cow share: cow.c protects and reads, cow_fault.c has the thread that answers
 * writes.
 *
 * That thread, and whoever holds the lock, allocates nothing and waits for nobody: the write that it answers may be one
 * of malloc()'s own, under a lock of malloc()'s.
 */
#ifndef HOLDFAST_COW_INSIDE_H
#define HOLDFAST_COW_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>
#include "ckpt/cow.h"
#include "ckpt/kept.h"
#include "ckpt/userfault.h"
#include "common/set.h"

#define WAITING_MAX 256u
#define AROUND_MAX  16u /* pages that are copied at a time where writes come in order */

struct area {
	uintptr_t begin, end;
	struct cow_range registered;
	uint64_t first; /* number of its first page */
	char name[SEGMENT_NAME_BYTES];
};

struct cow {
	uint64_t page_bytes, timeout_ms;
	unsigned threads;
	struct userfault fault;
	int pagemap, bell; /* the bell is rung for the thread: there is something to be done */
	pthread_t thread;
	bool answering; /* the thread runs */

	/* constant while it does */
	struct area *areas;
	size_t area_count, area_capacity;
	size_t *by_address; /* areas, sorted */
	uint64_t pages;

	pthread_mutex_t lock; /* guards the rest; `changed` is told when somebody waits for it */
	pthread_cond_t changed;
	struct kept kept;
	uint64_t passed;	/* pages before this one were read */
	bool repeatable;	/* they could be read again */
	bool ending;
	struct error failed;	/* code 0: it has not */
	unsigned releasing;	/* who waits for pages to be passed */
	atomic_uint waiting;	/* writes that wait; the list is the thread's own */
	uint64_t kept_pages;

	/* the thread's own */
	uint64_t faults; /* to be looked at when it has ended */
	bool lifted;
	uintptr_t waiters[WAITING_MAX];
	uint64_t waiting_deadline;
	uint64_t next_page; /* behind the last that was copied: the next write in order */
	unsigned around;
};

/* The thread: answers writes until it is to end; then nothing is protected. */
void *cow_answer(void *cow);
void cow_ring(const struct cow *cow);

/* With the lock held: from now on nothing can be read, and all is to be lifted. Only the first reason counts. */
void cow_fail(struct cow *cow, int code, const char *name, const char *what);

/*
 * With the lock held: of the `count` pages from `begin` on, sets a bit of `bits` for each that is as it was at
 * cow_protect(), as far as the page table says: protected without a break. count: at most 32.
 */
uint32_t cow_intact(const struct cow *cow, uintptr_t begin, unsigned count);

/* Copies from memory that may not be there; a bit is set for each page of which all bytes of [begin, begin + bytes) were copied. */
uint32_t cow_copy(const struct cow *cow, uintptr_t begin, uint64_t bytes, void *into);

#endif
