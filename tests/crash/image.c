/* SPDX-License-Identifier: BSD-3-Clause */
/* image.c - what a crash may leave of a recording. */
#include "image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/checksum.h"
#include "must.h"

#define PAGE 4096u
#define LINE 64u

/* ---- the medium ---- */

/* A sum of these over all units tells one content from another; in no order. */
static uint64_t unit_sum(const struct pending *p, uint64_t value)
{
	const uint64_t unit[4] = {p->place, p->file, p->offset, value};

	return checksum(unit, sizeof(unit));
}

void medium_begin(struct medium *medium, const struct recording *recording)
{
	*medium = (struct medium){.recording = recording};
	for (unsigned i = 0; i < recording->file_count; i++) {
		const struct recorded_file *file = &recording->files[i];

		medium->files[i].bytes = calloc(1, file->bytes_max);
		medium->files[i].pending_at = calloc(file->bytes_max / sizeof(uint64_t) + 1, sizeof(uint32_t));
		medium->files[i].changed = calloc(1, file->bytes_max / PAGE + 1);
		must(medium->files[i].bytes && medium->files[i].pending_at && medium->files[i].changed);
		if (file->before_bytes)
			memcpy(medium->files[i].bytes, file->before, file->before_bytes);
		medium->files[i].size = file->before_bytes;
		medium->files[i].name = file->before_name;
	}
}

void medium_free(struct medium *medium)
{
	for (unsigned i = 0; i < medium->recording->file_count; i++) {
		free(medium->files[i].bytes);
		free(medium->files[i].pending_at);
		free(medium->files[i].changed);
	}
	free(medium->pending);
}

static uint64_t durable_of(const struct medium *medium, const struct pending *p)
{
	uint64_t value;

	if (p->place == PLACE_SIZE)
		return medium->files[p->file].size;
	if (p->place == PLACE_NAME)
		return medium->files[p->file].name;
	memcpy(&value, medium->files[p->file].bytes + p->offset, sizeof(value));
	return value;
}

static void make_durable(struct medium *medium, const struct pending *p, uint64_t value)
{
	medium->sum += unit_sum(p, value) - unit_sum(p, durable_of(medium, p));
	if (p->place == PLACE_SIZE)
		medium->files[p->file].size = value;
	else if (p->place == PLACE_NAME)
		medium->files[p->file].name = value;
	else
		memcpy(medium->files[p->file].bytes + p->offset, &value, sizeof(value));
	if (p->place == PLACE_WORD)
		medium->files[p->file].changed[p->offset / PAGE] = 1;
}

static struct pending *pending_find(struct medium *medium, enum place place, uint16_t file, uint64_t offset)
{
	uint32_t at;

	if (place == PLACE_WORD) {
		at = medium->files[file].pending_at[offset / sizeof(uint64_t)];
		return at ? &medium->pending[at - 1] : NULL;
	}
	for (size_t i = 0; i < medium->count; i++) {
		if (medium->pending[i].place == place && medium->pending[i].file == file)
			return &medium->pending[i];
	}
	return NULL;
}

static void pending_index(struct medium *medium, size_t i)
{
	const struct pending *p = &medium->pending[i];

	if (p->place == PLACE_WORD)
		medium->files[p->file].pending_at[p->offset / sizeof(uint64_t)] = (uint32_t)i + 1;
}

static void store(struct medium *medium, const struct event *event)
{
	struct pending *p = pending_find(medium, event->place, event->file, event->offset);

	if (!p) {
		if (medium->count == medium->capacity) {
			medium->capacity = medium->capacity ? 2 * medium->capacity : 1024;
			medium->pending = realloc(medium->pending, medium->capacity * sizeof(*medium->pending));
			must(medium->pending);
		}
		p = &medium->pending[medium->count++];
		*p = (struct pending){.place = event->place, .file = event->file, .offset = event->offset};
		pending_index(medium, medium->count - 1);
	}
	if (p->count == VALUES_MAX) {
		memmove(p->values, p->values + 1, (VALUES_MAX - 1) * sizeof(*p->values));
		p->count--;
		p->flushed -= p->flushed != 0;
	}
	p->values[p->count++] = event->value;
}

static bool is_flushed_by(const struct pending *p, const struct event *event)
{
	return p->place == event->place && p->file == event->file &&
	       (p->place != PLACE_WORD || (p->offset >= event->offset && p->offset < event->end));
}

static bool is_fenced_by(const struct pending *p, const struct event *event)
{
	return p->flushed && (p->place == PLACE_NAME ? event->file == NAMES : event->file == p->file);
}

