/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * increment.c - append mode against a simple model: scripts of random operations on one region, with crashes at test
 * points and the pool opened again; after each, what the region lists is what the model has. A script that fails is
 * made short before it is shown.
 *
 * A script is an array of words; what a word does depends on it and on the state, so that any part of a script is one.
 */
#define _GNU_SOURCE 1 /* nftw in scratch.h */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "pmm/region.h"
#include "pools.h"
#include "unit.h"

#define MODEL_SETS  256
#define LOG_BYTES   (4u * SLOT_BYTES) /* a slot's capacity, and so the log's */
#define SCRIPT_MAX  400
#define UNIT	    SET_ALIGN
#define EPOCH_NS    10u /* from one to the next */

struct model_set {
	uint64_t epoch, kind, digest, layout, generation, place, bytes;
	unsigned slot; /* of a base; SLOT_LOG */
	unsigned id;   /* no other set has */
};

struct model {
	struct model_set sets[MODEL_SETS]; /* by epoch */
	unsigned count;
	uint64_t generation, last_epoch;
};

/* Shared with the process that runs the script, and may be killed anywhere in it. */
struct told {
	struct model now, next; /* while a change is made it may be either */
	unsigned ids;
	unsigned at;		/* the operation under way */
	bool done;
	char why[512];
};

static struct told *told;

#define say(...) (snprintf(told->why, sizeof(told->why), __VA_ARGS__), false)
#define expect(condition)                                                                          \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return say("operation %u, line %d: not %s (%.200s)", told->at, __LINE__,        \
				   #condition, pool_err.text);                                                 \
	} while (0)

/* ---- the model ---- */

static struct model_set *model_of(struct model *m, uint64_t epoch)
{
	for (unsigned i = 0; i < m->count; i++)
		if (m->sets[i].epoch == epoch)
			return &m->sets[i];
	return NULL;
}

static void model_remove(struct model *m, uint64_t first, uint64_t last)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < m->count; i++)
		if (m->sets[i].epoch < first || m->sets[i].epoch > last)
			m->sets[kept++] = m->sets[i];
	m->count = kept;
}

static void model_add(struct model *m, struct model_set set)
{
	unsigned i = m->count++;

	set.id = ++told->ids;
	for (; i && m->sets[i - 1].epoch > set.epoch; i--)
		m->sets[i] = m->sets[i - 1];
	m->sets[i] = set;
	if (set.epoch > m->last_epoch)
		m->last_epoch = set.epoch;
}

/* The base that the i-th set is, or follows. */
static unsigned model_base(const struct model *m, unsigned i)
{
	while (i && m->sets[i].kind != SET_FULL)
		i--;
	return i;
}

static unsigned model_chain_end(const struct model *m, unsigned base)
{
	unsigned end = base + 1;

	while (end < m->count && m->sets[end].kind != SET_FULL)
		end++;
	return end;
}

/* ---- sets ---- */

static void example(const struct model_set *from, struct set_info *set, struct segment segments[SEGMENTS])
{
	set_make(0, from->epoch, set, segments);
	for (unsigned i = 0; i < SEGMENTS; i++) {
		memset(segments[i].name, 0, sizeof(segments[i].name));
		snprintf(segments[i].name, sizeof(segments[i].name), "segment %u", i);
		segments[i].count = from->layout + i;
	}
	set->kind = (uint32_t)from->kind;
	set->table_digest = from->digest;
	set->table_bytes = 512;
	set->table_offset = set->data_bytes = from->bytes - UNIT;
	set->time_ns = from->epoch * EPOCH_NS;
}

static bool same(const struct set_info *got, const struct model_set *set)
{
	return got->epoch == set->epoch && got->kind == set->kind && got->table_digest == set->digest &&
	       got->generation == set->generation && got->table_offset == set->bytes - UNIT &&
	       got->time_ns == set->epoch * EPOCH_NS;
}

