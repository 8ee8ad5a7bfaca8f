/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * increment.c - increment-*: how long an application is stopped for an increment of blocks that lie anywhere, beside
 * a full checkpoint of the same memory, in turns.
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include "common/checksum.h"
#include "common/clock.h"
#include "common/size.h"
#include "common/thread.h"
#include "crew.h"
#include "report.h"
#include "server.h"
#include "state.h"
#include "track/track.h"

#define RUNS	  9
#define WARM_RUNS 2 /* a region has two slots */
#define BYTES	  (256ull << 20)

static const struct share {
	const char *name;
	uint64_t per_mille;
} shares[] = {
	{"increment-0.1pct", 1}, {"increment-1pct", 10},     {"increment-10pct", 100},
	{"increment-50pct", 500}, {"increment-100pct", 1000},
};

struct increment {
	const struct plan *plan;
	unsigned ranks;
	uint64_t bytes; /* a rank */
	struct server *server;
	struct crew *crew;
};

/* ---- in a rank's process ---- */

struct member {
	struct state *state;
	struct track *track;
	struct track_segment *watched;
};

static int member_begin(void *arg, unsigned rank, void **state, struct error *err)
{
	const struct increment *n = arg;
	struct track_options options = {.tracker = n->plan->tracker, .threads = thread_processors(n->ranks)};
	struct member *m = calloc(1, sizeof(*m));
	int rc;

	if (!m)
		return error_nomem(err, "a rank");
	rc = state_open(server_address(n->server), "ofi", rank, n->ranks, n->bytes, &m->state, err);
	if (!rc)
		rc = track_open(&options, &m->track, err);
	if (!rc)
		rc = track_add(m->track, "data", m->state->memory, n->bytes, TRACK_NORMAL, &m->watched, err);
	*state = m;
	return rc;
}

static void member_end(void *state)
{
	struct member *m = state;

	track_close(m->track);
	state_close(m->state);
	free(m);
}

/* As hf_checkpoint() does it: find out what changed, write that, and take it for the reference. */
static int checkpoint(struct member *m, enum set_kind kind, struct error *err)
{
	struct client_segment *s = &m->state->segment;
	struct track_changes found;
	int rc;

	track_collect(m->watched, &found);
	s->ranges = found.ranges;
	s->range_count = found.count;
	s->checksums = found.checksums;
	rc = state_put(m->state, kind, err);
	if (!rc)
		track_arm(m->track);
	return rc;
}

static int do_forget(void *state, uint64_t unused, double *value, struct error *err)
{
	struct member *m = state;

	(void)unused;
	(void)value;
	(void)err;
	track_forget(m->track);
	return 0;
}

/* Without a reference: checksums are made while the data is under way, as in the first one of a job. */
static int do_full(void *state, uint64_t unused, double *value, struct error *err)
{
	(void)unused;
	(void)value;
	return checkpoint(state, SET_FULL, err);
}

static int do_change(void *state, uint64_t blocks, double *value, struct error *err)
{
	struct member *m = state;

	(void)value;
	(void)err;
	state_change(m->state, blocks);
	return 0;
}

static int do_increment(void *state, uint64_t unused, double *value, struct error *err)
{
	(void)unused;
	(void)value;
	return checkpoint(state, SET_INCREMENT, err);
}

static int do_set_bytes(void *state, uint64_t unused, double *value, struct error *err)
{
	struct member *m = state;

	(void)unused;
	(void)err;
	*value = (double)state_set_bytes(m->state);
	return 0;
}

/* One pass over all of the memory: what finding changes by hashing cannot go below. */
static int do_hash(void *state, uint64_t unused, double *value, struct error *err)
{
	struct member *m = state;
	uint64_t bytes = m->state->bytes, n, sum = 0;

	(void)unused;
	(void)err;
	for (uint64_t at = 0; at < bytes; at += n) {
		n = bytes - at < SET_BLOCK_DEFAULT ? bytes - at : SET_BLOCK_DEFAULT;
		sum ^= checksum(m->state->memory + at, n);
	}
	*value = (double)(sum & 1); /* so that it is made */
	return 0;
}

