/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * replay.c - crash consistency by machine: records what is done to a pool, makes the images that a crash at any instant
 * may leave, opens each with the real code, and asks the oracle. Then it plants bugs and sees that they are found.
 */
#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/log.h"
#include "image.h"
#include "must.h"
#include "plant.h"
#include "scenario.h"

#define WORKERS_MAX   16
#define IMAGE_SECONDS 60 /* one that takes longer hangs */
#define NO_IMAGE      UINT64_MAX

static struct {
	const char *scenario, *plant;
	uint64_t seed, image, all, sample, thorough;
	unsigned workers;
	bool each;
} options = {.seed = 1, .image = NO_IMAGE, .all = 16, .sample = 12, .thorough = 32, .workers = 2};

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

/* ---- images that were tried ---- */

struct seen {
	uint64_t *sums;
	size_t count, capacity; /* a power of 2 */
};

static bool seen_add(struct seen *seen, uint64_t sum)
{
	size_t i;

	sum += !sum; /* 0 is an empty place */
	if (2 * seen->count >= seen->capacity) {
		struct seen larger = {NULL, 0, seen->capacity ? 2 * seen->capacity : 4096};

		larger.sums = calloc(larger.capacity, sizeof(*larger.sums));
		must(larger.sums);
		for (i = 0; i < seen->capacity; i++) {
			if (seen->sums[i])
				seen_add(&larger, seen->sums[i]);
		}
		free(seen->sums);
		*seen = larger;
	}
	for (i = sum & (seen->capacity - 1); seen->sums[i]; i = (i + 1) & (seen->capacity - 1)) {
		if (seen->sums[i] == sum)
			return false;
	}
	seen->sums[i] = sum;
	seen->count++;
	return true;
}

/* ---- what comes of a replay, shared by its workers ---- */

struct tally {
	uint64_t points, points_all; /* crash points; those of which every image was made */
	uint64_t images, pending_max;
	bool stop;
	struct {
		uint64_t trying, failures, first;
		struct error err;
	} workers[WORKERS_MAX];
};

struct replay {
	const struct recording *recording;
	struct tally *tally;
	size_t begin, end; /* events before which crashes are looked at */
	bool stop_at_first;
	const char *keep; /* writes the image there, and nothing else */
};

struct worker {
	const struct replay *replay;
	unsigned number;
	uint64_t from; /* the first image that is to be tried */
	uint64_t images;
	struct medium medium;
	struct seen seen;
	char directory[220];
};

static void image_try(struct worker *worker, const uint8_t *choice, const struct promise *promise)
{
	struct tally *tally = worker->replay->tally;
	bool thorough = options.thorough && worker->images % options.thorough == 0;
	struct error err = {0};

	tally->workers[worker->number].trying = worker->images;
	image_write(&worker->medium, choice, worker->directory);
	alarm(IMAGE_SECONDS);
	if (oracle_check(worker->directory, promise, thorough, &err) && !tally->workers[worker->number].failures++) {
		tally->workers[worker->number].first = worker->images;
		tally->workers[worker->number].err = err;
	}
	alarm(0);
	if (thorough)
		image_forget(&worker->medium, worker->directory);
	if (err.code && worker->replay->stop_at_first)
		tally->stop = true;
}

static void crash_here(struct worker *worker, size_t event, uint64_t promise)
{
	const struct replay *replay = worker->replay;
	struct tally *tally = replay->tally;
	struct choices choices;

	choices_begin(&choices, &worker->medium, event < replay->recording->count ? &replay->recording->events[event] : NULL,
		      options.all, options.sample, options.seed * 1000003 + event);
	if (!worker->number && !worker->from) {
		tally->points++;
		tally->points_all += choices.all;
		if (worker->medium.count > tally->pending_max)
			tally->pending_max = worker->medium.count;
	}
	while (!tally->stop && choices_next(&choices)) {
		if (!seen_add(&worker->seen, image_sum(&worker->medium, choices.choice) + promise * 0x9e3779b97f4a7c15u))
			continue;
		if (replay->keep && worker->images == worker->from) {
			image_write(&worker->medium, choices.choice, replay->keep);
			tally->stop = true;
		} else if (!replay->keep && worker->images >= worker->from &&
			   worker->images % options.workers == worker->number &&
			   (options.image == NO_IMAGE || options.image == worker->images)) {
			image_try(worker, choices.choice, &replay->recording->promises[promise]);
		}
		worker->images++;
	}
	choices_end(&choices);
}

static void worker_run(struct worker *worker)
{
	const struct recording *recording = worker->replay->recording;
	uint64_t promise = 0;

	medium_begin(&worker->medium, recording);
	for (size_t i = 0; i < recording->count && !worker->replay->tally->stop; i++) {
		if (i >= worker->replay->begin && i < worker->replay->end &&
		    medium_crash_point(&worker->medium, &recording->events[i]))
			crash_here(worker, i, promise);
		if (recording->events[i].type == EVENT_PROMISE)
			promise = recording->events[i].value;
		medium_apply(&worker->medium, &recording->events[i]);
	}
	if (recording->count < worker->replay->end)
		crash_here(worker, recording->count, promise);
	worker->replay->tally->images = worker->images;
	medium_free(&worker->medium);
	free(worker->seen.sums);
}