static bool chain_matches(const struct region *region, const struct model *m, unsigned i)
{
	const struct segment *segments = region_segments_of(region, m->sets[i].epoch);
	unsigned base = model_base(m, i);
	struct chain chain;

	if (!segments || segments[1].count != m->sets[i].layout + 1)
		return say("epoch %" PRIu64 ": its layout is another's", m->sets[i].epoch);
	if (region_chain(region, m->sets[i].epoch, &chain) || chain.slot != m->sets[base].slot ||
	    chain.end - chain.first != i - base)
		return say("epoch %" PRIu64 ": its chain is wrong", m->sets[i].epoch);
	for (unsigned n = chain.first; n < chain.end; n++) {
		const struct increment_info *info = region_increment(region, n);
		const struct model_set *set = &m->sets[base + 1 + n - chain.first];

		if (!same(&info->set, set) || info->place != set->place)
			return say("epoch %" PRIu64 ": increment %u of its chain is wrong", m->sets[i].epoch, n);
	}
	return true;
}

/* Is what the region lists what the model has? */
static bool matches(const struct region *region, const struct model *m)
{
	const struct segment *segments, *before = NULL;
	struct set_info set;

	if (region_generation(region) != m->generation)
		return say("generation %" PRIu64, region_generation(region));
	if (region_set_count(region) != m->count || region_set_at(region, m->count, &set, NULL))
		return say("%u sets, not %u", region_set_count(region), m->count);
	for (unsigned i = 0; i < m->count; i++) {
		if (!region_set_at(region, i, &set, &segments) || !same(&set, &m->sets[i]))
			return say("set %u has epoch %" PRIu64 " and is not as it was published", i, set.epoch);
		before = segments ? segments : before;
		if (!before || before[0].count != m->sets[i].layout)
			return say("set %u is listed with another's layout", i);
		if (!chain_matches(region, m, i))
			return false;
	}
	return region_holds(region, m->last_epoch + 1) ? say("an epoch that never was") : true;
}

/* ---- operations, each of one or more changes ---- */

static struct model *change_begin(void)
{
	told->next = told->now;
	return &told->next;
}

static void change_end(void)
{
	told->now = told->next;
}

static bool do_withdraw_newer(struct region *region, uint64_t keep)
{
	struct model *m = change_begin();

	model_remove(m, keep + 1, UINT64_MAX);
	expect(!region_withdraw_newer(region, keep, &pool_err));
	change_end();
	return true;
}

static bool do_withdraw_slot(struct region *region, unsigned slot)
{
	struct model *m = change_begin();

	for (unsigned i = 0; i < m->count; i++)
		if (m->sets[i].kind == SET_FULL && m->sets[i].slot == slot) {
			model_remove(m, m->sets[i].epoch, m->sets[model_chain_end(m, i) - 1].epoch);
			break;
		}
	expect(!region_withdraw(region, slot, &pool_err));
	expect(!region_set(region, slot));
	change_end();
	return true;
}

static bool free_in_model(const struct model *m, uint64_t place, uint64_t bytes)
{
	for (unsigned i = 0; i < m->count; i++)
		if (m->sets[i].kind != SET_FULL && place < m->sets[i].place + m->sets[i].bytes &&
		    m->sets[i].place < place + bytes)
			return false;
	return place + bytes <= LOG_BYTES;
}

/* ---- merges: begun by one operation, ended by a later one, or by a crash ---- */

static struct merge under_way; /* to = 0: none */
static struct model sources;   /* its sets when it was begun */
static struct segment_range in_flight; /* of the increment that has its place and is not published */

static bool apart(struct segment_range range, uint64_t place, uint64_t bytes)
{
	return place >= range.offset + range.bytes || range.offset >= place + bytes;
}

static bool reserved(uint64_t place, uint64_t bytes)
{
	struct segment_range range = {under_way.place, under_way.bytes};

	return under_way.to && under_way.slot == SLOT_LOG && !apart(range, place, bytes);
}

