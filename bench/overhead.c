/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * overhead.c - async-overhead*: how long an application takes for some ten seconds of work, always the same, with one
 * asynchronous checkpoint in them, beside the same work without, in turns. The checkpoint is begun first and waited for last.
 */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "ckpt/snapshot.h"
#include "common/clock.h"
#include "common/thread.h"
#include "crew.h"
#include "report.h"
#include "server.h"
#include "state.h"

#define RUNS	      3
#define WARM_SETS     2
#define BYTES	      (1ull << 30)
#define WORK_MS	      10000
#define WORK_MS_MIN   500
#define SMALL_BYTES   (64u << 20) /* with less than this, the work is shorter: for those who try it */
#define WRITTEN_SHARE 25	  /* one page in so many is written by each sweep */

struct way {
	const char *name, *net;
	bool huge; /* memory that asked for huge pages */
};

static const struct way ways[] = {
	{"async-overhead", "ofi", false},
	{"async-overhead-huge", "ofi", true},
	{"async-overhead-local", "local", true},
};

struct overhead {
	const struct plan *plan;
	const struct way *way;
	unsigned ranks;
	uint64_t bytes; /* a rank */
	struct server *server;
	struct crew *crew;
};

/* ---- in a rank's process ---- */

enum figure { STOPPED, SHIPPED, WAITED, FIGURES };

struct member {
	struct state *state;
	struct snapshot *snapshot;
	uint64_t page_bytes, sum;
	uint64_t started_ns;	/* 0: none is under way */
	double figures[FIGURES]; /* ms, of the last checkpoint */
};

