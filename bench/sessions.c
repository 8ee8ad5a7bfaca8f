/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sessions.c - sessions-1, -16, -256, -1024: checkpoints of so many sessions with one server, beside as many bytes by two
 * sessions with another. A few processes with some threads each stand for the ranks. Half of the sessions are the ranks of
 * one job, each other one is a job of its own.
 */
#include "bench.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "client/client.h"
#include "client/control.h"
#include "common/clock.h"
#include "crew.h"
#include "report.h"
#include "server.h"
#include "state.h"

#define BYTES	      (256u << 10) /* of a set */
#define PUTS	      2048	   /* in a run, of all sessions */
#define RUNS	      9
#define WARM_RUNS     2
#define PROCESSES_MAX 4
#define THREADS_MAX   16  /* of each: so many sessions at a time have their turn */
#define CALLS	      50  /* of which the median is told */
#define SMALL_BYTES   4096
#define BUFFER_BYTES  (64u << 20) /* of each process: what is written moves through it, as through many ranks' memory */
#define DESCRIPTORS   8	  /* a session, at most, in a process that has a share of them */
#define TIMEOUT_MS    60000

/* One server and its sessions. */
struct party {
	unsigned sessions, processes;
	uint64_t bytes;
	char scratch[256];
	struct server *server;
	struct crew *crew;
	double *seconds; /* of each session's sets, in all runs that count; shared with the processes */
};

/* ---- in a process ---- */

struct rank {
	struct client *client;
	uint64_t epoch;
};

struct member {
	const struct party *party;
	unsigned index;
	struct rank *ranks; /* the i-th one is session index + i * processes */
	unsigned count;	    /* that are open */
	uint8_t *buffer;
};

static int descriptors_raise(unsigned need, struct error *err)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return error_set(err, -errno, "the limit of descriptors is not known");
	limit.rlim_cur = limit.rlim_max;
	if (limit.rlim_max < need || setrlimit(RLIMIT_NOFILE, &limit))
		return error_set(err, -EMFILE, "it takes %u descriptors: raise their limit (ulimit -Hn)", need);
	return 0;
}

static int member_begin(void *arg, unsigned index, void **state, struct error *err)
{
	const struct party *party = arg;
	struct member *m = calloc(1, sizeof(*m));
	unsigned most = (party->sessions + party->processes - 1) / party->processes;
	int rc;

	if (!m)
		return error_nomem(err, "a process");
	m->party = party;
	m->index = index;
	m->ranks = calloc(most, sizeof(*m->ranks));
	if (!m->ranks)
		return error_nomem(err, "ranks");
	rc = descriptors_raise(most * DESCRIPTORS + 64, err);
	if (!rc)
		rc = state_memory(BUFFER_BYTES, index + 1, &m->buffer, err);
	*state = m;
	return rc;
}

static void member_end(void *state)
{
	struct member *m = state;

	for (unsigned i = 0; i < m->count; i++)
		client_close(m->ranks[i].client, true, NULL);
}

static int client_make(const struct member *m, const char *job, uint32_t rank, uint32_t ranks, struct client **client,
		       struct error *err)
{
	struct client_options options = {.server = server_address(m->party->server),
					 .net = "ofi",
					 .provider = PROVIDER,
					 .auth = "none",
					 .timeout_ms = TIMEOUT_MS};
	struct client_identity identity = {
		.job = job, .rank = rank, .ranks = ranks, .mode = REGION_OVERWRITE, .launch = "hf-bench"};

	return client_open(&options, &identity, client, err);
}

static int put(const struct member *m, struct rank *rank, uint64_t offset, uint64_t bytes, struct error *err)
{
	struct client_segment segment = {.segment = {"data", ELEMENT_BYTE, 1, bytes},
					 .at = m->buffer + offset % (BUFFER_BYTES - bytes + 1)};
	int rc = client_put(rank->client, rank->epoch + 1, rank->epoch, NULL, &segment, 1, err);

	rank->epoch += !rc;
	return rc;
}