/* The policy, in the simplest way: which sets are to be kept. */
static bool model_keeps(const struct model *m, const struct retention *r, uint64_t now_ns, unsigned i)
{
	uint64_t span, next;

	if (m->count - i <= r->keep)
		return true;
	if (!r->span_ns)
		return false;
	span = m->sets[i].epoch * EPOCH_NS / r->span_ns;
	next = m->sets[i + 1].epoch * EPOCH_NS / r->span_ns;
	return span != next && span + r->spans >= now_ns / r->span_ns;
}

/* Nothing that is to be kept goes, and a base is replaced only where the other slot has nothing of that. */
static bool planned_well(const struct model *m, const struct retention *r, uint64_t now_ns, const struct merge *merge)
{
	unsigned base = model_base(m, m->count - 1), first = base;

	while (first < m->count && m->sets[first].epoch != merge->from)
		first++;
	for (unsigned i = first; i + 1 < m->count && m->sets[i].epoch < merge->to; i++) {
		if (model_keeps(m, r, now_ns, i) || m->sets[i + 1].epoch > merge->to)
			return false;
	}
	for (unsigned i = 0; first == base && i < base; i++) {
		if (model_keeps(m, r, now_ns, i))
			return false;
	}
	return first < m->count && merge->from < merge->to && model_of((struct model *)m, merge->to) &&
	       merge->to_digest == model_of((struct model *)m, merge->to)->digest &&
	       merge->slot == (first == base ? 1 - m->sets[base].slot : SLOT_LOG);
}

/* Two of these beside each other can be merged: is that surely seen? */
static bool must_be_planned(const struct model *m, const struct retention *r, uint64_t now_ns)
{
	unsigned base = model_base(m, m->count - 1), unkept = 0;
	bool older_kept = false;

	for (unsigned i = 0; i < m->count; i++) {
		older_kept |= i < base && model_keeps(m, r, now_ns, i);
		unkept += i >= base && !model_keeps(m, r, now_ns, i);
	}
	return unkept >= r->merge_at && !older_kept && !model_keeps(m, r, now_ns, base);
}

static bool do_merge_begin(struct region *region, unsigned word)
{
	struct retention retention = {
		.keep = 1 + word % 3,
		.span_ns = word / 4 % 4 ? (2 + word / 16 % 5) * EPOCH_NS : 0,
		.spans = word / 128 % 32,
		.merge_at = 1 + word / 32 % 3,
	};
	uint64_t now_ns = told->now.last_epoch * EPOCH_NS, first = 0, last = 0;
	struct merge merge = {0};
	struct model *m;
	int rc;

	if (!region_merge_plan(region, &retention, now_ns, &merge)) {
		expect(under_way.to || !told->now.count || !must_be_planned(&told->now, &retention, now_ns));
		return true;
	}
	expect(!under_way.to && planned_well(&told->now, &retention, now_ns, &merge));
	m = change_begin();
	if (merge.slot != SLOT_LOG)
		model_remove(m, 1, merge.from - 1);
	rc = region_merge_begin(region, &merge, &first, &last, &pool_err);
	expect(!rc);
	expect(merge.slot != SLOT_LOG || (!last && merge.place % UNIT == 0 && free_in_model(m, merge.place, merge.bytes) &&
					  apart(in_flight, merge.place, merge.bytes)));
	expect(merge.slot == SLOT_LOG || merge.bytes == LOG_BYTES);
	expect(m->count == told->now.count || (first == told->now.sets[0].epoch && last < merge.from));
	change_end();
	expect(region_merging(region) && region_merging(region)->to == merge.to);
	expect(region_merge_begin(region, &merge, &first, &last, &pool_err) == -EBUSY);
	under_way = merge;
	sources = told->now;
	return true;
}

/* Each set that the merge was begun with is there, and no other has its epoch. */
static bool sources_are_there(const struct model *m)
{
	for (unsigned i = 0; i < sources.count; i++) {
		const struct model_set *source = &sources.sets[i], *now = model_of((struct model *)m, source->epoch);

		if (source->epoch >= under_way.from && source->epoch <= under_way.to &&
		    (!now || now->id != source->id))
			return false;
	}
	return true;
}

