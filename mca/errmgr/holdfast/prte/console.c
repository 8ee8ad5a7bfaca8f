/* SPDX-License-Identifier: BSD-3-Clause */
/* console.c - PRRTE's event loop calls all of it, one thread. */
#include "console.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "constants.h"
#include "src/event/event-internal.h"
#include "src/mca/ess/base/base.h"
#include "src/mca/iof/iof.h"
#include "src/mca/plm/plm.h"

#define PIECE_BYTES 4096
#define PAUSE_US    10000 /* where the rank does not read as fast as we do */
#define SIGNALS_MAX 64

static struct console {
	bool kept;
	bool ended; /* mpirun's own reader has seen the end */
	bool entered, reading;
	pmix_proc_t target;
	prte_event_t readable, pause, signals[SIGNALS_MAX];
	unsigned signal_count;
	prte_iof_base_push_stdin_fn_t push; /* PRRTE's */
} console;

/*
 * From mpirun's own reader, which knows the first incarnation only: what it has still to say of kept input is
 * old; of other input it goes on with whoever runs now.
 */
static int console_push(const pmix_proc_t *to, uint8_t *data, size_t bytes)
{
	if (!bytes)
		console.ended = true;
	if (!*console.target.nspace || !strncmp(to->nspace, console.target.nspace, PMIX_MAX_NSLEN))
		return console.push(to, data, bytes);
	if (!console.entered || console.reading)
		return PRTE_SUCCESS;
	return console.push(&console.target, data, bytes);
}

static void console_resume(int fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	(void)arg;
	if (console.reading)
		prte_event_add(&console.readable, NULL);
}

static void console_read(int fd, short events, void *arg)
{
	struct timeval pause = {.tv_usec = PAUSE_US};
	uint8_t piece[PIECE_BYTES];
	ssize_t n = read(fd, piece, sizeof(piece));

	if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
		console_resume(fd, events, arg);
		return;
	}
	if (n <= 0) {
		console.push(&console.target, NULL, 0);
		return;
	}
	if (console.push(&console.target, piece, (size_t)n) == PRTE_ERR_OUT_OF_RESOURCE)
		prte_event_evtimer_add(&console.pause, &pause);
	else
		console_resume(fd, events, arg);
}

static void console_signal(int number, short events, void *arg)
{
	(void)events;
	(void)arg;
	if (console.entered)
		prte_plm.signal_job(console.target.nspace, number);
}

/* mpirun forwards signals to the first incarnation; what it is asked to forward, we give to the later ones. */
static void signals_open(void)
{
	prte_ess_base_signal_t *signal;
	prte_event_t *event;

	if (console.signal_count)
		return;
	PMIX_LIST_FOREACH(signal, &prte_ess_base_signals, prte_ess_base_signal_t) {
		if (console.signal_count == SIGNALS_MAX)
			break;
		event = &console.signals[console.signal_count++];
		prte_event_signal_set(prte_event_base, event, signal->signal, console_signal, NULL);
		prte_event_signal_add(event, NULL);
	}
}

void console_open(bool kept)
{
	console.kept = kept;
	console.push = prte_iof.push_stdin;
	prte_iof.push_stdin = console_push;
	prte_event_set(prte_event_base, &console.readable, STDIN_FILENO, PRTE_EV_READ, console_read, NULL);
	prte_event_evtimer_set(prte_event_base, &console.pause, console_resume, NULL);
}

void console_leave(const prte_job_t *job)
{
	(void)job;
	console.entered = false;
	if (!console.reading)
		return;
	console.reading = false;
	prte_event_del(&console.readable);
	prte_event_evtimer_del(&console.pause);
}

void console_enter(const prte_job_t *job)
{
	memset(&console.target, 0, sizeof(console.target));
	PMIX_LOAD_PROCID(&console.target, job->nspace, job->stdin_target);
	console.entered = true;
	signals_open();
	if (job->stdin_target == PMIX_RANK_INVALID)
		return;
	if (console.kept && console.ended) {
		console.reading = true;
		prte_event_add(&console.readable, NULL);
	} else if (console.ended) {
		console.push(&console.target, NULL, 0);
	}
}