/* Opens sessions until there are `count` of the party's. */
static int do_open(void *state, uint64_t count, double *value, struct error *err)
{
	struct member *m = state;
	unsigned session;
	char job[32];
	int rc = 0;

	(void)value;
	while (!rc && (session = m->index + m->count * m->party->processes) < count) {
		snprintf(job, sizeof(job), session % 2 ? "job-%u" : "job", session);
		rc = client_make(m, job, session % 2 ? 0 : session / 2, session % 2 ? 1 : (m->party->sessions + 1) / 2,
				 &m->ranks[m->count].client, err);
		m->count += !rc;
	}
	return rc;
}

/* A share of a member's sessions, in turns. */
struct share {
	struct member *member;
	unsigned first, step;
	uint64_t puts; /* of each */
	pthread_t thread;
	int rc;
	struct error err;
};

static void *share_run(void *arg)
{
	struct share *share = arg;
	struct member *m = share->member;
	uint64_t bytes = m->party->bytes, begin_ns;

	for (uint64_t n = 0; !share->rc && n < share->puts; n++) {
		for (unsigned i = share->first; !share->rc && i < m->count; i += share->step) {
			begin_ns = clock_monotonic_ns();
			share->rc = put(m, &m->ranks[i], (n * m->count + i) * bytes, bytes, &share->err);
			m->party->seconds[m->index + i * m->party->processes] +=
				(double)(clock_monotonic_ns() - begin_ns) / 1e9;
		}
	}
	return NULL;
}

static int do_puts(void *state, uint64_t puts, double *value, struct error *err)
{
	struct member *m = state;
	unsigned threads = m->count < THREADS_MAX ? m->count : THREADS_MAX, started = 0;
	struct share shares[THREADS_MAX];
	int rc = 0;

	(void)value;
	for (unsigned i = 0; !rc && i < threads; i++) {
		shares[i] = (struct share){.member = m, .first = i, .step = threads, .puts = puts};
		rc = pthread_create(&shares[i].thread, NULL, share_run, &shares[i]);
		if (rc)
			rc = error_set(err, -rc, "a thread: %s", strerror(rc));
		started += !rc;
	}
	for (unsigned i = 0; i < started; i++) {
		pthread_join(shares[i].thread, NULL);
		if (shares[i].rc && !rc) {
			*err = shares[i].err;
			rc = shares[i].rc;
		}
	}
	return rc;
}

/* By the first process alone: small sets of its sessions, in turns; `value` is the median, in us. */
static int do_small(void *state, uint64_t calls, double *value, struct error *err)
{
	struct member *m = state;
	double times[CALLS];
	int rc = 0;

	for (uint64_t i = 0; !rc && !m->index && i < calls; i++) {
		uint64_t begin_ns = clock_monotonic_ns();

		rc = put(m, &m->ranks[i % m->count], 0, SMALL_BYTES, err);
		times[i] = (double)(clock_monotonic_ns() - begin_ns) / 1e3;
	}
	*value = m->index || rc ? 0 : median(times, (unsigned)calls);
	return rc;
}

/* The same: one session more, which goes again. */
static int do_visit(void *state, uint64_t calls, double *value, struct error *err)
{
	struct member *m = state;
	double times[CALLS];
	struct client *client;
	int rc = 0;

	for (uint64_t i = 0; !rc && !m->index && i < calls; i++) {
		uint64_t begin_ns = clock_monotonic_ns();

		rc = client_make(m, "visitor", 0, 1, &client, err);
		times[i] = (double)(clock_monotonic_ns() - begin_ns) / 1e3;
		if (!rc)
			client_close(client, true, NULL);
	}
	*value = m->index || rc ? 0 : median(times, (unsigned)calls);
	return rc;
}

/* ---- in the parent ---- */