static void fence(struct medium *medium, const struct event *event)
{
	size_t left = 0;

	for (size_t i = 0; i < medium->count; i++) {
		struct pending p = medium->pending[i];

		if (is_fenced_by(&p, event)) {
			make_durable(medium, &p, p.values[p.flushed - 1]);
			memmove(p.values, p.values + p.flushed, (p.count - p.flushed) * sizeof(*p.values));
			p.count -= p.flushed;
			p.flushed = 0;
		}
		p.stale |= p.place == PLACE_NAME ? event->file == NAMES : event->file == p.file;
		if (p.count) {
			medium->pending[left] = p;
			pending_index(medium, left++);
		} else if (p.place == PLACE_WORD) {
			medium->files[p.file].pending_at[p.offset / sizeof(uint64_t)] = 0;
		}
	}
	medium->count = left;
}

bool medium_crash_point(const struct medium *medium, const struct event *event)
{
	for (size_t i = 0; event->type == EVENT_FENCE && i < medium->count; i++) {
		if (is_fenced_by(&medium->pending[i], event))
			return true;
	}
	return false;
}

void medium_apply(struct medium *medium, const struct event *event)
{
	switch (event->type) {
	case EVENT_STORE:
		store(medium, event);
		break;
	case EVENT_FLUSH:
		for (size_t i = 0; i < medium->count; i++) {
			if (is_flushed_by(&medium->pending[i], event))
				medium->pending[i].flushed = medium->pending[i].count;
		}
		break;
	case EVENT_FENCE:
		fence(medium, event);
		break;
	case EVENT_PROMISE:
		break;
	}
}

/* ---- an image ---- */

uint64_t image_sum(const struct medium *medium, const uint8_t *choice)
{
	uint64_t sum = medium->sum;

	for (size_t i = 0; i < medium->count; i++) {
		const struct pending *p = &medium->pending[i];

		if (choice[i])
			sum += unit_sum(p, p->values[choice[i] - 1]) - unit_sum(p, durable_of(medium, p));
	}
	return sum;
}

static void file_unlink(const char *directory, const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	must(!unlink(path) || errno == ENOENT);
}

/* Only what is not there already: most of a pool stays from image to image. */
static void bytes_write(const struct medium *medium, unsigned file, bool all, uint8_t *to, uint64_t bytes)
{
	const uint8_t *from = medium->files[file].bytes;
	uint64_t n;

	for (uint64_t at = 0; at < bytes; at += n) {
		n = bytes - at < PAGE ? bytes - at : PAGE;
		if (all || medium->files[file].changed[at / PAGE])
			memcpy(to + at, from + at, n);
	}
	memset(medium->files[file].changed, 0, bytes / PAGE + 1);
}

static void words_write(struct medium *medium, const uint8_t *choice, unsigned file, uint8_t *to, uint64_t bytes)
{
	uint64_t n;

	for (size_t i = 0; i < medium->count; i++) {
		const struct pending *p = &medium->pending[i];

		if (p->place != PLACE_WORD || p->file != file || !choice[i] || p->offset >= bytes)
			continue;
		n = bytes - p->offset < sizeof(uint64_t) ? bytes - p->offset : sizeof(uint64_t);
		memcpy(to + p->offset, &p->values[choice[i] - 1], n);
		medium->files[file].changed[p->offset / PAGE] = 1;
	}
}

static void file_write(struct medium *medium, const uint8_t *choice, unsigned file, const char *path, uint64_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct stat st;
	uint8_t *to;

	must(fd >= 0 && !fstat(fd, &st) && !ftruncate(fd, (off_t)size));
	if (size) {
		to = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		must(to != MAP_FAILED);
		bytes_write(medium, file, (uint64_t)st.st_size != size, to, size);
		words_write(medium, choice, file, to, size);
		munmap(to, size);
	}
	close(fd);
}

/* Names and sizes in the image. */
struct entry {
	uint64_t size, name;
};

static void entries_choose(const struct medium *medium, const uint8_t *choice, struct entry entries[FILES_MAX])
{
	for (unsigned i = 0; i < medium->recording->file_count; i++)
		entries[i] = (struct entry){medium->files[i].size, medium->files[i].name};
	for (size_t i = 0; i < medium->count; i++) {
		const struct pending *p = &medium->pending[i];

		if (p->place == PLACE_SIZE && choice[i])
			entries[p->file].size = p->values[choice[i] - 1];
		if (p->place == PLACE_NAME && choice[i])
			entries[p->file].name = p->values[choice[i] - 1];
	}
}

