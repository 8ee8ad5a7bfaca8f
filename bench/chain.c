/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * chain.c - restore-chain-*: reading a full set and so many increments, of 1 % of the blocks each, beside reading one
 * full set of the same memory, in turns.
 */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include "common/checksum.h"
#include "crew.h"
#include "report.h"
#include "server.h"
#include "state.h"

#define RUNS	  9
#define WARM_RUNS 2
#define BYTES	  (256ull << 20)

static const struct length {
	const char *name;
	uint64_t increments;
} lengths[] = {
	{"restore-chain-1", 1},
	{"restore-chain-10", 10},
	{"restore-chain-100", 100},
};

struct restore {
	const struct plan *plan;
	unsigned ranks;
	uint64_t bytes; /* a rank */
	struct server *server;
	struct crew *crew;
};

/* ---- in a rank's process ---- */

static int member_begin(void *arg, unsigned rank, void **state, struct error *err)
{
	const struct restore *b = arg;

	return state_open(server_address(b->server), "ofi", rank, b->ranks, b->bytes, (struct state **)state, err);
}

static void member_end(void *state)
{
	state_close(state);
}

static int put_increment(struct state *s, struct error *err)
{
	int rc;

	state_change(s, s->blocks / 100 ? s->blocks / 100 : 1);
	s->segment.ranges = s->changed;
	s->segment.range_count = s->changed_count;
	rc = state_put(s, SET_INCREMENT, err);
	s->segment.ranges = NULL;
	return rc;
}

/* A full set, the increments, and a full set of the same memory behind them. */
static int do_build(void *state, uint64_t increments, double *value, struct error *err)
{
	struct state *s = state;
	int rc = state_put(s, SET_FULL, err);

	(void)value;
	for (uint64_t i = 0; i < increments && !rc; i++)
		rc = put_increment(s, err);
	return rc ? rc : state_put(s, SET_FULL, err);
}

static int do_get(void *state, uint64_t back, double *value, struct error *err)
{
	struct state *s = state;

	(void)value;
	return client_get(s->client, s->rank, s->epoch - back, &s->segment, 1, err);
}

/* That what the chain gives is what was there. */
static int do_check(void *state, uint64_t back, double *value, struct error *err)
{
	struct state *s = state;
	uint64_t before = checksum(s->memory, s->bytes);
	int rc;

	for (uint64_t i = 0; i < s->bytes; i++)
		s->memory[i] ^= 0xff;
	rc = do_get(state, back, value, err);
	if (!rc && checksum(s->memory, s->bytes) != before)
		rc = error_set(err, -EILSEQ, "a chain gave back something else than what was written");
	return rc;
}

/* ---- in the parent ---- */

#define FULL_SET 0
#define CHAIN	 1

static int turn(struct restore *b, bool backwards, double *chain, double *full, struct error *err)
{
	double seconds[2];
	int rc = 0;

	for (uint64_t i = 0; !rc && i < 2; i++) {
		uint64_t back = backwards ? FULL_SET + i : CHAIN - i;

		rc = crew_do(b->crew, do_get, back, &seconds[back], NULL, err);
	}
	*chain = seconds[CHAIN] * 1e3;
	*full = seconds[FULL_SET] * 1e3;
	return rc;
}

static int measure(struct restore *b, const struct length *length, struct error *err)
{
	const struct row row = {length->name, b->ranks, b->bytes, .unit = "ms"};
	unsigned runs = b->plan->runs ? b->plan->runs : RUNS;
	struct samples samples = {0};
	double chain = 0, full = 0;
	int rc;

	rc = crew_do(b->crew, do_build, length->increments, NULL, NULL, err);
	if (!rc)
		rc = crew_do(b->crew, do_check, CHAIN, NULL, NULL, err);
	for (unsigned i = 0; !rc && i < WARM_RUNS + runs; i++) {
		rc = turn(b, i % 2, &chain, &full, err);
		if (!rc && i >= WARM_RUNS)
			samples_add(&samples, chain, full, 0);
	}
	return rc ? rc : report_row(b->plan->report, &row, &samples, err);
}

static int set_up(struct restore *b, struct error *err)
{
	static const struct crew_work work = {member_begin, member_end};
	int rc = state_check_fits(b->ranks, b->bytes, err);

	if (!rc)
		rc = server_start(b->plan->server, b->plan->scratch, state_pool_bytes(b->ranks, b->bytes), NULL,
				  &b->server, err);
	return rc ? rc : crew_start(&work, b, b->ranks, &b->crew, err);
}

int chain_bench(const struct plan *plan, struct error *err)
{
	struct restore b = {
		.plan = plan,
		.ranks = plan->ranks ? plan->ranks : 1,
		.bytes = plan->bytes ? plan->bytes : BYTES,
	};
	int rc = set_up(&b, err);

	for (size_t i = 0; !rc && i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		if (plan->wants(lengths[i].name))
			rc = measure(&b, &lengths[i], err);
	}
	if (rc && b.server)
		server_explain(b.server, err);
	crew_dismiss(b.crew);
	server_stop(b.server);
	return rc ? error_context(err, "chains") : 0;
}