static bool do_merge_publish(struct region *region, unsigned word)
{
	bool there = sources_are_there(&told->now);
	struct merge merge = under_way;
	struct segment segments[SEGMENTS];
	struct model_set made;
	struct set_info set;
	struct model *m;

	if (!merge.to)
		return true;
	m = change_begin();
	made = *model_of(&sources, merge.to);
	made.slot = merge.slot;
	made.kind = merge.slot == SLOT_LOG ? SET_INCREMENT : SET_FULL;
	made.digest = set_word(word, made.epoch + 1);
	made.place = merge.place;
	made.bytes = merge.slot == SLOT_LOG ? UNIT * (2 + word % (merge.bytes / UNIT - 1)) : SLOT_BYTES;
	if (there) {
		model_remove(m, merge.from, merge.to);
		model_add(m, made);
	}
	example(&made, &set, segments);
	under_way.to = 0;
	expect(region_merge_publish(region, &merge, &set, &pool_err) == (there ? 0 : -ENOENT));
	change_end();
	expect(!region_merging(region));
	expect(region_merge_publish(region, &merge, &set, &pool_err) == -ENOENT);
	return true;
}

static void do_merge_cancel(struct region *region)
{
	region_merge_cancel(region);
	under_way.to = 0;
}

static bool do_merge(struct region *region, unsigned word)
{
	if (!under_way.to)
		return do_merge_begin(region, word);
	if (word % 8)
		return do_merge_publish(region, word);
	do_merge_cancel(region);
	return true;
}

/* ---- sets ---- */

static bool do_full(struct region *region, unsigned word)
{
	uint64_t keep = told->now.count ? told->now.sets[word % told->now.count].epoch : 0, epoch;
	struct segment segments[SEGMENTS];
	struct chain chain = {SLOT_LOG, 0, 0};
	struct model *m;
	struct set_info set;
	unsigned slot = 99;
	int rc;

	if (!do_withdraw_newer(region, keep))
		return false;
	rc = region_pick_slot(region, keep, &slot, &pool_err);
	if (rc == -EBUSY) {
		expect(under_way.to && under_way.slot != SLOT_LOG);
		do_merge_cancel(region);
		rc = region_pick_slot(region, keep, &slot, &pool_err);
	}
	expect(!rc && !(under_way.to && under_way.slot == slot));
	expect(!keep || (!region_chain(region, keep, &chain) && chain.slot != slot));
	if (!do_withdraw_slot(region, slot))
		return false;
	m = change_begin();
	epoch = m->last_epoch + 1 + word % 3;
	model_add(m, (struct model_set){epoch, SET_FULL, set_word(word, epoch), 1 + word % 5, m->generation, 0,
					SLOT_BYTES, slot, 0});
	example(model_of(m, epoch), &set, segments);
	expect(!region_publish(region, slot, &set, segments, &pool_err));
	change_end();
	return true;
}

/* What is withdrawn to make room are the increments of older chains only. */
static bool withdrawn_well(const struct model *m, uint64_t first, uint64_t last)
{
	uint64_t newest_base = m->sets[model_base(m, m->count - 1)].epoch;

	return !last || (first <= last && last < newest_base);
}

static void model_remove_increments(struct model *m, uint64_t first, uint64_t last)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < m->count; i++)
		if (m->sets[i].kind == SET_FULL || m->sets[i].epoch < first || m->sets[i].epoch > last)
			m->sets[kept++] = m->sets[i];
	m->count = kept;
}

