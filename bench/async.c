/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * async.c - async-*-stop: how long the application is stopped for a checkpoint that is shipped while it computes, beside the
 * same checkpoint that it waits for, in turns. Meanwhile it writes to some of its pages. The one that is waited for is another
 * process's, of the same size, which never protects a page: where the hypervisor keeps page tables of its own, a page that was
 * protected once is slow afterwards, and would make a limit that nobody has.
 */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "ckpt/cow.h"
#include "ckpt/snapshot.h"
#include "common/clock.h"
#include "common/size.h"
#include "common/thread.h"
#include "crew.h"
#include "report.h"
#include "server.h"
#include "state.h"

#define RUNS	      9
#define WARM_RUNS     2
#define BYTES	      (1ull << 30)
#define WRITTEN_SHARE 25 /* one page in so many is written while it is shipped */

static const struct way {
	const char *name;
	enum snapshot_way way;
	bool huge; /* memory that asks for huge pages */
	bool part; /* what is written is one part of it, always the same; else pages that lie anywhere */
} ways[] = {
	{"async-stage-stop", SNAPSHOT_STAGE, false, false},
	{"async-cow-stop", SNAPSHOT_COW, false, false},
	{"async-cow-stop-huge", SNAPSHOT_COW, true, false},
	{"async-cow-stop-part", SNAPSHOT_COW, true, true},
};

struct async {
	const struct plan *plan;
	const struct way *way;
	unsigned ranks;
	uint64_t bytes; /* a rank */
	struct server *server;
	bool synchronous; /* the crew that is being started */
	struct crew *crew, *limit;
};

/* ---- in a rank's process ---- */

struct member {
	const struct way *way;
	struct state *state;
	struct snapshot *snapshot; /* NULL in a rank of the limit */
	struct snapshot_stats stats;
};

static int member_begin(void *arg, unsigned rank, void **state, struct error *err)
{
	const struct async *a = arg;
	const struct snapshot_options how = {
		.way = a->way->way, .threads = thread_processors(a->ranks), .sharing = a->ranks};
	struct member *m = calloc(1, sizeof(*m));
	int rc;

	if (!m)
		return error_nomem(err, "a rank");
	m->way = a->way;
	/* The regions of one job: those of the limit come last. */
	rc = state_open(server_address(a->server), "ofi", a->synchronous ? a->ranks + rank : rank, 2 * a->ranks, a->bytes,
			&m->state, err);
	if (!rc && a->way->huge)
		rc = state_use_huge_pages(m->state, err);
	if (!rc && !a->synchronous)
		rc = snapshot_new(&how, &m->snapshot, err);
	*state = m;
	return rc;
}

static void member_end(void *state)
{
	struct member *m = state;

	snapshot_free(m->snapshot, m->state ? m->state->client : NULL);
	state_close(m->state);
	free(m);
}

static int do_synchronous(void *state, uint64_t unused, double *value, struct error *err)
{
	struct member *m = state;

	(void)unused;
	(void)value;
	return state_put(m->state, SET_FULL, err);
}

static int do_start(void *state, uint64_t unused, double *value, struct error *err)
{
	struct member *m = state;
	enum set_kind kind = SET_FULL;

	(void)unused;
	(void)value;
	return snapshot_start(m->snapshot, m->state->client, m->state->epoch + 1, m->state->epoch, &kind,
			      &m->state->segment, 1, err);
}

/* A word in each of so many pages; the time is that of the writes. */
static int do_write(void *state, uint64_t pages, double *value, struct error *err)
{
	struct member *m = state;
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), all = m->state->bytes / page;
	uint64_t begin = clock_monotonic_ns(), random = m->state->epoch + 1;

	(void)err;
	for (uint64_t i = 0; all && i < pages; i++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		((volatile uint8_t *)m->state->memory)[(m->way->part ? i : random >> 20) % all * page]++;
	}
	*value = (double)(clock_monotonic_ns() - begin) / 1e6;
	return 0;
}

static int do_wait(void *state, uint64_t unused, double *value, struct error *err)
{
	struct member *m = state;
	int rc = snapshot_wait(m->snapshot, err);

	(void)unused;
	snapshot_stats(m->snapshot, &m->stats);
	*value = (double)m->stats.faults;
	if (!rc)
		m->state->epoch++;
	return rc;
}

static int do_cow(void *state, uint64_t unused, double *value, struct error *err)
{
	struct member *m = state;

	(void)unused;
	(void)err;
	*value = m->stats.cow;
	return 0;
}

/* ---- in the parent ---- */

struct times {
	struct samples samples; /* ms: stopped, synchronous */
	double total_ms[SAMPLES_MAX]; /* from start to durable */
	double writes_ms[SAMPLES_MAX], plain_ms[SAMPLES_MAX], faults[SAMPLES_MAX];
};