static int party_start(struct party *p, const struct plan *plan, unsigned sessions, uint64_t bytes, const char *name,
		       struct error *err)
{
	static const struct crew_work work = {member_begin, member_end};
	int n = snprintf(p->scratch, sizeof(p->scratch), "%s/%s", plan->scratch, name), rc;

	p->sessions = sessions;
	p->bytes = bytes;
	p->processes = sessions < PROCESSES_MAX ? sessions : PROCESSES_MAX;
	p->seconds = mmap(NULL, sessions * sizeof(*p->seconds), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p->seconds == MAP_FAILED) {
		p->seconds = NULL;
		return error_nomem(err, "sessions");
	}
	if (n >= (int)sizeof(p->scratch) || mkdir(p->scratch, 0700))
		return error_set(err, -errno, "cannot make %s", p->scratch);
	rc = server_start(plan->server, p->scratch, state_pool_bytes(sessions, bytes), NULL, &p->server, err);
	if (!rc)
		rc = crew_start(&work, p, p->processes, &p->crew, err);
	return rc;
}

static void party_end(struct party *p)
{
	crew_dismiss(p->crew);
	server_stop(p->server);
	if (*p->scratch)
		rmdir(p->scratch);
	if (p->seconds)
		munmap(p->seconds, p->sessions * sizeof(*p->seconds));
}

/* `speed`: GB/s of all. */
static int party_run(struct party *p, double *speed, struct error *err)
{
	uint64_t puts = PUTS / p->sessions;
	double seconds;
	int rc = crew_do(p->crew, do_puts, puts, &seconds, NULL, err);

	if (!rc)
		*speed = (double)(puts * p->sessions * p->bytes) / seconds / 1e9;
	return rc;
}

/* The slowest session's speed over the fastest one's. */
static double fairness_of(const struct party *p)
{
	double least = p->seconds[0], most = p->seconds[0];

	for (unsigned i = 1; i < p->sessions; i++) {
		least = p->seconds[i] < least ? p->seconds[i] : least;
		most = p->seconds[i] > most ? p->seconds[i] : most;
	}
	return least / most;
}

/* The median time of a request that a tool makes of the job with the many ranks, in us. */
static int call_time(const struct party *p, enum wire_type type, double *value, struct error *err)
{
	struct client_options options = {.server = server_address(p->server), .net = "ofi", .auth = "none"};
	struct wire_target target = {.job = "job", .uid = WIRE_UID_SELF};
	struct control control;
	double times[CALLS];
	int rc = control_connect(&options, deadline_in_ms(TIMEOUT_MS), &control, err);

	if (rc)
		return rc;
	for (unsigned i = 0; !rc && i < CALLS; i++) {
		uint64_t begin_ns = clock_monotonic_ns();

		if (type == WIRE_LIST) {
			struct wire_list_reply reply = {0};

			rc = control_call(&control, type, wire_target_fields, &target, wire_list_reply_fields, &reply,
					  deadline_in_ms(TIMEOUT_MS), err);
			wire_list_reply_free(&reply);
		} else {
			struct wire_show_reply reply = {0};

			rc = control_call(&control, type, wire_target_fields, &target, wire_show_reply_fields, &reply,
					  deadline_in_ms(TIMEOUT_MS), err);
			wire_show_reply_free(&reply);
		}
		times[i] = (double)(clock_monotonic_ns() - begin_ns) / 1e3;
	}
	control_close(&control);
	*value = rc ? 0 : median(times, CALLS);
	return rc;
}

/* ---- one row ---- */

enum { FAIRNESS, MEMORY, OPEN, LIST, SHOW, COMMIT, DETAILS };