void image_write(struct medium *medium, const uint8_t *choice, const char *directory)
{
	const struct recording *recording = medium->recording;
	struct entry entries[FILES_MAX];
	char path[300];

	snprintf(path, sizeof(path), "%s/slots", directory);
	must(!mkdir(directory, 0700) || errno == EEXIST);
	must(!mkdir(path, 0700) || errno == EEXIST);
	entries_choose(medium, choice, entries);
	for (unsigned i = 0; i < recording->file_count; i++) {
		if (medium->files[i].shown && medium->files[i].shown != entries[i].name)
			file_unlink(directory, recording->names[medium->files[i].shown]);
	}
	for (unsigned i = 0; i < recording->file_count; i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, recording->names[entries[i].name]);
		if (entries[i].name && entries[i].name != medium->files[i].shown)
			unlink(path); /* somebody made it meanwhile */
		if (entries[i].name)
			file_write(medium, choice, i, path, entries[i].size);
		medium->files[i].shown = entries[i].name;
	}
}

void image_forget(struct medium *medium, const char *directory)
{
	char path[300];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/slots", directory);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] != '.')
			must(!unlinkat(dirfd(dir), entry->d_name, 0));
	}
	if (dir)
		closedir(dir);
	file_unlink(directory, "metadata");
	file_unlink(directory, "metadata.new");
	for (unsigned i = 0; i < FILES_MAX; i++)
		medium->files[i].shown = 0;
}

/* ---- choices ---- */

/* splitmix64, by Sebastiano Vigna, in the public domain. */
static uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* Is it about to be durable, or to be passed by for the first time? */
static bool is_at_stake(const struct choices *choices, const struct pending *p)
{
	const struct event *event = choices->event;

	return !p->stale && (!event || (p->place == PLACE_NAME ? event->file == NAMES : event->file == p->file));
}

void choices_begin(struct choices *choices, const struct medium *medium, const struct event *event, uint64_t all,
		   uint64_t sample, uint64_t seed)
{
	uint64_t count = 1;

	*choices = (struct choices){.medium = medium, .event = event, .random = seed,
				    .choice = calloc(1, medium->count + 1)};
	must(choices->choice);
	for (size_t i = 0; i < medium->count && count <= all; i++)
		count *= is_at_stake(choices, &medium->pending[i]) ? medium->pending[i].count + 1 : 1;
	choices->all = count <= all;
	choices->count = choices->all ? count : sample;
}

/* The rest: nothing, everything, or any of it. */
static uint8_t choose_rest(struct choices *choices, const struct pending *p, uint64_t how)
{
	switch (how % 3) {
	case 0:
		return 0;
	case 1:
		return (uint8_t)p->count;
	default:
		return (uint8_t)(random_next(&choices->random) % (p->count + 1));
	}
}

/* Where all that is at stake has arrived, nothing that came before it has; and the other way round. */
static uint64_t how_rest(struct choices *choices, uint64_t everything)
{
	uint64_t how = random_next(&choices->random);

	return choices->number == everything ? 0 : choices->number == 0 ? 1 : how;
}

static void choose_all(struct choices *choices)
{
	uint64_t number = choices->number, rest = how_rest(choices, choices->count - 1);

	for (size_t i = 0; i < choices->medium->count; i++) {
		const struct pending *p = &choices->medium->pending[i];

		if (!is_at_stake(choices, p)) {
			choices->choice[i] = choose_rest(choices, p, rest);
			continue;
		}
		choices->choice[i] = (uint8_t)(number % (p->count + 1));
		number /= p->count + 1;
	}
}

/* Nothing, everything; one alone; all but one; all up to one; lines; units. */
static void choose_some(struct choices *choices)
{
	const struct medium *medium = choices->medium;
	uint64_t how = choices->number, rest = how_rest(choices, 1), one, line = UINT64_MAX;
	uint64_t odds = 1 + random_next(&choices->random) % 15;
	size_t stake = 0;
	bool take = false;

	for (size_t i = 0; i < medium->count; i++)
		stake += is_at_stake(choices, &medium->pending[i]);
	one = stake ? random_next(&choices->random) % stake : 0;
	stake = 0;
	for (size_t i = 0; i < medium->count; i++) {
		const struct pending *p = &medium->pending[i];
		uint64_t at = p->offset / LINE << 8 | (uint64_t)p->file << 2 | p->place;

		if (!is_at_stake(choices, p)) {
			choices->choice[i] = choose_rest(choices, p, rest);
			continue;
		}
		if (how < 2)
			take = how;
		else if (how % 5 == 2)
			take = stake == one;
		else if (how % 5 == 3)
			take = stake != one;
		else if (how % 5 == 4)
			take = stake <= one;
		else if (how % 5 == 0 || at != line)
			take = random_next(&choices->random) % 16 < odds;
		line = at;
		stake++;
		choices->choice[i] = 0;
		if (take)
			choices->choice[i] = (uint8_t)(how < 2 ? p->count : 1 + random_next(&choices->random) % p->count);
	}
}

bool choices_next(struct choices *choices)
{
	if (choices->number == choices->count)
		return false;
	if (choices->all)
		choose_all(choices);
	else
		choose_some(choices);
	choices->number++;
	return true;
}

void choices_end(struct choices *choices)
{
	free(choices->choice);
}