static bool do_increment(struct region *region, unsigned word)
{
	uint64_t bytes = (2 + word % (word % 3 ? 7 : 31)) * UNIT, place = 0, first = 0, last = 0, room, keep, epoch;
	struct segment segments[SEGMENTS];
	unsigned merges = word >> 15 & 3;
	struct set_info set;
	struct model *m;
	int rc;

	if (!told->now.count || told->now.count == MODEL_SETS)
		return true;
	keep = told->now.sets[told->now.count - 1 - (word >> 8) % (told->now.count > 2 ? 2 : 1)].epoch;
	if (!do_withdraw_newer(region, keep))
		return false;
	room = region_log_room(region);
	m = change_begin();
	/* Either change, or none, and then a crash: the increments of older chains may be gone, and no more. */
	if (model_base(m, m->count - 1))
		model_remove_increments(m, 1, m->sets[model_base(m, m->count - 1)].epoch);
	rc = region_log_place(region, keep, bytes, &place, &first, &last, &pool_err);
	if (rc == -ENOSPC && under_way.to) {
		do_merge_cancel(region);
		rc = region_log_place(region, keep, bytes, &place, &first, &last, &pool_err);
	}
	if (rc == -ENOSPC) {
		expect(bytes > room);
		return matches(region, &told->now);
	}
	expect(!rc);
	expect(withdrawn_well(&told->now, first, last));
	told->next = told->now;
	if (last)
		model_remove_increments(m, first, last);
	change_end();
	expect(place % SET_ALIGN == 0 && free_in_model(&told->now, place, bytes) && !reserved(place, bytes));
	in_flight = (struct segment_range){place, bytes};
	while (word >> 14 & 1 && merges-- && matches(region, &told->now))
		if (!do_merge(region, word >> 6))
			return false;
	in_flight = (struct segment_range){0, 0};
	m = change_begin();
	epoch = keep + 1 + word % 2;
	/* Some epochs' numbers are used again. */
	epoch = epoch > m->last_epoch || word & 8 ? epoch : m->last_epoch + 1;
	model_add(m, (struct model_set){epoch, SET_INCREMENT, set_word(word, epoch),
					word % 4 ? m->sets[m->count - 1].layout : 1 + word % 5, m->generation, place,
					bytes, SLOT_LOG, 0});
	example(model_of(m, epoch), &set, segments);
	expect(!region_publish_increment(region, place, &set, segments, &pool_err));
	change_end();
	return true;
}

static bool do_fence(struct region *region)
{
	struct model *m = change_begin();
	const uint8_t launch[LAUNCH_BYTES] = {1};
	uint64_t generation = 0;

	m->generation++;
	expect(!region_fence(region, launch, &generation, &pool_err));
	expect(generation == m->generation);
	change_end();
	return true;
}

static void do_refused(struct region *region, unsigned word)
{
	uint64_t place, first, last, newest = told->now.count ? told->now.sets[told->now.count - 1].epoch : 0;
	struct model_set set = {newest + !(word % 2), SET_INCREMENT, 1, 1, 1, UNIT * (word % 70), 3 * UNIT, SLOT_LOG, 0};
	struct segment segments[SEGMENTS];
	struct set_info info;

	example(&set, &info, segments);
	if (!newest || word % 2 || !free_in_model(&told->now, set.place, set.bytes) || reserved(set.place, set.bytes))
		ck_assert_int_ne(region_publish_increment(region, set.place, &info, segments, &pool_err), 0);
	ck_assert_int_ne(region_log_place(region, newest + 1, UNIT, &place, &first, &last, &pool_err), 0);
	ck_assert_int_ne(region_withdraw_newer(region, newest + 7, &pool_err), 0);
}

/* ---- scripts ---- */

static struct region *region_open(struct pool *pool)
{
	struct job *job = job_find(pool, UID, "alpha");
	struct region *region = job ? job_region(job, 0) : NULL;

	if (region)
		return region;
	must(job_create(pool, UID, UID, "alpha", 1, &job, &pool_err));
	must(region_create(job, 0, REGION_APPEND, &region, &pool_err));
	for (unsigned slot = 0; slot < region_slots(region); slot++)
		slot_grow(region, slot, LOG_BYTES);
	ck_assert_uint_eq(region_log_room(region), 0);
	return region;
}