static pid_t worker_start(const struct replay *replay, unsigned number, uint64_t from)
{
	/* A new one knows nothing of the files that the one before left. */
	struct worker worker = {.replay = replay, .number = number, .from = from};
	pid_t pid = fork();

	must(pid >= 0);
	if (pid)
		return pid;
	snprintf(worker.directory, sizeof(worker.directory), "%s/image-%u", scratch, number);
	directory_remove(worker.directory);
	worker_run(&worker);
	_exit(0);
}

/* The image on which a worker died is a finding; another one goes on behind it. */
static bool worker_died(const struct replay *replay, unsigned number, int status)
{
	struct tally *tally = replay->tally;

	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return false;
	if (!tally->workers[number].failures++) {
		tally->workers[number].first = tally->workers[number].trying;
		error_set(&tally->workers[number].err, -EFAULT, "who opened it died (%s)",
			  WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "by itself");
	}
	tally->stop |= replay->stop_at_first;
	return !tally->stop;
}

static void replay_run(const struct replay *replay)
{
	pid_t pids[WORKERS_MAX] = {0}, pid;
	unsigned left = 0;
	int status;

	for (; left < options.workers; left++)
		pids[left] = worker_start(replay, left, 0);
	while (left) {
		pid = wait(&status);
		if (pid < 0 && errno == EINTR)
			continue;
		must(pid > 0);
		for (unsigned i = 0; i < options.workers; i++) {
			if (pids[i] != pid)
				continue;
			if (worker_died(replay, i, status))
				pids[i] = worker_start(replay, i, replay->tally->workers[i].trying + 1);
			else
				left--;
		}
	}
}

static uint64_t failures(const struct tally *tally, uint64_t *first, struct error *err)
{
	uint64_t count = 0;

	*first = NO_IMAGE;
	for (unsigned i = 0; i < options.workers; i++) {
		count += tally->workers[i].failures;
		if (tally->workers[i].failures && tally->workers[i].first < *first) {
			*first = tally->workers[i].first;
			*err = tally->workers[i].err;
		}
	}
	return count;
}

static struct tally *tally_new(void)
{
	struct tally *tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	must(tally != MAP_FAILED);
	return tally;
}

/* ---- tests ---- */

static unsigned tests, tests_failed;

static void report(bool ok, const char *name)
{
	printf("%sok %u - %s\n", ok ? "" : "not ", ++tests, name);
	fflush(stdout);
	tests_failed += !ok;
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
	char path[300];
	const char *top = getenv("top_builddir");
	struct replay keep = {.recording = replay->recording, .tally = tally_new(), .begin = replay->begin,
			      .end = replay->end, .keep = path};
	struct worker worker = {.replay = &keep, .from = image};

	snprintf(path, sizeof(path), "%s/tests/crash/failed-%s-%" PRIu64 "-%" PRIu64, top ? top : ".", scenario,
		 options.seed, image);
	directory_remove(path);
	worker_run(&worker);
	munmap(keep.tally, sizeof(*keep.tally));
	printf("# the image is in %s\n", path);
}

static void scenario_test(const struct scenario *scenario, const struct recording *recording)
{
	struct replay replay = {.recording = recording, .tally = tally_new(), .end = SIZE_MAX};
	uint64_t began = clock_monotonic_ns(), first, count;
	struct error err;
	char name[200];

	replay_run(&replay);
	count = failures(replay.tally, &first, &err);
	printf("# %s: seed %" PRIu64 ", %zu events, %" PRIu64 " crash points (%" PRIu64 " with all images; up to %" PRIu64
	       " units pending), %" PRIu64 " images, %.1f s\n", scenario->name, options.seed, recording->count,
	       replay.tally->points, replay.tally->points_all, replay.tally->pending_max, replay.tally->images,
	       (double)(clock_monotonic_ns() - began) / 1e9);
	if (count) {
		printf("# %" PRIu64 " images are wrong; the first is %" PRIu64 ": %s\n", count, first, err.text);
		printf("# again: tests/crash/replay --scenario %s --seed %" PRIu64 " --image %" PRIu64 "\n", scenario->name,
		       options.seed, first);
		image_keep(&replay, scenario->name, first);
	}
	snprintf(name, sizeof(name), "%s: %s", scenario->name, scenario->what);
	report(!count, name);
	munmap(replay.tally, sizeof(*replay.tally));
}

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
	struct replay replay = {.recording = &planted, .tally = tally_new(), .end = SIZE_MAX, .stop_at_first = true};
	struct error err;
	char name[200];
	uint64_t first;
	bool found;

	if (plant->kind == PLANT_ORDER) {
		record(scenario_find(plant->scenario), plant->order, &ordered);
		planted = plant_in(&ordered, plant);
	} else {
		planted = plant_in(recording, plant);
	}
	replay.begin = first_change(recording, &planted);
	replay_run(&replay);
	found = failures(replay.tally, &first, &err);
	if (found)
		printf("# %s: image %" PRIu64 ": %s\n", plant->name, first, err.text);
	snprintf(name, sizeof(name), "found where %s (%s, %s)", plant->what, plant->scenario, plant->name);
	report(found, name);
	munmap(replay.tally, sizeof(*replay.tally));
	free(planted.events);
	if (plant->kind == PLANT_ORDER)
		recording_free(&ordered);
}