static int do_tracker(void *state, uint64_t unused, double *value, struct error *err)
{
	struct member *m = state;

	(void)unused;
	(void)err;
	*value = strcmp(track_name(m->track), "hash") != 0;
	return 0;
}

/* ---- in the parent ---- */

struct times {
	struct samples samples; /* increment, full checkpoint */
	double hash_ms[SAMPLES_MAX];
	double set_bytes;
};

static int run_ms(struct increment *n, crew_task *task, uint64_t argument, double *ms, struct error *err)
{
	double seconds = 0;
	int rc = crew_do(n->crew, task, argument, &seconds, NULL, err);

	*ms = seconds * 1e3;
	return rc;
}

/* The full checkpoint first, since the increment follows it; so each has one of the other kind on both sides. */
static int turn(struct increment *n, uint64_t blocks, double *full, double *increment, double *hash, struct error *err)
{
	int rc = crew_do(n->crew, do_forget, 0, NULL, NULL, err);

	if (!rc)
		rc = run_ms(n, do_full, 0, full, err);
	if (!rc)
		rc = crew_do(n->crew, do_change, blocks, NULL, NULL, err);
	if (!rc)
		rc = run_ms(n, do_increment, 0, increment, err);
	return rc ? rc : run_ms(n, do_hash, 0, hash, err);
}

static int report(const struct increment *n, const char *name, uint64_t blocks, struct times *times, bool watches,
		  struct error *err)
{
	uint64_t dirty = blocks * SET_BLOCK_DEFAULT;
	const struct detail details[] = {
		{.name = "hash_ms", .number = median(times->hash_ms, times->samples.count)},
		{.name = "dirty_bytes", .number = (double)(dirty < n->bytes ? dirty : n->bytes)},
		{.name = "shipped_bytes", .number = times->set_bytes},
		{.name = "tracker", .text = watches ? "uffd" : "hash"},
		{.name = NULL},
	};
	const struct row row = {name, n->ranks, n->bytes, "ms", .inverse = true, .details = details};

	return report_row(n->plan->report, &row, &times->samples, err);
}

static int measure(struct increment *n, const struct share *share, struct error *err)
{
	uint64_t all = (n->bytes + SET_BLOCK_DEFAULT - 1) / SET_BLOCK_DEFAULT;
	uint64_t blocks = all * share->per_mille / 1000 ? all * share->per_mille / 1000 : 1;
	unsigned runs = n->plan->runs ? n->plan->runs : RUNS;
	struct times times = {0};
	double full, increment, hash, watches;
	int rc = 0;

	for (unsigned i = 0; !rc && i < WARM_RUNS + runs; i++) {
		rc = turn(n, blocks, &full, &increment, &hash, err);
		if (rc || i < WARM_RUNS)
			continue;
		times.hash_ms[times.samples.count] = hash;
		samples_add(&times.samples, increment, full, 0);
	}
	if (!rc)
		rc = crew_do(n->crew, do_set_bytes, 0, NULL, &times.set_bytes, err);
	if (!rc)
		rc = crew_do(n->crew, do_tracker, 0, NULL, &watches, err);
	return rc ? rc : report(n, share->name, blocks, &times, watches > 0, err);
}

static int set_up(struct increment *n, struct error *err)
{
	static const struct crew_work work = {member_begin, member_end};
	int rc = state_check_fits(n->ranks, n->bytes, err);

	if (!rc)
		rc = server_start(n->plan->server, n->plan->scratch, state_pool_bytes(n->ranks, n->bytes), NULL,
				  &n->server, err);
	return rc ? rc : crew_start(&work, n, n->ranks, &n->crew, err);
}

int increment_bench(const struct plan *plan, struct error *err)
{
	struct increment n = {
		.plan = plan,
		.ranks = plan->ranks ? plan->ranks : 1,
		.bytes = plan->bytes ? plan->bytes : BYTES,
	};
	int rc = set_up(&n, err);

	for (size_t i = 0; !rc && i < sizeof(shares) / sizeof(shares[0]); i++) {
		if (plan->wants(shares[i].name))
			rc = measure(&n, &shares[i], err);
	}
	if (rc && n.server)
		server_explain(n.server, err);
	crew_dismiss(n.crew);
	server_stop(n.server);
	return rc ? error_context(err, "increments") : 0;
}
