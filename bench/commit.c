/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * commit.c - commit-4k: a durable set of 4 KiB, beside the round trip by TCP between two processes,
 * of 4 KiB there and a few bytes back.
 */
#include "bench.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include "child.h"
#include "client/client.h"
#include "common/clock.h"
#include "crew.h"
#include "report.h"
#include "server.h"
#include "wire/seal.h"

#define BYTES	     4096
#define ANSWER_BYTES 64
#define RUNS	     15
#define WARM_RUNS    1
#define PUTS	     100  /* in a run, of which the median counts */
#define ROUND_TRIPS  1000 /* likewise */
#define POOL_BYTES   (256u << 20)
#define RANKS_LIMIT  64
#define FRAME_BYTES  256 /* BEGIN of one segment has some 200, the others less */
#define SEALS	     1000

struct commit {
	unsigned ranks;
	struct server *server;
	struct crew *crew;
	struct echo {
		pid_t pid;
		int listener;
		struct sockaddr_in address;
	} echoes[RANKS_LIMIT];
};

static int whole(ssize_t n, size_t bytes, struct error *err)
{
	if (n == (ssize_t)bytes)
		return 0;
	return error_set(err, -EIO, "TCP ping-pong: %s",
			 n < 0 ? strerror(errno) : "connection closed");
}

/* ---- in a rank's process ---- */

struct member {
	struct client *client;
	struct client_segment segment;
	uint64_t epoch;
	int socket;
	char buffer[BYTES];
};