static bool operate(struct pool **pool, struct region **region, unsigned word)
{
	static const char *const points[] = {"transaction:kill:1", "set-published:kill:1", "set-withdrawn:kill:1",
					     "set-publish:kill:1", "transaction:kill:2", "region-fenced:kill:1"};
	static bool armed; /* a process is killed once */
	unsigned what = word % 16;

	word /= 16;
	if (what == 15) { /* from here on, a crash */
		armed = true;
		setenv("HOLDFAST_TEST_POINT", points[word % 6], 1);
		return true;
	}
	if (what == 14) {
		if (armed)
			return true; /* it would not survive the opening */
		under_way.to = 0;
		pool_close(*pool);
		*pool = pool_get();
		*region = region_open(*pool);
		return true;
	}
	if (what == 13)
		return do_fence(*region);
	if (what == 12 && told->now.count)
		return do_withdraw_newer(*region, told->now.sets[told->now.count - 1 - word % told->now.count % 3].epoch);
	if (what == 11)
		return do_refused(*region, word), true;
	if (what >= 9)
		return do_merge(*region, word);
	return what < 1 ? do_full(*region, word) : do_increment(*region, word);
}

/* A process of its own: it may be killed. */
static void run_from(const unsigned *script, unsigned n)
{
	struct pool *pool = pool_get();
	struct region *region = region_open(pool);
	bool well = true;

	for (; well && told->at < n; told->at++)
		well = operate(&pool, &region, script[told->at]) && matches(region, &told->now);
	told->done = true;
	pool_close(pool);
	_exit(well ? 0 : 1);
}

/* After a crash: what is there is what was before the change, or after it. */
static bool recovered(void)
{
	struct pool *pool = pool_get();
	struct region *region = region_open(pool);
	bool well = matches(region, &told->next);

	if (well)
		told->now = told->next;
	else
		well = matches(region, &told->now);
	pool_close(pool);
	return well;
}

static unsigned crashes;

