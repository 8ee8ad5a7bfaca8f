/* SPDX-License-Identifier: BSD-3-Clause */
/* cow_fault.c - the thread that lets the application write to protected pages, once they are copied. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "ckpt/cow_inside.h"
#include "common/clock.h"

#define MESSAGES 32u
#define RETRY_MS 20
#define IDLE_MS	 1000

void cow_ring(const struct cow *cow)
{
	const uint64_t one = 1;

	if (write(cow->bell, &one, sizeof(one)) < 0)
		return; /* it has been rung so often that it is heard anyway */
}

void cow_fail(struct cow *cow, int code, const char *name, const char *what)
{
	if (cow->failed.code)
		return;
	cow->failed.code = code;
	snprintf(cow->failed.text, sizeof(cow->failed.text), "segment '%s' %s", name, what);
	pthread_cond_broadcast(&cow->changed);
	cow_ring(cow);
}

/* The area with this address; NULL: there is none. */
static const struct area *area_at(const struct cow *cow, uintptr_t at)
{
	size_t low = 0, high = cow->area_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct area *area = &cow->areas[cow->by_address[middle]];

		if (at < area->begin)
			high = middle;
		else if (at >= area->end)
			low = middle + 1;
		else
			return area;
	}
	return NULL;
}

/* ---- one write ---- */

enum answer { ANSWER_GO, ANSWER_WAIT };

/* Room for one more copy. Those of pages that were read are only for a second reading, and give way. */
static uint8_t *room(struct cow *cow)
{
	uint8_t *at = kept_room(&cow->kept);

	if (at || !cow->repeatable || !cow->passed)
		return at;
	cow->repeatable = false;
	kept_drop(&cow->kept, 0, cow->passed);
	return kept_room(&cow->kept);
}

/* Sees to it that the page may be written, as far as reading it goes. With the lock. */
static enum answer page_prepare(struct cow *cow, const struct area *area, uint64_t page)
{
	const uintptr_t at = area->begin + (page - area->first) * cow->page_bytes;
	bool passed = page < cow->passed;
	uint8_t *copy;

	if (cow->failed.code || cow->ending || kept_copy(&cow->kept, page) || (passed && !cow->repeatable))
		return ANSWER_GO;
	copy = passed ? kept_room(&cow->kept) : room(cow);
	if (!copy && !passed)
		return ANSWER_WAIT;
	if (copy && cow_copy(cow, at, cow->page_bytes, copy) && cow_intact(cow, at, 1)) {
		kept_set(&cow->kept, page);
		cow->kept_pages++;
	} else if (passed) {
		cow->repeatable = false;
	} else {
		cow_fail(cow, -EIDRM, area->name, "was unmapped, or its pages given back, while an asynchronous checkpoint "
			 "was written from it");
	}
	return ANSWER_GO;
}

/* How many pages, from this one on, to make ready at once: where the last writes came in order, so will the next. */
static unsigned around(struct cow *cow, const struct area *area, uint64_t page)
{
	uint64_t left = (area->end - area->begin) / cow->page_bytes - (page - area->first);

	cow->around = page == cow->next_page && cow->around ? 2 * cow->around : 1;
	if (cow->around > AROUND_MAX)
		cow->around = AROUND_MAX;
	return cow->around < left ? cow->around : (unsigned)left;
}

static void wait_for_room(struct cow *cow, uintptr_t at)
{
	unsigned count = atomic_load(&cow->waiting);

	for (unsigned i = 0; i < count; i++)
		if (cow->waiters[i] == at)
			return;
	if (count == WAITING_MAX) {
		pthread_mutex_lock(&cow->lock);
		cow_fail(cow, -ETIME, "", "too many threads wait for room to copy pages");
		pthread_mutex_unlock(&cow->lock);
		return;
	}
	if (!count)
		cow->waiting_deadline = deadline_in_ms(cow->timeout_ms);
	cow->waiters[count] = at;
	atomic_store(&cow->waiting, count + 1);
}

static void lift(struct cow *cow, uintptr_t at, uint64_t bytes)
{
	int rc = userfault_protect(&cow->fault, at, bytes, false);

	if (rc == -EAGAIN)
		wait_for_room(cow, at); /* once the event is read that is in the way */
	else if (rc)
		userfault_wake(&cow->fault, at, bytes); /* it is not registered any more, or not there */
}