static int asynchronous(struct async *a, uint64_t pages, double *stopped, struct times *t, unsigned i, struct error *err)
{
	int rc = crew_do(a->crew, do_start, 0, stopped, NULL, err);
	uint64_t begin = clock_monotonic_ns();

	if (!rc)
		rc = crew_do(a->crew, do_write, pages, NULL, &t->writes_ms[i], err);
	if (!rc)
		rc = crew_do(a->crew, do_wait, 0, NULL, &t->faults[i], err);
	t->total_ms[i] = *stopped * 1e3 + (double)(clock_monotonic_ns() - begin) / 1e6;
	return rc ? rc : crew_do(a->crew, do_write, pages, NULL, &t->plain_ms[i], err);
}

/* With the same writes as the other. */
static int synchronous(struct async *a, uint64_t pages, double *seconds, struct error *err)
{
	int rc = crew_do(a->limit, do_synchronous, 0, seconds, NULL, err);

	for (unsigned i = 0; i < 2 && !rc; i++)
		rc = crew_do(a->limit, do_write, pages, NULL, NULL, err);
	return rc;
}

static int turn(struct async *a, uint64_t pages, struct times *t, unsigned run, struct error *err)
{
	unsigned i = t->samples.count;
	double stopped = 0, limit = 0; /* s */
	int rc = 0;

	if (run % 2)
		rc = synchronous(a, pages, &limit, err);
	if (!rc)
		rc = asynchronous(a, pages, &stopped, t, i, err);
	if (!rc && run % 2 == 0)
		rc = synchronous(a, pages, &limit, err);
	if (!rc && run >= WARM_RUNS)
		samples_add(&t->samples, stopped * 1e3, limit * 1e3, 0);
	return rc;
}

static int report(const struct async *a, uint64_t pages, struct times *t, struct error *err)
{
	unsigned n = t->samples.count;
	double writes = median(t->writes_ms, n), plain = median(t->plain_ms, n), faults = median(t->faults, n);
	const struct detail details[] = {
		{.name = "total_ms", .number = median(t->total_ms, n)},
		{.name = "written_pages", .number = (double)pages},
		{.name = "faults", .number = faults},
		{.name = "writes_ms", .number = writes},
		{.name = "writes_after_ms", .number = plain},
		{.name = NULL},
	};
	const struct row row = {a->way->name, a->ranks, a->bytes, "ms", .details = details};

	return report_row(a->plan->report, &row, &t->samples, err);
}

static int measure(struct async *a, struct error *err)
{
	unsigned runs = a->plan->runs ? a->plan->runs : RUNS;
	uint64_t pages = a->bytes / (uint64_t)sysconf(_SC_PAGESIZE) / WRITTEN_SHARE;
	struct times *times = calloc(1, sizeof(*times));
	double cow = 0;
	int rc = times ? 0 : error_nomem(err, "times");

	for (unsigned i = 0; !rc && i < WARM_RUNS + runs; i++)
		rc = turn(a, pages, times, i, err);
	if (!rc)
		rc = crew_do(a->crew, do_cow, 0, NULL, &cow, err);
	if (!rc && (cow > 0) != (a->way->way == SNAPSHOT_COW))
		rc = error_set(err, -EIO, "%s: it was not done in this way", a->way->name);
	if (!rc)
		rc = report(a, pages, times, err);
	free(times);
	return rc;
}

static int measure_way(const struct plan *plan, const struct way *way, struct error *err)
{
	static const struct crew_work work = {member_begin, member_end};
	struct async a = {
		.plan = plan,
		.way = way,
		.ranks = plan->ranks ? plan->ranks : 1,
		.bytes = plan->bytes ? plan->bytes : BYTES,
	};
	int rc;

	/* Two crews, and a copy. */
	if (state_leaves_out(plan, way->name, 2 * a.ranks, a.bytes + a.bytes / 8))
		return 0;
	rc = state_check_fits(2 * a.ranks, a.bytes + a.bytes / 8, err);
	if (!rc)
		rc = server_start(plan->server, plan->scratch, state_pool_bytes(2 * a.ranks, a.bytes), NULL, &a.server,
				  err);
	a.synchronous = true;
	if (!rc)
		rc = crew_start(&work, &a, a.ranks, &a.limit, err);
	a.synchronous = false;
	if (!rc)
		rc = crew_start(&work, &a, a.ranks, &a.crew, err);
	if (!rc)
		rc = measure(&a, err);
	if (rc && a.server)
		server_explain(a.server, err);
	crew_dismiss(a.crew);
	crew_dismiss(a.limit);
	server_stop(a.server);
	return rc ? error_context(err, "%s", way->name) : 0;
}

int async_bench(const struct plan *plan, struct error *err)
{
	bool works = true;
	struct error why;
	int rc = 0;

	if (plan->wants(ways[1].name) || plan->wants(ways[2].name)) {
		works = !cow_probe(&why);
		if (!works)
			report_note("copy-on-write checkpoints are left out: %s", why.text);
	}
	for (size_t i = 0; !rc && i < sizeof(ways) / sizeof(ways[0]); i++)
		if (plan->wants(ways[i].name) && (works || ways[i].way != SNAPSHOT_COW))
			rc = measure_way(plan, &ways[i], err);
	return rc;
}