static bool script_holds(const unsigned *script, unsigned n)
{
	int status = 0;
	pid_t pid;

	scratch_remove();
	ck_assert_int_eq(mkdir(scratch, 0700), 0);
	memset(told, 0, sizeof(*told));
	told->now.generation = told->next.generation = 1;
	pool_close(pool_get());
	for (;;) {
		pid = fork();
		if (!pid)
			run_from(script, n);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		if (told->done || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
			return WIFEXITED(status) && !WEXITSTATUS(status);
		if (!recovered())
			return false;
		told->at++;
		told->next = told->now;
		crashes++;
	}
}

/* Leaves out what is not needed for the failure. */
static unsigned shrink(unsigned *script, unsigned n)
{
	unsigned shorter[SCRIPT_MAX];

	for (unsigned chunk = n / 2; chunk; chunk /= 2)
		for (unsigned at = 0; at + chunk <= n;) {
			memcpy(shorter, script, at * sizeof(*script));
			memcpy(shorter + at, script + at + chunk, (n - at - chunk) * sizeof(*script));
			if (script_holds(shorter, n - chunk)) {
				at += chunk;
			} else {
				n -= chunk;
				memcpy(script, shorter, n * sizeof(*script));
			}
		}
	return n;
}

static void script_show(unsigned *script, unsigned n)
{
	n = shrink(script, n);
	script_holds(script, n);
	fprintf(stderr, "# %u operations fail (%s):", n, told->why);
	for (unsigned i = 0; i < n; i++)
		fprintf(stderr, " %u", script[i]);
	fputc('\n', stderr);
}

START_TEST(random_scripts_keep_to_the_model)
{
	unsigned scripts = unit_rounds(200, 2, 1), n = unit_rounds(SCRIPT_MAX, SCRIPT_MAX, 30), script[SCRIPT_MAX];
	bool holds = true;

	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(told, MAP_FAILED);
	for (unsigned i = 0; holds && i < scripts; i++) {
		srandom(1000 * (unsigned)_i + i);
		for (unsigned k = 0; k < n; k++)
			script[k] = (unsigned)random();
		holds = script_holds(script, n);
		if (getenv("HOLDFAST_UNIT_THOROUGH"))
			fprintf(stderr, "# %u operations, %u crashes\n", (i + 1) * n, crashes);
	}
	if (!holds)
		script_show(script, n);
	ck_assert_msg(holds, "%s", told->why);
}
END_TEST

/* ---- blocks ---- */

START_TEST(the_sets_of_a_chain_have_blocks_of_one_size)
{
	struct pool *pool = pool_get();
	struct region *region = region_open(pool);
	struct model_set made = {1, SET_FULL, 1, 1, 1, 0, SLOT_BYTES, 0, 0};
	struct segment segments[SEGMENTS];
	struct increment_record *record;
	uint64_t place, first, last;
	struct set_info set;
	struct raw raw;

	example(&made, &set, segments);
	set.block_bytes = SET_BLOCK_MIN;
	must(region_publish(region, 0, &set, segments, &pool_err));
	for (unsigned i = 2; i < 4; i++) {
		made = (struct model_set){i, SET_INCREMENT, i, 1, 1, 0, 4 * UNIT, SLOT_LOG, 0};
		example(&made, &set, segments);
		must(region_log_place(region, i - 1, 4 * UNIT, &place, &first, &last, &pool_err));
		must_fail(region_publish_increment(region, place, &set, segments, &pool_err), -EINVAL,
			  "an increment has blocks of 65536 bytes, and epoch");
		ck_assert(!region_holds(region, i));
		set.block_bytes = SET_BLOCK_MIN;
		must(region_publish_increment(region, place, &set, segments, &pool_err));
		ck_assert_uint_eq(region_block_bytes(region, i), SET_BLOCK_MIN);
	}
	ck_assert_uint_eq(region_block_bytes(region, 4), 0);
	pool_close(pool);
	raw = raw_open();
	record = raw_at(&raw, raw_region(&raw, 0)->newest_increment);
	record->set.block_bytes = 2 * SET_BLOCK_MIN;
	raw_seal(record);
	raw_close(&raw);
	ck_assert_int_eq(pool_try(POOL_BYTES, false, &pool), -EUCLEAN);
	ck_assert_msg(strstr(pool_err.text, "does not follow the set before it"), "%s", pool_err.text);
}
END_TEST

/* ---- places ---- */

/* Epochs 1 to 3: a base, and increments of 4 units each. */
static void three_sets(struct region *region)
{
	struct model_set made = {1, SET_FULL, 1, 1, 1, 0, SLOT_BYTES, 0, 0};
	struct segment segments[SEGMENTS];
	uint64_t place, first, last;
	struct set_info set;

	example(&made, &set, segments);
	must(region_publish(region, 0, &set, segments, &pool_err));
	for (unsigned i = 2; i < 4; i++) {
		made = (struct model_set){i, SET_INCREMENT, i, 1, 1, 0, 4 * UNIT, SLOT_LOG, 0};
		example(&made, &set, segments);
		must(region_log_place(region, i - 1, 4 * UNIT, &place, &first, &last, &pool_err));
		must(region_publish_increment(region, place, &set, segments, &pool_err));
	}
}

/* By one unit, or altogether, or not at all. */
START_TEST(increments_over_each_other_are_damage)
{
	static const uint64_t beyond[] = {0, 3 * UNIT, 4 * UNIT};
	struct pool *pool = pool_get();
	struct increment_record *newest, *older;
	struct raw raw;

	three_sets(region_open(pool));
	pool_close(pool);
	raw = raw_open();
	newest = raw_at(&raw, raw_region(&raw, 0)->newest_increment);
	older = raw_at(&raw, newest->older);
	newest->place = older->place + beyond[_i];
	raw_seal(newest);
	raw_close(&raw);
	if (_i == 2) {
		pool_close(pool_get());
		return;
	}
	ck_assert_int_eq(pool_try(POOL_BYTES, false, &pool), -EUCLEAN);
	ck_assert_msg(strstr(pool_err.text, "increments lie over each other"), "%s", pool_err.text);
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("increment");

	scratch_add(suite, "blocks", the_sets_of_a_chain_have_blocks_of_one_size, 60);
	scratch_add_loop(suite, "places", increments_over_each_other_are_damage, 3, 60);
	scratch_add_loop(suite, "model", random_scripts_keep_to_the_model, 3, 600);
	return suite;
}