static void write_answer(struct cow *cow, uintptr_t at)
{
	const struct area *area;
	enum answer answer;
	uint64_t page;
	unsigned ready = 1, most;

	at &= ~(uintptr_t)(cow->page_bytes - 1);
	area = area_at(cow, at);
	if (!area || cow->lifted) {
		lift(cow, at, cow->page_bytes);
		return;
	}
	page = area->first + (at - area->begin) / cow->page_bytes;
	pthread_mutex_lock(&cow->lock);
	answer = page_prepare(cow, area, page);
	most = answer == ANSWER_GO ? around(cow, area, page) : 1;
	while (ready < most && kept_room(&cow->kept) && !kept_copy(&cow->kept, page + ready) &&
	       cow_intact(cow, at + ready * cow->page_bytes, 1) &&
	       page_prepare(cow, area, page + ready) == ANSWER_GO)
		ready++;
	cow->next_page = page + ready;
	pthread_mutex_unlock(&cow->lock);
	if (answer == ANSWER_WAIT)
		wait_for_room(cow, at);
	else
		lift(cow, at, ready * cow->page_bytes);
}

/* ---- memory that goes ---- */

static void range_gone(struct cow *cow, uintptr_t begin, uintptr_t end, const char *what)
{
	pthread_mutex_lock(&cow->lock);
	for (size_t i = 0; i < cow->area_count && !cow->failed.code && !cow->ending; i++) {
		const struct area *area = &cow->areas[i];
		uintptr_t from = begin > area->begin ? begin : area->begin, to = end < area->end ? end : area->end;

		for (; from < to; from += cow->page_bytes) {
			uint64_t page = area->first + (from - area->begin) / cow->page_bytes;

			if (kept_copy(&cow->kept, page))
				continue;
			cow->repeatable = false;
			if (page >= cow->passed)
				cow_fail(cow, -EIDRM, area->name, what);
		}
	}
	pthread_mutex_unlock(&cow->lock);
	userfault_wake(&cow->fault, begin, end - begin);
}

static void message_answer(struct cow *cow, const struct uffd_msg *message)
{
	switch (message->event) {
	case UFFD_EVENT_PAGEFAULT:
		cow->faults++;
		write_answer(cow, (uintptr_t)message->arg.pagefault.address);
		break;
	case UFFD_EVENT_UNMAP:
		range_gone(cow, (uintptr_t)message->arg.remove.start, (uintptr_t)message->arg.remove.end,
			   "was unmapped (freed, or moved by realloc) while an asynchronous checkpoint was written from it: "
			   "call hf_unprotect() or hf_checkpoint_wait() before");
		break;
	case UFFD_EVENT_REMOVE:
		range_gone(cow, (uintptr_t)message->arg.remove.start, (uintptr_t)message->arg.remove.end,
			   "had pages given back (madvise) while an asynchronous checkpoint was written from it: "
			   "call hf_checkpoint_wait() before");
		break;
	default:
		break;
	}
}

/* ---- the thread ---- */

/* All that is to be answered now. */
static void serve(void *context)
{
	struct uffd_msg messages[MESSAGES];
	struct cow *cow = context;
	unsigned count, waiting;

	while ((count = userfault_read(&cow->fault, messages, MESSAGES))) {
		for (unsigned i = 0; i < count; i++)
			message_answer(cow, &messages[i]);
	}
	waiting = atomic_load(&cow->waiting);
	atomic_store(&cow->waiting, 0);
	for (unsigned i = 0; i < waiting; i++) {
		uint64_t deadline = cow->waiting_deadline;

		write_answer(cow, cow->waiters[i]); /* may put itself into a place that was read */
		if (atomic_load(&cow->waiting))
			cow->waiting_deadline = deadline;
	}
}

static void lift_all(struct cow *cow)
{
	cow->lifted = true;
	for (size_t i = 0; i < cow->area_count; i++) {
		const struct cow_range *range = &cow->areas[i].registered;

		userfault_unregister(&cow->fault, range->begin, range->end - range->begin, serve, cow);
	}
}

/* Has it come to an end, one way or the other? */
static bool over(struct cow *cow, bool *ending)
{
	bool over;

	pthread_mutex_lock(&cow->lock);
	if (atomic_load(&cow->waiting) && !deadline_left_ms(cow->waiting_deadline) && !cow->ending) {
		const struct area *area = area_at(cow, cow->waiters[0]);

		cow_fail(cow, -ETIME, area ? area->name : "", "was written to faster than it is shipped, and the room for "
			 "copies of its pages is full (variable 'stage_bytes')");
	}
	*ending = cow->ending;
	over = cow->ending || cow->failed.code;
	pthread_mutex_unlock(&cow->lock);
	return over;
}

void *cow_answer(void *context)
{
	struct cow *cow = context;
	struct pollfd fds[] = {{.fd = cow->fault.handle.fd, .events = POLLIN}, {.fd = cow->bell, .events = POLLIN}};
	bool ending = false;
	uint64_t rung;

	while (!ending) {
		poll(fds, 2, atomic_load(&cow->waiting) ? RETRY_MS : IDLE_MS);
		if (fds[1].revents && read(cow->bell, &rung, sizeof(rung)) < 0)
			rung = 0; /* somebody else's wish was met already */
		serve(cow);
		if (over(cow, &ending) && !cow->lifted)
			lift_all(cow);
	}
	serve(cow);
	return NULL;
}