static int member_begin(void *arg, unsigned rank, void **state, struct error *err)
{
	const struct overhead *o = arg;
	const struct snapshot_options how = {
		.way = SNAPSHOT_STAGE, .threads = thread_processors(o->ranks), .sharing = o->ranks};
	struct member *m = calloc(1, sizeof(*m));
	int rc;

	if (!m)
		return error_nomem(err, "a rank");
	m->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	rc = state_open(server_address(o->server), o->way->net, rank, o->ranks, o->bytes, &m->state, err);
	if (!rc && o->way->huge)
		rc = state_use_huge_pages(m->state, err);
	if (!rc)
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

static double ms_since(uint64_t ns)
{
	return (double)(clock_monotonic_ns() - ns) / 1e6;
}

/* The pages that are written lie anywhere, and are the same in all sweeps. */
static bool page_is_written(uint64_t page)
{
	return (page * 0x9e3779b97f4a7c15u >> 32) % WRITTEN_SHARE == 0;
}

/* Computes with each word of the state, and writes those of some pages. */
static void sweep(struct member *m)
{
	uint64_t pages = m->state->bytes / m->page_bytes, words = m->page_bytes / sizeof(uint64_t), sum = m->sum;

	for (uint64_t page = 0; page < pages; page++) {
		uint64_t *at = (uint64_t *)(m->state->memory + page * m->page_bytes);

		for (uint64_t i = 0; i < words; i++)
			sum = (sum ^ at[i]) * 6364136223846793005u;
		for (uint64_t i = 0; i < words && page_is_written(page); i++)
			at[i] += sum;
		if (m->started_ns && !m->figures[SHIPPED] && snapshot_shipped(m->snapshot))
			m->figures[SHIPPED] = ms_since(m->started_ns);
	}
	m->sum = sum;
}

/* How many sweeps there are in so many ms. */
static int do_calibrate(void *state, uint64_t ms, double *value, struct error *err)
{
	struct member *m = state;
	uint64_t deadline;

	(void)err;
	sweep(m);
	deadline = deadline_in_ms(ms);
	for (*value = 0; deadline_left_ms(deadline); ++*value)
		sweep(m);
	return 0;
}

static int do_work(void *state, uint64_t sweeps, double *value, struct error *err)
{
	(void)value;
	(void)err;
	for (uint64_t i = 0; i < sweeps; i++)
		sweep(state);
	return 0;
}

static int do_work_with(void *state, uint64_t sweeps, double *value, struct error *err)
{
	struct member *m = state;
	struct state *s = m->state;
	enum set_kind kind = SET_FULL;
	uint64_t waiting_ns;
	int rc;

	m->figures[SHIPPED] = 0;
	m->started_ns = clock_monotonic_ns();
	rc = snapshot_start(m->snapshot, s->client, s->epoch + 1, s->epoch, &kind, &s->segment, 1, err);
	if (rc)
		return rc;
	m->figures[STOPPED] = ms_since(m->started_ns);
	do_work(m, sweeps, value, err);
	waiting_ns = clock_monotonic_ns();
	rc = snapshot_wait(m->snapshot, err);
	m->figures[WAITED] = ms_since(waiting_ns);
	if (!m->figures[SHIPPED])
		m->figures[SHIPPED] = ms_since(m->started_ns);
	m->started_ns = 0;
	if (!rc)
		s->epoch++;
	return rc;
}

static int do_figure(void *state, uint64_t figure, double *value, struct error *err)
{
	const struct member *m = state;

	(void)err;
	*value = m->figures[figure];
	return 0;
}

/* ---- in the parent ---- */

struct times {
	struct samples samples;
	double figures[FIGURES][SAMPLES_MAX];
};

static uint64_t work_ms(uint64_t bytes)
{
	uint64_t ms = bytes < SMALL_BYTES ? WORK_MS * bytes / SMALL_BYTES : WORK_MS;

	return ms < WORK_MS_MIN ? WORK_MS_MIN : ms;
}

static int turn(struct overhead *o, uint64_t sweeps, bool with_first, struct times *t, struct error *err)
{
	double seconds[2]; /* without, with */
	unsigned i = t->samples.count;
	int rc;

	rc = crew_do(o->crew, with_first ? do_work_with : do_work, sweeps, &seconds[with_first], NULL, err);
	if (!rc)
		rc = crew_do(o->crew, with_first ? do_work : do_work_with, sweeps, &seconds[!with_first], NULL, err);
	for (unsigned f = 0; !rc && f < FIGURES; f++)
		rc = crew_do(o->crew, do_figure, f, NULL, &t->figures[f][i], err);
	if (!rc)
		samples_add(&t->samples, seconds[1] * 1e3, seconds[0] * 1e3, 0);
	return rc;
}

static int report(const struct overhead *o, uint64_t sweeps, struct times *t, struct error *err)
{
	const uint64_t pages = o->bytes / (uint64_t)sysconf(_SC_PAGESIZE);
	unsigned n = t->samples.count;
	uint64_t written = 0;

	for (uint64_t page = 0; page < pages; page++)
		written += page_is_written(page);
	const struct detail details[] = {
		{.name = "stopped_ms", .number = median(t->figures[STOPPED], n)},
		{.name = "total_ms", .number = median(t->figures[SHIPPED], n)},
		{.name = "waited_ms", .number = median(t->figures[WAITED], n)},
		{.name = "sweeps", .number = (double)sweeps},
		{.name = "written_pages", .number = (double)written},
		{.name = NULL},
	};
	const struct row row = {o->way->name, o->ranks, o->bytes, "ms", .details = details};

	return report_row(o->plan->report, &row, &t->samples, err);
}

static int measure(struct overhead *o, struct error *err)
{
	unsigned runs = o->plan->runs ? o->plan->runs : RUNS;
	struct times *times = calloc(1, sizeof(*times));
	double sweeps = 0;
	int rc = times ? 0 : error_nomem(err, "times");

	for (unsigned i = 0; !rc && i < WARM_SETS; i++)
		rc = crew_do(o->crew, do_work_with, 1, NULL, NULL, err);
	if (!rc)
		rc = crew_do(o->crew, do_calibrate, work_ms(o->bytes), NULL, &sweeps, err);
	for (unsigned i = 0; !rc && i < runs; i++)
		rc = turn(o, (uint64_t)sweeps, i % 2, times, err);
	if (!rc)
		rc = report(o, (uint64_t)sweeps, times, err);
	free(times);
	return rc;
}

static int overhead_row(const struct plan *plan, const struct way *way, struct error *err)
{
	static const struct crew_work work = {member_begin, member_end};
	struct overhead o = {
		.plan = plan,
		.way = way,
		.ranks = plan->ranks ? plan->ranks : 1,
		.bytes = plan->bytes ? plan->bytes : BYTES,
	};
	int rc;

	/* A copy beside what the others need. */
	if (state_leaves_out(plan, way->name, o.ranks, o.bytes + o.bytes / 4))
		return 0;
	rc = state_check_fits(o.ranks, o.bytes + o.bytes / 4, err);
	if (!rc)
		rc = server_start(plan->server, plan->scratch, state_pool_bytes(o.ranks, o.bytes), NULL, &o.server, err);
	if (!rc)
		rc = crew_start(&work, &o, o.ranks, &o.crew, err);
	if (!rc)
		rc = measure(&o, err);
	if (rc && o.server)
		server_explain(o.server, err);
	crew_dismiss(o.crew);
	server_stop(o.server);
	return rc ? error_context(err, "%s", way->name) : 0;
}

int overhead_bench(const struct plan *plan, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (plan->wants(ways[i].name))
			rc = overhead_row(plan, &ways[i], err);
	}
	return rc;
}
