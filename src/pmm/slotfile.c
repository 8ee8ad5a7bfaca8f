/* SPDX-License-Identifier: BSD-3-Clause */
/* slotfile.c - the files of slots: slots/<number>, made, opened, checked against the records, removed. */
#include "pmm/index.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

#define NAME_BYTES (FORMAT_FILE_CHARS + 1)

static void file_name(uint64_t number, char name[NAME_BYTES])
{
	snprintf(name, NAME_BYTES, "%016" PRIx64, number);
}

/* The number that a file's name says, 0 for a name that we never give. */
static uint64_t file_number(const char *name)
{
	if (strlen(name) != FORMAT_FILE_CHARS || strspn(name, "0123456789abcdef") != FORMAT_FILE_CHARS)
		return 0;
	return strtoull(name, NULL, 16);
}

/*
 * Slots elsewhere: a directory below `data` that is this pool's alone, since its name is made up here, and
 * slots, a link to it. Only when the pool is made; later the link is what counts.
 */
static int elsewhere(struct pool *pool, const char *data, struct error *err)
{
	char real[PATH_MAX], target[PATH_MAX + 32];
	struct stat st;
	int rc;

	if (!realpath(data, real) || stat(real, &st))
		return error_set(err, -errno, "--data %s: %s", data, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return error_set(err, -ENOTDIR, "--data %s is no directory; devices come in a later version",
				 data);
	snprintf(target, sizeof(target), "%s/holdfast-slots.XXXXXX", real);
	if (!mkdtemp(target))
		return error_set(err, -errno, "--data %s: cannot make a directory there: %s", data,
				 strerror(errno));
	if (!symlinkat(target, pool->directory_fd, "slots"))
		return 0;
	rc = error_set(err, -errno, "cannot make %s/slots: %s", pool->directory, strerror(errno));
	rmdir(target);
	return rc;
}

int slotfile_directory(struct pool *pool, const char *data, struct error *err)
{
	struct stat st;
	int rc;

	if (data && fstatat(pool->directory_fd, "slots", &st, AT_SYMLINK_NOFOLLOW)) {
		rc = elsewhere(pool, data, err);
		if (rc)
			return rc;
	}
	if (mkdirat(pool->directory_fd, "slots", 0700) && errno != EEXIST)
		return error_set(err, -errno, "cannot make %s/slots: %s", pool->directory, strerror(errno));
	pool->slots_fd = openat(pool->directory_fd, "slots", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (pool->slots_fd < 0)
		return error_set(err, -errno, "cannot open %s/slots: %s", pool->directory, strerror(errno));
	return 0;
}

int slotfile_create(struct pool *pool, uint64_t number, int *out, struct error *err)
{
	char name[NAME_BYTES];
	int fd, rc;

	file_name(number, name);
	/* What an attempt left behind that was never recorded. */
	unlinkat(pool->slots_fd, name, 0);
	fd = openat(pool->slots_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_set(err, -errno, "cannot make slot file %s/slots/%s: %s", pool->directory, name,
				 strerror(errno));
	if (fsync(pool->slots_fd)) {
		rc = error_set(err, -errno, "cannot make slot file %s/slots/%s durable: %s", pool->directory,
			       name, strerror(errno));
		unlinkat(pool->slots_fd, name, 0);
		close(fd);
		return rc;
	}
	*out = fd;
	return 0;
}

int slotfile_open(const struct pool *pool, uint64_t number, int *out, struct error *err)
{
	char name[NAME_BYTES];
	int fd;

	file_name(number, name);
	fd = openat(pool->slots_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return error_set(err, -errno, "cannot open slot file %s/slots/%s: %s", pool->directory, name,
				 strerror(errno));
	*out = fd;
	return 0;
}

void slotfile_remove(struct pool *pool, uint64_t number)
{
	char name[NAME_BYTES];

	if (!number)
		return;
	file_name(number, name);
	if (unlinkat(pool->slots_fd, name, 0) && errno != ENOENT)
		log_warning("pool %s: cannot remove slot file %s: %s; it is tried again when the pool is opened",
			    pool->directory, name, strerror(errno));
}

/* ---- checks ---- */

struct numbers {
	uint64_t *list;
	size_t count;
};

static int compare_numbers(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return *a < *b ? -1 : *a > *b;
}

static bool numbers_has(const struct numbers *numbers, uint64_t number)
{
	return numbers->count &&
	       bsearch(&number, numbers->list, numbers->count, sizeof(number), compare_numbers);
}

/* What is wrong with the slot's file; "" where nothing is. */
static void slotfile_judge(const struct pool *pool, const struct slot_record *slot, char *how, size_t capacity)
{
	char name[NAME_BYTES];
	struct stat st;

	how[0] = '\0';
	file_name(slot->file, name);
	if (fstatat(pool->slots_fd, name, &st, AT_SYMLINK_NOFOLLOW))
		snprintf(how, capacity, "slot file %s: %s", name,
			 errno == ENOENT ? "missing" : strerror(errno));
	else if (!S_ISREG(st.st_mode))
		snprintf(how, capacity, "slot file %s: not a regular file", name);
	else if ((uint64_t)st.st_size < slot->capacity)
		snprintf(how, capacity, "slot file %s: %" PRIu64 " bytes short of %" PRIu64, name,
			 slot->capacity - (uint64_t)st.st_size, slot->capacity);
}

/* Does anybody have the file open to write it? A lease tells: one for writing is given to who is alone. */
static bool has_writers(const struct pool *pool, uint64_t number)
{
	struct error ignored;
	bool alone;
	int fd;

	if (slotfile_open(pool, number, &fd, &ignored))
		return false;
	alone = !fcntl(fd, F_SETLEASE, F_WRLCK) && !fcntl(fd, F_SETLEASE, F_UNLCK);
	close(fd);
	return !alone;
}

static void slot_check_writers(struct region *region, unsigned slot)
{
	const struct slot_record *record = &region->record->slots[slot];

	if (record->set.epoch || !record->capacity || !has_writers(region->job->pool, record->file))
		return;
	log_info("pool %s: job %s, rank %u, slot %u: a former client still has its file open; a new set gets another one",
		 region->job->pool->directory, job_name(region->job), region_rank(region), slot);
	region_suspect(region, slot);
}

static int slot_check(struct region *region, unsigned slot, bool accept_damage, struct error *err)
{
	const struct slot_record *record = &region->record->slots[slot];
	struct pool *pool = region->job->pool;
	char how[128], what[64] = "no set";
	const char *lost = "no set is lost";

	slotfile_judge(pool, record, how, sizeof(how));
	if (!how[0]) {
		slot_check_writers(region, slot);
		return 0;
	}
	if (record->set.epoch) {
		snprintf(what, sizeof(what), "epoch %" PRIu64, record->set.epoch);
		lost = "THIS SET IS WITHDRAWN";
	} else if (slot == SLOT_LOG && region->increment_count) {
		snprintf(what, sizeof(what), "the log, with %u increments", region->increment_count);
		lost = "THESE SETS ARE WITHDRAWN";
	}
	if (!accept_damage)
		return damaged(pool, err, "job %s, rank %u, slot %u (%s): %s", job_name(region->job),
			       region_rank(region), slot, what, how);
	log_error("pool %s: job %s, rank %u, slot %u (%s): %s; damage is accepted, and so the slot is emptied "
		  "and %s", pool->directory, job_name(region->job), region_rank(region), slot, what, how,
		  lost);
	return region_forget_slot(region, slot, err);
}

static int job_check(struct job *job, bool accept_damage, struct numbers *numbers, struct error *err)
{
	struct region *region;
	int rc;

	for (uint32_t rank = 0; rank < job_ranks(job); rank++) {
		region = job_region(job, rank);
		for (unsigned slot = 0; region && slot < region_slots(region); slot++) {
			if (!region->record->slots[slot].file)
				continue;
			rc = slot_check(region, slot, accept_damage, err);
			if (rc)
				return rc;
			if (region->record->slots[slot].file)
				numbers->list[numbers->count++] = region->record->slots[slot].file;
		}
	}
	return 0;
}

/* Calls `each` for every entry of slots/. */
static int slots_walk(const struct pool *pool, void (*each)(int slots_fd, const char *name, void *arg),
		      void *arg, struct error *err)
{
	struct dirent *entry;
	DIR *dir;
	int fd;

	fd = openat(pool->slots_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		int rc = error_set(err, -errno, "cannot list %s/slots: %s", pool->directory, strerror(errno));

		if (fd >= 0)
			close(fd);
		return rc;
	}
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			each(pool->slots_fd, entry->d_name, arg);
	}
	closedir(dir);
	return 0;
}

struct orphans {
	const struct pool *pool;
	const struct numbers *numbers;
};

static void orphan_remove(int slots_fd, const char *name, void *arg)
{
	const struct orphans *orphans = arg;
	uint64_t number = file_number(name);

	if (!number) {
		log_warning("pool %s: slots/%s is none of ours and left alone", orphans->pool->directory, name);
		return;
	}
	if (numbers_has(orphans->numbers, number))
		return;
	log_info("pool %s: slot file %s belongs to no region any more and is removed",
		 orphans->pool->directory, name);
	if (unlinkat(slots_fd, name, 0))
		log_warning("pool %s: cannot remove slot file %s: %s", orphans->pool->directory, name,
			    strerror(errno));
}

int slotfile_check_all(struct pool *pool, bool accept_damage, struct error *err)
{
	struct numbers numbers = {.list = calloc(pool->regions * SLOTS_MAX + 1, sizeof(uint64_t))};
	struct orphans orphans = {pool, &numbers};
	int rc = 0;

	if (!numbers.list)
		return error_nomem(err, "the list of slot files");
	for (struct job *job = pool->oldest; job && !rc; job = job->newer)
		rc = job_check(job, accept_damage, &numbers, err);
	if (rc)
		goto out;
	qsort(numbers.list, numbers.count, sizeof(*numbers.list), compare_numbers);
	for (size_t i = 1; i < numbers.count; i++) {
		if (numbers.list[i] == numbers.list[i - 1]) {
			rc = damaged(pool, err, "two slots have the same file %016" PRIx64, numbers.list[i]);
			goto out;
		}
	}
	rc = slots_walk(pool, orphan_remove, &orphans, err);
out:
	free(numbers.list);
	return rc;
}

static void allocated_add(int slots_fd, const char *name, void *arg)
{
	uint64_t *bytes = arg;
	struct stat st;

	if (!fstatat(slots_fd, name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode))
		*bytes += (uint64_t)st.st_blocks * 512;
}

int slotfile_allocated(const struct pool *pool, uint64_t *bytes, struct error *err)
{
	*bytes = 0;
	return slots_walk(pool, allocated_add, bytes, err);
}
