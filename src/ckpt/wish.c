/* SPDX-License-Identifier: BSD-3-Clause */
/* wish.c - signals and the server's word that ask for a checkpoint. */
#include "ckpt/wish.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include "ckpt/job.h"
#include "common/clock.h"

#define ASK_EVERY_NS   500000000u
#define ASK_PAUSE_NS   1000000000u /* after a failure, at least, */
#define ASK_PAUSE_SHARE 20	   /* and so many times what that took: it is never much of the run time */

static const int flag_of[2] = {WISH_CHECKPOINT, WISH_LEAVE};

/* ---- signals ---- */

_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "counted in a signal handler");
static atomic_uint caught[NSIG];

/* Jobs that want each signal; guarded by the lock. */
static unsigned users[NSIG];
static pthread_mutex_t users_lock = PTHREAD_MUTEX_INITIALIZER;

static void count_signal(int number)
{
	atomic_fetch_add(&caught[number], 1);
}

/* Is it caught? Never where the application, or anybody else, does so already. */
static bool signal_catch(int number)
{
	struct sigaction ours = {.sa_handler = count_signal, .sa_flags = SA_RESTART}, before;

	pthread_mutex_lock(&users_lock);
	if (users[number] || (!sigaction(number, NULL, &before) && !(before.sa_flags & SA_SIGINFO) &&
			      before.sa_handler == SIG_DFL && !sigaction(number, &ours, NULL)))
		users[number]++;
	else
		number = 0;
	pthread_mutex_unlock(&users_lock);
	return number;
}

static void signal_release(int number, void (*handler)(int))
{
	struct sigaction now, then = {.sa_handler = handler};

	pthread_mutex_lock(&users_lock);
	/* What the application put in our place is its own. */
	if (!--users[number] && !sigaction(number, NULL, &now) && !(now.sa_flags & SA_SIGINFO) &&
	    now.sa_handler == count_signal)
		sigaction(number, &then, NULL);
	pthread_mutex_unlock(&users_lock);
}

void wish_begin(struct hf_job *job)
{
	const int numbers[2] = {job->options.checkpoint_signal, job->options.leave_signal};
	struct wish *wish = &job->wish;

	for (unsigned i = 0; i < 2; i++) {
		if (!numbers[i] || !signal_catch(numbers[i]))
			continue;
		wish->signals[i] = numbers[i];
		wish->spent[i] = atomic_load(&caught[numbers[i]]);
	}
}

static void wish_release(struct hf_job *job, void (*handler)(int))
{
	for (unsigned i = 0; i < 2; i++) {
		if (job->wish.signals[i])
			signal_release(job->wish.signals[i], handler);
		job->wish.signals[i] = 0;
	}
}

void wish_end(struct hf_job *job)
{
	wish_release(job, SIG_DFL);
}

void wish_end_for_good(struct hf_job *job)
{
	wish_release(job, SIG_IGN);
}

/* ---- the server ---- */

static void ask_server(struct hf_job *job)
{
	struct wish *wish = &job->wish;
	struct client_wish told;
	struct error unused;
	uint64_t begin = clock_monotonic_ns(), took;

	if (client_asked(job->client, wish->served, wish->epoch, &told, &unused)) {
		took = ASK_PAUSE_SHARE * (clock_monotonic_ns() - begin);
		wish->next_ns = begin + (took > ASK_PAUSE_NS ? took : ASK_PAUSE_NS);
		return;
	}
	wish->next_ns = begin + ASK_EVERY_NS;
	wish->count = told.count;
	wish->asked = (told.checkpoint ? WISH_CHECKPOINT : 0) | (told.leave ? WISH_LEAVE : 0);
}

/* ---- both ---- */

int wish_here(struct hf_job *job)
{
	struct wish *wish = &job->wish;
	int flags = 0;

	for (unsigned i = 0; i < 2; i++) {
		if (wish->signals[i] && atomic_load(&caught[wish->signals[i]]) != wish->spent[i])
			flags |= flag_of[i];
	}
	/* While a checkpoint is shipped the client is not ours. */
	if (!job->rank && !job->fenced && !async_busy(job) && clock_monotonic_ns() >= wish->next_ns) {
		async_join(job);
		ask_server(job);
	}
	return flags | wish->asked;
}

int wish_agree(struct hf_job *job, int mine, int *all)
{
	if (PMPI_Allreduce(&mine, all, 1, MPI_INT, MPI_BOR, job->comm) != MPI_SUCCESS)
		return job_fail(job, HF_EMPI, "MPI_Allreduce failed: the ranks cannot agree whether it is time");
	return HF_OK;
}

void wish_served(struct hf_job *job, int wanted, uint64_t epoch)
{
	struct wish *wish = &job->wish;

	/* A signal comes to the ranks one after the other: those that came meanwhile are this one. */
	for (unsigned i = 0; i < 2; i++) {
		if (wish->signals[i] && (wanted & flag_of[i]))
			wish->spent[i] = atomic_load(&caught[wish->signals[i]]);
	}
	wish->agreed = 0;
	if (!wish->asked)
		return;
	wish->asked = 0;
	wish->served = wish->count;
	wish->epoch = epoch;
	ask_server(job);
}