/* Leaves out each flush and each fence of the metadata, one by one. */
static void each_test(const struct scenario *scenario, const struct recording *recording)
{
	struct recording planted;
	unsigned count = 0, found = 0;
	struct error err;
	uint64_t first;

	for (size_t i = 0; i < recording->count; i++) {
		const struct event *event = &recording->events[i];
		struct replay replay = {.recording = &planted, .begin = i, .end = SIZE_MAX, .stop_at_first = true};
		bool is_found;

		if ((event->type != EVENT_FLUSH && event->type != EVENT_FENCE) ||
		    !strcmp(recording->steps[event->step], "open") || !strcmp(recording->steps[event->step], "close"))
			continue;
		planted = plant_without(recording, i);
		replay.tally = tally_new();
		replay_run(&replay);
		is_found = failures(replay.tally, &first, &err);
		found += is_found;
		count++;
		printf("# %s, %s of %s at event %zu, bytes %" PRIx64 " to %" PRIx64 ": %s\n",
		       recording->steps[event->step], event->type == EVENT_FLUSH ? "flush" : "fence",
		       event->file == NAMES ? "names" : recording->names[recording->files[event->file].before_name], i,
		       event->offset, event->end, is_found ? err.text : "not found");
		munmap(replay.tally, sizeof(*replay.tally));
		free(planted.events);
	}
	printf("# %s: %u of %u flushes and fences are missed when they are left out\n", scenario->name, found, count);
}

/* ---- the command line ---- */

static int usage(void)
{
	fprintf(stderr, "usage: replay [--scenario NAME] [--plant NAME] [--seed N] [--image N] [--all N] [--sample N]\n"
			"              [--thorough N] [--workers N] [--each]\n"
			"Without arguments: all scenarios, and all planted bugs.\n"
			"  --scenario  this one alone, and its bugs\n"
			"  --plant     this bug alone\n"
			"  --seed      of what is chosen at random (1)\n"
			"  --image     this image of the scenario alone\n"
			"  --all       every image of a crash point that has at most so many (16), else\n"
			"  --sample    so many (12)\n"
			"  --thorough  goes on with each Nth image, and makes another checkpoint (32); 0: with none\n"
			"  --each      leaves out each flush and fence of the scenario, one by one\n");
	return 2;
}

static bool options_read(int argc, char **argv)
{
	static const struct option known[] = {
		{"scenario", required_argument, NULL, 's'}, {"plant", required_argument, NULL, 'p'},
		{"seed", required_argument, NULL, 'r'},	    {"image", required_argument, NULL, 'i'},
		{"all", required_argument, NULL, 'a'},	    {"sample", required_argument, NULL, 'n'},
		{"thorough", required_argument, NULL, 'g'},    {"workers", required_argument, NULL, 'w'},
		{"each", no_argument, NULL, 'e'},	    {NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		uint64_t number = optarg ? strtoull(optarg, NULL, 10) : 0;

		switch (c) {
		case 's': options.scenario = optarg; break;
		case 'p': options.plant = optarg; break;
		case 'r': options.seed = number; break;
		case 'i': options.image = number; break;
		case 'a': options.all = number; break;
		case 'n': options.sample = number; break;
		case 'g': options.thorough = number; break;
		case 'w': options.workers = (unsigned)number; break;
		case 'e': options.each = true; break;
		default: return false;
		}
	}
	return optind == argc && options.workers && options.workers <= WORKERS_MAX &&
	       (!options.scenario || scenario_find(options.scenario)) && (!options.plant || plant_find(options.plant));
}

/* A scenario, and the bugs planted in it. */
static void test(const struct scenario *scenario)
{
	const struct plant *only = options.plant ? plant_find(options.plant) : NULL;
	struct recording recording;

	if ((options.scenario && strcmp(options.scenario, scenario->name) != 0) ||
	    (only && strcmp(only->scenario, scenario->name) != 0))
		return;
	record(scenario, ORDER_RIGHT, &recording);
	if (options.each)
		each_test(scenario, &recording);
	else if (!only)
		scenario_test(scenario, &recording);
	for (const struct plant *p = plants; p->name; p++) {
		if (!options.each && options.image == NO_IMAGE && !strcmp(p->scenario, scenario->name) && (!only || p == only))
			plant_test(p, &recording);
	}
	recording_free(&recording);
}

int main(int argc, char **argv)
{
	if (!options_read(argc, argv))
		return usage();
	/* What libpmemobj takes at each opening and gives back is not the kernel's again. */
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
	mallopt(M_MMAP_THRESHOLD, 256 << 20);
	log_open("replay", LOG_LEVEL_ERROR, false);
	scratch_make();
	for (const struct scenario *s = scenarios; s->name; s++)
		test(s);
	printf("1..%u\n", tests);
	directory_remove(scratch);
	return tests_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