/* All sessions, and what each of them takes of the server's memory: beside the first one, and beside its slots. */
static int sessions_open(struct party *p, double *kib, struct error *err)
{
	uint64_t before, after;
	int rc = crew_do(p->crew, do_open, 1, NULL, NULL, err);

	if (!rc)
		rc = crew_do(p->crew, do_puts, 2, NULL, NULL, err);
	if (!rc)
		rc = server_memory(p->server, &before, err);
	if (!rc)
		rc = crew_do(p->crew, do_open, p->sessions, NULL, NULL, err);
	if (!rc)
		rc = crew_do(p->crew, do_puts, 2, NULL, NULL, err);
	if (!rc)
		rc = server_memory(p->server, &after, err);
	if (!rc)
		*kib = p->sessions > 1 && after > before ? (double)(after - before) / 1024 / (p->sessions - 1) : 0;
	return rc;
}

static int calls_measure(struct party *p, struct detail *details, struct error *err)
{
	int rc = crew_do(p->crew, do_visit, CALLS, NULL, &details[OPEN].number, err);

	if (!rc)
		rc = call_time(p, WIRE_LIST, &details[LIST].number, err);
	if (!rc)
		rc = call_time(p, WIRE_SHOW, &details[SHOW].number, err);
	if (!rc)
		rc = crew_do(p->crew, do_small, CALLS, NULL, &details[COMMIT].number, err);
	return rc;
}

static int measure(struct party *many, struct party *two, const struct plan *plan, const char *name, struct error *err)
{
	struct detail details[DETAILS + 1] = {
		[FAIRNESS] = {"fairness", 0, NULL}, [MEMORY] = {"memory_kib", 0, NULL}, [OPEN] = {"open_us", 0, NULL},
		[LIST] = {"list_us", 0, NULL},	    [SHOW] = {"show_us", 0, NULL},	[COMMIT] = {"commit_us", 0, NULL},
	};
	unsigned runs = plan->runs ? plan->runs : RUNS;
	struct samples samples = {0};
	double speed, limit, unused;
	int rc = sessions_open(two, &unused, err);

	if (!rc)
		rc = sessions_open(many, &details[MEMORY].number, err);
	for (unsigned i = 0; !rc && i < WARM_RUNS + runs; i++) {
		if (i == WARM_RUNS)
			memset(many->seconds, 0, many->sessions * sizeof(*many->seconds));
		if (i % 2)
			rc = party_run(many, &speed, err);
		if (!rc)
			rc = party_run(two, &limit, err);
		if (!rc && !(i % 2))
			rc = party_run(many, &speed, err);
		if (!rc && i >= WARM_RUNS)
			samples_add(&samples, speed, limit, 0);
	}
	if (rc)
		return rc;
	details[FAIRNESS].number = fairness_of(many);
	rc = calls_measure(many, details, err);
	if (rc)
		return rc;
	return report_row(plan->report,
			  &(struct row){name, many->sessions, many->bytes, .unit = "GB/s", .details = details}, &samples, err);
}

static int row(const struct plan *plan, unsigned sessions, const char *name, struct error *err)
{
	struct party many = {.sessions = 0}, two = {.sessions = 0};
	uint64_t bytes = plan->bytes ? plan->bytes : BYTES;
	int rc = state_check_fits(sessions + 2, bytes, err);

	if (!rc && bytes > BUFFER_BYTES)
		rc = error_set(err, -EINVAL, "--bytes is 64M at most for it");
	if (!rc)
		rc = party_start(&two, plan, 2, bytes, "two", err);
	if (!rc)
		rc = party_start(&many, plan, sessions, bytes, "many", err);
	if (!rc)
		rc = measure(&many, &two, plan, name, err);
	if (rc && many.server)
		server_explain(many.server, err);
	party_end(&many);
	party_end(&two);
	return rc ? error_context(err, "%s", name) : 0;
}

int sessions_bench(const struct plan *plan, struct error *err)
{
	static const struct {
		const char *name;
		unsigned sessions;
	} rows[] = {{"sessions-1", 1}, {"sessions-16", 16}, {"sessions-256", 256}, {"sessions-1024", 1024}};
	int rc = 0;

	for (size_t i = 0; !rc && i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (plan->wants(rows[i].name))
			rc = row(plan, rows[i].sessions, rows[i].name, err);
	}
	return rc;
}
