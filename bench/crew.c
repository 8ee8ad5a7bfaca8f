/* SPDX-License-Identifier: BSD-3-Clause */
/* crew.c - the rank processes of a benchmark. */
#include "crew.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include "child.h"
#include "common/clock.h"

#define TASK_MS (300 * 1000)

struct order {
	crew_task *task; /* the same address in all processes, since they are forked */
	uint64_t argument;
};

struct result {
	uint64_t begin_ns, end_ns;
	double value;
	struct error err;
};

struct crew {
	unsigned ranks;
	bool broken; /* a rank failed, and others may wait for it: do not wait for them */
	atomic_uint *arrived; /* shared; rises by `ranks` with each task */
	struct member {
		pid_t pid;
		int socket;
	} members[];
};

/* Spins: a wake-up would take longer than a small task. */
static void line_up(struct crew *crew, unsigned round)
{
	atomic_fetch_add(crew->arrived, 1);
	while (atomic_load(crew->arrived) < round * crew->ranks)
		sched_yield();
}

static void member_run(struct crew *crew, const struct crew_work *work, void *arg, unsigned rank,
		       int socket)
{
	struct result result = {0};
	struct order order;
	unsigned round = 0;
	void *state = NULL;
	int rc;

	rc = work->begin(arg, rank, &state, &result.err);
	result.err.code = rc;
	send(socket, &result, sizeof(result), 0);
	while (!rc && recv(socket, &order, sizeof(order), 0) == sizeof(order)) {
		result = (struct result){0};
		line_up(crew, ++round);
		result.begin_ns = clock_monotonic_ns();
		result.err.code = order.task(state, order.argument, &result.value, &result.err);
		result.end_ns = clock_monotonic_ns();
		send(socket, &result, sizeof(result), 0);
	}
	if (!rc && work->end)
		work->end(state);
	_exit(0);
}

static int receive(struct crew *crew, unsigned rank, uint64_t deadline, struct result *result,
		   struct error *err)
{
	int rc = child_wait_input(crew->members[rank].socket, deadline, err);

	if (rc)
		return rc;
	if (recv(crew->members[rank].socket, result, sizeof(*result), 0) != sizeof(*result))
		return error_set(err, -ECHILD, "rank %u died", rank);
	if (!result->err.code)
		return 0;
	*err = result->err;
	return error_context(err, "rank %u", rank);
}

/* Collects a result of each rank; the first error is the crew's. */
static int collect(struct crew *crew, double *seconds, double *value, struct error *err)
{
	uint64_t deadline = deadline_in_ms(TASK_MS), begin_ns = UINT64_MAX, end_ns = 0;
	struct result result;
	double largest = 0;
	int rc;

	for (unsigned i = 0; i < crew->ranks; i++) {
		rc = receive(crew, i, deadline, &result, err);
		if (rc) {
			crew->broken = true;
			return rc;
		}
		begin_ns = result.begin_ns < begin_ns ? result.begin_ns : begin_ns;
		end_ns = result.end_ns > end_ns ? result.end_ns : end_ns;
		largest = result.value > largest ? result.value : largest;
	}
	if (seconds)
		*seconds = (double)(end_ns - begin_ns) / 1e9;
	if (value)
		*value = largest;
	return 0;
}

static int member_start(struct crew *crew, const struct crew_work *work, void *arg, unsigned rank,
			struct error *err)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return error_set(err, -errno, "socketpair: %s", strerror(errno));
	pid = child_fork(SIGKILL, err);
	if (pid < 0) {
		close(pair[0]);
		close(pair[1]);
		return pid;
	}
	if (!pid) {
		for (unsigned i = 0; i < rank; i++)
			close(crew->members[i].socket);
		close(pair[0]);
		member_run(crew, work, arg, rank, pair[1]);
	}
	close(pair[1]);
	crew->members[rank] = (struct member){pid, pair[0]};
	return 0;
}

int crew_start(const struct crew_work *work, void *arg, unsigned ranks, struct crew **crew,
	       struct error *err)
{
	struct crew *c = calloc(1, sizeof(*c) + ranks * sizeof(c->members[0]));
	int rc = 0;

	if (!c)
		return error_nomem(err, "the ranks");
	c->arrived = mmap(NULL, sizeof(*c->arrived), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (c->arrived == MAP_FAILED) {
		free(c);
		return error_nomem(err, "the ranks");
	}
	while (!rc && c->ranks < ranks) {
		rc = member_start(c, work, arg, c->ranks, err);
		if (!rc)
			c->ranks++;
	}
	if (!rc)
		rc = collect(c, NULL, NULL, err);
	if (rc) {
		crew_dismiss(c);
		return rc;
	}
	*crew = c;
	return 0;
}

int crew_do(struct crew *crew, crew_task *task, uint64_t argument, double *seconds, double *value,
	    struct error *err)
{
	struct order order = {task, argument};

	for (unsigned i = 0; i < crew->ranks; i++) {
		int to = crew->members[i].socket;

		if (send(to, &order, sizeof(order), MSG_NOSIGNAL) != sizeof(order)) {
			crew->broken = true;
			return error_set(err, -ECHILD, "rank %u died", i);
		}
	}
	return collect(crew, seconds, value, err);
}

void crew_dismiss(struct crew *crew)
{
	uint64_t deadline = deadline_in_ms(10000);

	if (!crew)
		return;
	/* Their end of work is the end of the socket. */
	for (unsigned i = 0; i < crew->ranks; i++)
		close(crew->members[i].socket);
	for (unsigned i = 0; i < crew->ranks; i++) {
		while (!crew->broken && !child_gone(crew->members[i].pid) &&
		       deadline_left_ms(deadline))
			deadline_sleep_ms(deadline, 5);
		child_end(crew->members[i].pid, SIGKILL);
	}
	munmap(crew->arrived, sizeof(*crew->arrived));
	free(crew);
}