static int member_begin(void *arg, unsigned rank, void **state, struct error *err)
{
	const struct commit *c = arg;
	struct client_options options = {
		.server = server_address(c->server), .net = "ofi", .auth = "none"};
	struct client_identity identity = {.job = "commit",
					   .rank = rank,
					   .ranks = c->ranks,
					   .mode = REGION_OVERWRITE,
					   .launch = "hf-bench"};
	struct member *m = calloc(1, sizeof(*m));
	int on = 1, rc;

	if (!m)
		return error_nomem(err, "a rank");
	memset(m->buffer, 1, sizeof(m->buffer));
	m->segment = (struct client_segment){.segment = {"data", ELEMENT_BYTE, 1, BYTES}, .at = m->buffer};
	m->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (m->socket < 0 || setsockopt(m->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ||
	    connect(m->socket, (const struct sockaddr *)&c->echoes[rank].address,
		    sizeof(c->echoes[rank].address)))
		return error_set(err, -errno, "TCP ping-pong: %s", strerror(errno));
	rc = client_open(&options, &identity, &m->client, err);
	if (rc)
		return rc;
	*state = m;
	return 0;
}

static void member_end(void *state)
{
	struct member *m = state;

	client_close(m->client, true, NULL);
}

/* `value` of both tasks: the median of single times, in us. */
static int do_puts(void *state, uint64_t count, double *value, struct error *err)
{
	struct member *m = state;
	double times[PUTS];
	uint64_t begin_ns;
	int rc;

	for (uint64_t i = 0; i < count; i++) {
		memcpy(m->buffer, &i, sizeof(i));
		begin_ns = clock_monotonic_ns();
		rc = client_put(m->client, m->epoch + 1, m->epoch, NULL, &m->segment, 1, err);
		times[i] = (double)(clock_monotonic_ns() - begin_ns) / 1e3;
		if (rc)
			return rc;
		m->epoch++;
	}
	*value = median(times, (unsigned)count);
	return 0;
}

static int do_round_trips(void *state, uint64_t count, double *value, struct error *err)
{
	struct member *m = state;
	double times[ROUND_TRIPS];
	char answer[ANSWER_BYTES];
	uint64_t begin_ns;
	int rc;

	for (uint64_t i = 0; i < count; i++) {
		begin_ns = clock_monotonic_ns();
		rc = whole(send(m->socket, m->buffer, BYTES, MSG_NOSIGNAL), BYTES, err);
		if (!rc)
			rc = whole(recv(m->socket, answer, ANSWER_BYTES, MSG_WAITALL), ANSWER_BYTES,
				   err);
		if (rc)
			return rc;
		times[i] = (double)(clock_monotonic_ns() - begin_ns) / 1e3;
	}
	*value = median(times, (unsigned)count);
	return 0;
}

/* ---- in the parent ---- */

static void echo_run(int listener)
{
	char buffer[BYTES];
	int on = 1, fd = accept(listener, NULL, NULL);

	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		_exit(1);
	while (recv(fd, buffer, BYTES, MSG_WAITALL) == BYTES &&
	       send(fd, buffer, ANSWER_BYTES, MSG_NOSIGNAL) == ANSWER_BYTES)
		;
	_exit(0);
}

static int echo_start(struct echo *echo, struct error *err)
{
	socklen_t bytes = sizeof(echo->address);

	echo->address = (struct sockaddr_in){.sin_family = AF_INET,
					     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	echo->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (echo->listener < 0 ||
	    bind(echo->listener, (struct sockaddr *)&echo->address, sizeof(echo->address)) ||
	    listen(echo->listener, 1) ||
	    getsockname(echo->listener, (struct sockaddr *)&echo->address, &bytes))
		return error_set(err, -errno, "TCP ping-pong: %s", strerror(errno));
	echo->pid = child_fork(SIGKILL, err);
	if (!echo->pid)
		echo_run(echo->listener);
	return echo->pid < 0 ? echo->pid : 0;
}

static int set_up(struct commit *c, const struct plan *plan, struct error *err)
{
	static const struct crew_work work = {member_begin, member_end};
	int rc = 0;

	for (unsigned i = 0; !rc && i < c->ranks; i++)
		rc = echo_start(&c->echoes[i], err);
	if (!rc)
		rc = server_start(plan->server, plan->scratch, POOL_BYTES, NULL, &c->server, err);
	if (!rc)
		rc = crew_start(&work, c, c->ranks, &c->crew, err);
	return rc;
}

static void tear_down(struct commit *c)
{
	crew_dismiss(c->crew);
	server_stop(c->server);
	for (unsigned i = 0; i < c->ranks; i++) {
		if (c->echoes[i].pid > 0)
			child_end(c->echoes[i].pid, SIGKILL);
		if (c->echoes[i].listener > 0)
			close(c->echoes[i].listener);
	}
}

/*
 * What the seals of one such set take, in us, where authentication makes them: BEGIN, COMMIT and their replies are each
 * sealed by one end and checked by the other. The server here is without, so that the rest is seen alone.
 */
static double seals_time(void)
{
	uint8_t key[SEAL_KEY_BYTES] = {1}, frame[FRAME_BYTES + SEAL_BYTES] = {0};
	struct seal client, server;
	double times[SEALS];
	uint64_t begin_ns;

	seal_begin(&client, false, key);
	seal_begin(&server, true, key);
	for (unsigned i = 0; i < SEALS; i++) {
		begin_ns = clock_monotonic_ns();
		for (unsigned request = 0; request < 2; request++) {
			seal_set(&client, frame, FRAME_BYTES);
			seal_check(&server, frame, FRAME_BYTES);
			seal_set(&server, frame, FRAME_BYTES);
			seal_check(&client, frame, FRAME_BYTES);
		}
		times[i] = (double)(clock_monotonic_ns() - begin_ns) / 1e3;
	}
	return median(times, SEALS);
}

static int measure(struct commit *c, const struct plan *plan, struct error *err)
{
	unsigned runs = plan->runs ? plan->runs : RUNS;
	struct samples samples = {0};
	struct detail details[] = {{"seals_us", seals_time(), NULL}, {NULL, 0, NULL}};
	double put, round_trip;
	int rc = 0;

	for (unsigned i = 0; !rc && i < WARM_RUNS + runs; i++) {
		if (i % 2)
			rc = crew_do(c->crew, do_puts, PUTS, NULL, &put, err);
		if (!rc)
			rc = crew_do(c->crew, do_round_trips, ROUND_TRIPS, NULL, &round_trip, err);
		if (!rc && !(i % 2))
			rc = crew_do(c->crew, do_puts, PUTS, NULL, &put, err);
		if (!rc && i >= WARM_RUNS)
			samples_add(&samples, put, round_trip, 0);
	}
	if (rc)
		return rc;
	return report_row(plan->report, &(struct row){"commit-4k", c->ranks, BYTES, .unit = "us", .details = details}, &samples, err);
}

int commit_bench(const struct plan *plan, struct error *err)
{
	struct commit c = {.ranks = plan->ranks ? plan->ranks : 1};
	int rc;

	rc = set_up(&c, plan, err);
	if (!rc)
		rc = measure(&c, plan, err);
	if (rc && c.server)
		server_explain(c.server, err);
	tear_down(&c);
	return rc ? error_context(err, "commit-4k") : 0;
}
