/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main.c - crash consistency by machine: records what is done to a pool, makes the images that a crash at any instant
 * may leave, opens each with the real code, and asks the oracle. Then it plants bugs and sees that they are found.
 */
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/log.h"
#include "must.h"
#include "plant.h"
#include "replay.h"
#include "scenario.h"

#define TIME_LIMIT_SECONDS 900 /* for what takes a minute on an idle machine */

static struct {
	const char *scenario, *plant;
	struct selection selection;
	uint64_t recoveries; /* of so many images of each scenario */
	bool each;
} options;

static char scratch[200];

/* ---- directories ---- */

static int entry_remove(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)st;
	(void)type;
	(void)walk;
	return remove(path);
}

static void directory_remove(const char *path)
{
	nftw(path, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static void scratch_make(void)
{
	const char *base = getenv("TMPDIR");

	if (!access("/dev/shm", W_OK))
		base = "/dev/shm";
	snprintf(scratch, sizeof(scratch), "%s/hf-crash-XXXXXX", base ? base : "/tmp");
	must(mkdtemp(scratch));
}

/* ---- tests ---- */

static unsigned tests, tests_failed;

static void report(bool ok, const char *name)
{
	printf("%sok %u - %s\n", ok ? "" : "not ", ++tests, name);
	fflush(stdout);
	tests_failed += !ok;
}

static struct replay replay_of(const struct recording *recording)
{
	return (struct replay){.recording = recording, .selection = &options.selection, .end = SIZE_MAX, .scratch = scratch};
}

static void record(const struct scenario *scenario, enum order order, struct recording *recording)
{
	char directory[220];

	snprintf(directory, sizeof(directory), "%s/pool", scratch);
	must(!mkdir(directory, 0700));
	scenario_record(scenario, directory, order, recording);
	directory_remove(directory);
}

/* Where somebody can look at it. */
static void image_keep(const struct replay *replay, const char *scenario, uint64_t image)
{
	const char *top = getenv("top_builddir");
	struct promise promise;
	char path[300];

	snprintf(path, sizeof(path), "%s/tests/crash/failed-%s-%" PRIu64 "-%" PRIu64, top ? top : ".", scenario,
		 options.selection.seed, image);
	directory_remove(path);
	if (replay_image(replay, image, path, &promise))
		printf("# the image is in %s\n", path);
}

static bool replay_report(const struct replay *replay, const char *name)
{
	uint64_t began = clock_monotonic_ns();
	struct findings found;

	replay_run(replay, &found);
	printf("# %s: seed %" PRIu64 ", %zu events, %" PRIu64 " crash points (%" PRIu64 " with all images; up to %" PRIu64
	       " units pending), %" PRIu64 " images, %.1f s\n", name, options.selection.seed, replay->recording->count,
	       found.points, found.points_all, found.pending_max, found.images,
	       (double)(clock_monotonic_ns() - began) / 1e9);
	if (!found.failures)
		return true;
	printf("# %" PRIu64 " images are wrong; the first is %" PRIu64 ": %s\n", found.failures, found.first,
	       found.err.text);
	image_keep(replay, name, found.first);
	printf("# again: tests/crash/replay --scenario %s --seed %" PRIu64 " --all %" PRIu64 " --sample %" PRIu64
	       " --image %" PRIu64 "\n", name, options.selection.seed, options.selection.all, options.selection.sample,
	       found.first);
	return false;
}

static void scenario_test(const struct scenario *scenario, const struct recording *recording)
{
	struct replay replay = replay_of(recording);
	char name[200];

	snprintf(name, sizeof(name), "%s: %s", scenario->name, scenario->what);
	report(replay_report(&replay, scenario->name), name);
}

/* ---- crashes while the pool is opened after a crash ---- */

static bool recovery_replay(const struct scenario *scenario, const struct replay *first, uint64_t image)
{
	struct recording recording;
	struct promise promise;
	struct replay replay;
	char directory[220], name[64];
	bool ok;

	snprintf(directory, sizeof(directory), "%s/pool", scratch);
	if (!replay_image(first, image, directory, &promise))
		return true;
	oracle_record(directory, &promise, &recording);
	directory_remove(directory);
	replay = replay_of(&recording);
	snprintf(name, sizeof(name), "%s-%" PRIu64 "-opened", scenario->name, image);
	ok = replay_report(&replay, name);
	recording_free(&recording);
	return ok;
}

static void recovery_test(const struct scenario *scenario, const struct recording *recording)
{
	struct replay replay = replay_of(recording);
	const struct selection none = {.seed = options.selection.seed, .all = options.selection.all,
				       .sample = options.selection.sample, .image = NO_IMAGE - 1, .workers = 1};
	struct findings found;
	char name[200];
	bool ok = true;

	replay.selection = &none;
	replay_run(&replay, &found); /* how many images there are */
	replay.selection = &options.selection;
	for (uint64_t i = 0; i < options.recoveries; i++)
		ok &= recovery_replay(scenario, &replay, (2 * i + 1) * found.images / (2 * options.recoveries));
	snprintf(name, sizeof(name), "%s: a crash while the pool is opened after a crash", scenario->name);
	report(ok, name);
}

/* ---- bugs ---- */

/* Times and checksums are others in each recording, and so what is stored is not compared. */
static bool is_same(const struct recording *left, const struct recording *right, size_t i)
{
	const struct event *a = &left->events[i], *b = &right->events[i];

	if (a->type == EVENT_PROMISE && b->type == EVENT_PROMISE)
		return !memcmp(&left->promises[a->value], &right->promises[b->value], sizeof(*left->promises));
	return a->type == b->type && a->place == b->place && a->file == b->file && a->offset == b->offset &&
	       a->end == b->end;
}

/* The first event that is another one; those before leave no other images. */
static size_t first_change(const struct recording *left, const struct recording *right)
{
	size_t i = 0;

	while (i < left->count && i < right->count && is_same(left, right, i))
		i++;
	return i;
}

static void plant_test(const struct plant *plant, const struct recording *recording)
{
	struct recording ordered, planted;
	struct replay replay = replay_of(&planted);
	struct findings found;
	char name[200];

	if (plant->kind == PLANT_ORDER) {
		record(scenario_find(plant->scenario), plant->order, &ordered);
		planted = plant_in(&ordered, plant);
	} else {
		planted = plant_in(recording, plant);
	}
	replay.begin = first_change(recording, &planted);
	replay.stop_at_first = true;
	replay_run(&replay, &found);
	if (found.failures)
		printf("# %s: image %" PRIu64 ": %s\n", plant->name, found.first, found.err.text);
	snprintf(name, sizeof(name), "found where %s (%s, %s)", plant->what, plant->scenario, plant->name);
	report(found.failures, name);
	free(planted.events);
	if (plant->kind == PLANT_ORDER)
		recording_free(&ordered);
}

/* Where so many fences have passed since the event, its loss has been seen, or never will be. */
#define EACH_FENCES 16

static size_t fences_behind(const struct recording *recording, size_t event)
{
	unsigned fences = 0;

	while (event < recording->count && fences < EACH_FENCES)
		fences += recording->events[event++].type == EVENT_FENCE;
	return event < recording->count ? event : SIZE_MAX;
}

/* Leaves out each flush and each fence, one by one. */
static void each_test(const struct scenario *scenario, const struct recording *recording)
{
	unsigned count = 0, missed = 0;
	struct recording planted;
	struct findings found;

	for (size_t i = 0; i < recording->count; i++) {
		const struct event *event = &recording->events[i];
		const char *step = recording->steps[event->step];
		struct replay replay = replay_of(&planted);

		if ((event->type != EVENT_FLUSH && event->type != EVENT_FENCE) || !strcmp(step, "open") ||
		    !strcmp(step, "close"))
			continue;
		planted = plant_without(recording, i);
		replay.begin = i;
		replay.end = fences_behind(recording, i);
		replay.stop_at_first = true;
		replay_run(&replay, &found);
		missed += found.failures != 0;
		count++;
		printf("# %s: %s of event %zu, file %u, bytes %" PRIx64 " to %" PRIx64 ": %s\n", step,
		       event->type == EVENT_FLUSH ? "flush" : "fence", i, event->file, event->offset, event->end,
		       found.failures ? found.err.text : "not missed");
		fflush(stdout);
		free(planted.events);
	}
	printf("# %s: %u of %u flushes and fences are missed where they are left out\n", scenario->name, missed, count);
}

/* ---- the command line ---- */

static int usage(void)
{
	fprintf(stderr, "usage: replay [--scenario NAME] [--plant NAME] [--seed N] [--image N] [--all N] [--sample N]\n"
			"              [--thorough N] [--recoveries N] [--workers N] [--each]\n"
			"Without arguments: all scenarios, and all planted bugs.\n"
			"  --scenario    this one alone, and its bugs\n"
			"  --plant       this bug alone\n"
			"  --seed        of what is chosen at random (1)\n"
			"  --image       this image of the scenario alone\n"
			"  --all         every image of a crash point that has at most so many (16), else\n"
			"  --sample      so many (12)\n"
			"  --thorough    opens each Nth image as a server does, and goes on with it (32); 0: none\n"
			"  --recoveries  looks at crashes in the opening of so many images, too (1)\n"
			"  --each        leaves out each flush and fence of the scenario, one by one\n"
			"HOLDFAST_UNIT_BRIEF and HOLDFAST_UNIT_THOROUGH in the environment mean less and more of it.\n");
	return 2;
}

static void options_begin(void)
{
	options.selection = (struct selection){.seed = 1, .all = 16, .sample = 12, .image = NO_IMAGE, .thorough = 32,
					       .workers = 2};
	options.recoveries = 1;
	if (getenv("HOLDFAST_UNIT_BRIEF")) {
		options.selection.all = options.selection.sample = 4;
		options.selection.thorough = 64;
		options.recoveries = 0;
	}
	if (getenv("HOLDFAST_UNIT_THOROUGH")) {
		options.selection.all = 1024;
		options.selection.sample = 200;
		options.recoveries = 8;
	}
}

static bool options_read(int argc, char **argv)
{
	static const struct option known[] = {
		{"scenario", required_argument, NULL, 's'}, {"plant", required_argument, NULL, 'p'},
		{"seed", required_argument, NULL, 'r'},	    {"image", required_argument, NULL, 'i'},
		{"all", required_argument, NULL, 'a'},	    {"sample", required_argument, NULL, 'n'},
		{"thorough", required_argument, NULL, 't'}, {"recoveries", required_argument, NULL, 'o'},
		{"workers", required_argument, NULL, 'w'},  {"each", no_argument, NULL, 'e'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		uint64_t number = optarg ? strtoull(optarg, NULL, 10) : 0;

		switch (c) {
		case 's': options.scenario = optarg; break;
		case 'p': options.plant = optarg; break;
		case 'r': options.selection.seed = number; break;
		case 'i': options.selection.image = number; break;
		case 'a': options.selection.all = number; break;
		case 'n': options.selection.sample = number; break;
		case 't': options.selection.thorough = number; break;
		case 'o': options.recoveries = number; break;
		case 'w': options.selection.workers = (unsigned)number; break;
		case 'e': options.each = true; break;
		default: return false;
		}
	}
	return optind == argc && options.selection.workers && options.selection.workers <= WORKERS_MAX &&
	       (!options.scenario || scenario_find(options.scenario)) && (!options.plant || plant_find(options.plant));
}

/* A scenario, and the bugs planted in it. */
static void test(const struct scenario *scenario)
{
	const struct plant *only = options.plant ? plant_find(options.plant) : NULL;
	bool one_image = options.selection.image != NO_IMAGE;
	struct recording recording;

	if ((options.scenario && strcmp(options.scenario, scenario->name) != 0) ||
	    (only && strcmp(only->scenario, scenario->name) != 0))
		return;
	record(scenario, ORDER_RIGHT, &recording);
	if (options.each)
		each_test(scenario, &recording);
	if (!options.each && !only)
		scenario_test(scenario, &recording);
	if (!options.each && !only && !one_image && options.recoveries)
		recovery_test(scenario, &recording);
	for (const struct plant *p = plants; p->name; p++) {
		if (!options.each && !one_image && !strcmp(p->scenario, scenario->name) && (!only || p == only))
			plant_test(p, &recording);
	}
	recording_free(&recording);
}

int main(int argc, char **argv)
{
	options_begin();
	if (!options_read(argc, argv))
		return usage();
	/* What libpmemobj takes at each opening and gives back stays ours. */
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
	mallopt(M_MMAP_THRESHOLD, 256 << 20);
	if (!options.each && !getenv("HOLDFAST_UNIT_THOROUGH"))
		alarm(TIME_LIMIT_SECONDS);
	log_open("replay", LOG_LEVEL_ERROR, false);
	scratch_make();
	for (const struct scenario *s = scenarios; s->name; s++)
		test(s);
	printf("1..%u\n", tests);
	directory_remove(scratch);
	return tests_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
