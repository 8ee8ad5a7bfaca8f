/* SPDX-License-Identifier: BSD-3-Clause */
/* recording.c - what a pool's files go through while the real code works on them. */
#include "recording.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libpmem.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "must.h"

#define MAPPINGS_MAX 32
#define LINE	     64u
#define PAGE	     4096u

/* Where files are mapped by those who are recorded. */
struct watched {
	const uint8_t *base;
	size_t bytes;
	unsigned file;
};

/* One thread at a time works in a scenario, and so there is no lock. */
static struct {
	struct recording *to; /* NULL: nothing is recorded */
	pid_t process;	      /* a child's doings are its own */
	char directory[200];
	uint16_t step;
	struct watched watched[MAPPINGS_MAX];
	unsigned watched_count;
} recorder;

static bool is_recorded(void)
{
	return recorder.to && recorder.process == getpid();
}

static void event_add(struct event event)
{
	struct recording *r = recorder.to;

	if (r->count == r->capacity) {
		r->capacity = r->capacity ? 2 * r->capacity : 1024;
		r->events = realloc(r->events, r->capacity * sizeof(*r->events));
		must(r->events);
	}
	event.step = recorder.step;
	r->events[r->count++] = event;
}

/* ---- names and sizes ---- */

static uint64_t name_number(const char *name)
{
	struct recording *r = recorder.to;

	for (size_t i = 0; i < r->name_count; i++) {
		if (!strcmp(r->names[i], name))
			return i;
	}
	r->names = realloc(r->names, (r->name_count + 1) * sizeof(*r->names));
	must(r->names && strlen(name) < FILE_NAME_BYTES);
	strcpy(r->names[r->name_count], name);
	return r->name_count++;
}

static struct recorded_file *file_of_inode(uint64_t inode)
{
	struct recording *r = recorder.to;

	for (unsigned i = 0; i < r->file_count; i++) {
		if (r->files[i].inode == inode && r->files[i].name)
			return &r->files[i];
	}
	must(r->file_count < FILES_MAX);
	r->files[r->file_count] = (struct recorded_file){.inode = inode};
	return &r->files[r->file_count++];
}

static void file_resize(struct recorded_file *file, const char *path, uint64_t bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	must(fd >= 0 && bytes >= file->bytes);
	if (file->now)
		munmap((void *)(uintptr_t)file->now, file->bytes);
	file->now = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	must(file->now != MAP_FAILED);
	close(fd);
	file->seen = realloc(file->seen, bytes);
	must(file->seen);
	memset(file->seen + file->bytes, 0, bytes - file->bytes);
	file->bytes = file->bytes_max = bytes;
}

static void file_look(const char *name)
{
	char path[sizeof(recorder.directory) + NAME_MAX + 16];
	struct recorded_file *file;
	struct event event = {.type = EVENT_STORE};
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", recorder.directory, name);
	must(!stat(path, &st));
	if (!S_ISREG(st.st_mode))
		return;
	file = file_of_inode(st.st_ino);
	file->there = true;
	event.file = (uint16_t)(file - recorder.to->files);
	if (strcmp(recorder.to->names[file->name], name) != 0) {
		event.place = PLACE_NAME;
		event.value = file->name = name_number(name);
		file->in_slots = !strncmp(name, "slots/", strlen("slots/"));
		event_add(event);
	}
	if ((uint64_t)st.st_size != file->bytes) {
		event.place = PLACE_SIZE;
		event.value = (uint64_t)st.st_size;
		event_add(event);
		file_resize(file, path, event.value);
	}
}

static void directory_look(const char *below)
{
	char path[sizeof(recorder.directory) + 8], name[NAME_MAX + 10];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s", recorder.directory, below);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		snprintf(name, sizeof(name), "%s%s", below, entry->d_name);
		if (entry->d_name[0] != '.' && strcmp(name, "lock") != 0)
			file_look(name);
	}
	if (dir)
		closedir(dir);
}

static void names_look(void)
{
	struct recording *r = recorder.to;

	for (unsigned i = 0; i < r->file_count; i++)
		r->files[i].there = false;
	directory_look("");
	directory_look("slots/");
	for (unsigned i = 0; i < r->file_count; i++) {
		struct recorded_file *file = &r->files[i];

		if (file->there || !file->name)
			continue;
		file->name = 0;
		event_add((struct event){.type = EVENT_STORE, .place = PLACE_NAME, .file = (uint16_t)i});
	}
}

/* ---- bytes ---- */

static void words_look(struct recorded_file *file, uint64_t at, uint64_t end)
{
	struct event event = {.type = EVENT_STORE, .file = (uint16_t)(file - recorder.to->files)};

	for (; at < end; at += sizeof(uint64_t)) {
		if (!memcmp(file->now + at, file->seen + at, sizeof(uint64_t)))
			continue;
		memcpy(file->seen + at, file->now + at, sizeof(uint64_t));
		memcpy(&event.value, file->seen + at, sizeof(uint64_t));
		event.offset = at;
		event_add(event);
	}
}

static void look(void)
{
	struct recording *r = recorder.to;

	names_look();
	for (unsigned i = 0; i < r->file_count; i++) {
		struct recorded_file *file = &r->files[i];

		for (uint64_t at = 0; at < file->bytes; at += PAGE) {
			uint64_t n = file->bytes - at < PAGE ? file->bytes - at : PAGE;

			if (memcmp(file->now + at, file->seen + at, n))
				words_look(file, at, at + n);
		}
	}
}

static void flushed(unsigned file, uint64_t offset, uint64_t bytes)
{
	look();
	if (bytes)
		event_add((struct event){.type = EVENT_FLUSH, .file = (uint16_t)file, .offset = offset & ~(uint64_t)(LINE - 1),
					 .end = (offset + bytes + LINE - 1) & ~(uint64_t)(LINE - 1)});
}

/* When it has been looked. */
static void fenced(unsigned file)
{
	event_add((struct event){.type = EVENT_FENCE, .file = (uint16_t)file});
}

/* ---- who maps what ---- */

static void watch(const void *base, size_t bytes, unsigned file)
{
	must(recorder.watched_count < MAPPINGS_MAX);
	recorder.watched[recorder.watched_count++] = (struct watched){base, bytes, file};
}

/* Whatever lies over [base, base + bytes) has gone. */
static void unwatch(const void *base, size_t bytes)
{
	const uint8_t *at = base;

	for (unsigned i = 0; i < recorder.watched_count; i++) {
		if (recorder.watched[i].base < at + bytes && at < recorder.watched[i].base + recorder.watched[i].bytes)
			recorder.watched[i--] = recorder.watched[--recorder.watched_count];
	}
}

static const struct watched *watched_find(const void *address)
{
	const uint8_t *at = address;

	for (unsigned i = 0; i < recorder.watched_count; i++) {
		if (at >= recorder.watched[i].base && at < recorder.watched[i].base + recorder.watched[i].bytes)
			return &recorder.watched[i];
	}
	return NULL;
}

/* libpmemobj maps its file itself, and so the kernel is asked where. */
static const struct watched *watched_of(const void *address)
{
	const struct watched *found = watched_find(address);
	uint64_t begin, end, inode;
	char line[512];
	FILE *maps;

	if (found)
		return found;
	maps = fopen("/proc/self/maps", "re");
	must(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %" SCNu64, &begin, &end, &inode) != 3 ||
		    (uintptr_t)address < begin || (uintptr_t)address >= end)
			continue;
		names_look();
		if (inode && strstr(line, recorder.directory))
			watch((const void *)(uintptr_t)begin, end - begin,
			      (unsigned)(file_of_inode(inode) - recorder.to->files));
	}
	fclose(maps);
	return watched_find(address);
}

/* ---- libpmem, as libpmemobj calls it ---- */

static void libpmem_flushed(const void *address, size_t bytes)
{
	const struct watched *in = is_recorded() ? watched_of(address) : NULL;

	if (in)
		flushed(in->file, (uint64_t)((const uint8_t *)address - in->base), bytes);
}

/* A fence is its processor's: the PMM's, which maps no slot. */
static void libpmem_fenced(void)
{
	const char *name;

	for (unsigned i = 0; i < recorder.to->file_count; i++) {
		name = recorder.to->names[recorder.to->files[i].name];
		if (!strncmp(name, "metadata", strlen("metadata")))
			fenced(i);
	}
}

int pmem_is_pmem(const void *address, size_t bytes)
{
	if (is_recorded())
		unwatch(address, bytes);
	return 1;
}

void pmem_flush(const void *address, size_t bytes)
{
	libpmem_flushed(address, bytes);
}

void pmem_drain(void)
{
	if (!is_recorded())
		return;
	look();
	libpmem_fenced();
}

void pmem_persist(const void *address, size_t bytes)
{
	libpmem_flushed(address, bytes);
	if (is_recorded())
		libpmem_fenced();
}

int pmem_msync(const void *address, size_t bytes)
{
	pmem_persist(address, bytes);
	return 0;
}

void pmem_deep_flush(const void *address, size_t bytes)
{
	libpmem_flushed(address, bytes);
}

static void *libpmem_stored(void *to, size_t bytes, unsigned flags)
{
	if (!(flags & PMEM_F_MEM_NOFLUSH))
		libpmem_flushed(to, bytes);
	if (is_recorded() && !(flags & (PMEM_F_MEM_NOFLUSH | PMEM_F_MEM_NODRAIN)))
		libpmem_fenced();
	return to;
}

void *pmem_memmove(void *to, const void *from, size_t bytes, unsigned flags)
{
	memmove(to, from, bytes);
	return libpmem_stored(to, bytes, flags);
}

void *pmem_memcpy(void *to, const void *from, size_t bytes, unsigned flags)
{
	return pmem_memmove(to, from, bytes, flags);
}

void *pmem_memset(void *to, int value, size_t bytes, unsigned flags)
{
	memset(to, value, bytes);
	return libpmem_stored(to, bytes, flags);
}

/* ---- fsync ---- */

int __real_fsync(int fd);
int __wrap_fsync(int fd);

/* All names that came into this directory, or left it. */
static void directory_synced(bool slots)
{
	look();
	for (unsigned i = 0; i < recorder.to->file_count; i++) {
		if (recorder.to->files[i].in_slots == slots)
			event_add((struct event){.type = EVENT_FLUSH, .place = PLACE_NAME, .file = (uint16_t)i});
	}
	fenced(NAMES);
}

static void file_synced(uint64_t inode)
{
	unsigned file;

	look();
	file = (unsigned)(file_of_inode(inode) - recorder.to->files);
	flushed(file, 0, recorder.to->files[file].bytes);
	event_add((struct event){.type = EVENT_FLUSH, .place = PLACE_SIZE, .file = (uint16_t)file});
	fenced(file);
}

int __wrap_fsync(int fd)
{
	char link[64], path[300];
	struct stat st;
	size_t length;
	ssize_t n;

	if (!is_recorded())
		return __real_fsync(fd);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	must(n > 0 && !fstat(fd, &st));
	path[n] = '\0';
	length = strlen(recorder.directory);
	if (!strncmp(path, recorder.directory, length)) {
		if (S_ISREG(st.st_mode))
			file_synced(st.st_ino);
		else
			directory_synced(path[length] != '\0');
	}
	return __real_fsync(fd);
}

/* ---- the back end ---- */

static int recording_map(int fd, size_t bytes, struct media_map **map, struct error *err)
{
	struct stat st;
	int rc = media_pmem2.map(fd, bytes, map, err);

	if (rc || !is_recorded())
		return rc;
	must(!fstat(fd, &st));
	names_look();
	unwatch(media_pmem2.base(*map), bytes);
	if (st.st_nlink) /* a file without a name is a trial's */
		watch(media_pmem2.base(*map), bytes, (unsigned)(file_of_inode(st.st_ino) - recorder.to->files));
	return 0;
}

static int recording_map_extents(int fd, const struct extent *extents, unsigned count, struct media_map **map,
				 struct error *err)
{
	return media_pmem2.map_extents(fd, extents, count, map, err);
}

static void recording_unmap(struct media_map *map)
{
	if (map && is_recorded())
		unwatch(media_pmem2.base(map), media_pmem2.bytes(map));
	media_pmem2.unmap(map);
}

static void *recording_base(const struct media_map *map)
{
	return media_pmem2.base(map);
}

static size_t recording_bytes(const struct media_map *map)
{
	return media_pmem2.bytes(map);
}

static enum media_granularity recording_granularity(const struct media_map *map)
{
	return media_pmem2.granularity(map);
}

static void recorded_persist(const struct media_map *map, size_t offset, size_t bytes)
{
	const struct watched *in;

	if (!is_recorded())
		return;
	in = watched_find(media_pmem2.base(map));
	if (!in)
		return;
	flushed(in->file, offset, bytes);
	fenced(in->file);
}

static int recording_persist(struct media_map *map, size_t offset, size_t bytes, struct error *err)
{
	recorded_persist(map, offset, bytes);
	return media_pmem2.persist(map, offset, bytes, err);
}

/* Any store may get to the medium at any time: that it may do so soon is nothing to record. */
static bool recording_persist_begin(struct media_map *map, size_t offset, size_t bytes)
{
	return media_pmem2.persist_begin(map, offset, bytes);
}

static int recording_deep_flush(struct media_map *map, size_t offset, size_t bytes, struct error *err)
{
	recorded_persist(map, offset, bytes);
	return media_pmem2.deep_flush(map, offset, bytes, err);
}

static void recording_copy(struct media_map *map, size_t offset, const void *source, size_t bytes)
{
	media_pmem2.copy(map, offset, source, bytes);
}

const struct media_ops media_recording = {
	.abi = MEDIA_ABI,
	.name = "recording",
	.map = recording_map,
	.map_extents = recording_map_extents,
	.unmap = recording_unmap,
	.base = recording_base,
	.bytes = recording_bytes,
	.granularity = recording_granularity,
	.persist = recording_persist,
	.persist_begin = recording_persist_begin,
	.deep_flush = recording_deep_flush,
	.copy = recording_copy,
};

/* ---- begin and end ---- */

void recording_begin(struct recording *recording, const char *directory)
{
	*recording = (struct recording){0};
	recorder.to = recording;
	recorder.process = getpid();
	recorder.watched_count = 0;
	recorder.step = 0;
	must(strlen(directory) < sizeof(recorder.directory));
	strcpy(recorder.directory, directory);
	must(!name_number(""));
	recording_step("");
	look();
	/* What is there already is as it was before. */
	recording->count = 0;
	for (unsigned i = 0; i < recording->file_count; i++) {
		struct recorded_file *file = &recording->files[i];

		file->before_name = file->name;
		file->before_bytes = file->bytes;
		file->before = malloc(file->bytes);
		must(file->before);
		memcpy(file->before, file->seen, file->bytes);
	}
	media = &media_recording;
}

void recording_end(void)
{
	struct recording *r = recorder.to;

	look();
	for (unsigned i = 0; i < r->file_count; i++) {
		if (r->files[i].now)
			munmap((void *)(uintptr_t)r->files[i].now, r->files[i].bytes);
		free(r->files[i].seen);
		r->files[i].now = r->files[i].seen = NULL;
	}
	recorder.to = NULL;
	media = &media_pmem2;
}

void recording_free(struct recording *recording)
{
	for (unsigned i = 0; i < recording->file_count; i++)
		free(recording->files[i].before);
	free(recording->names);
	free(recording->steps);
	free(recording->events);
	free(recording->promises);
	*recording = (struct recording){0};
}

void recording_step(const char *step)
{
	struct recording *r = recorder.to;

	if (!is_recorded())
		return;
	look(); /* what was stored before belongs to the step before */
	r->steps = realloc(r->steps, (r->step_count + 1) * sizeof(*r->steps));
	must(r->steps && strlen(step) < STEP_BYTES);
	strcpy(r->steps[r->step_count], step);
	recorder.step = (uint16_t)r->step_count++;
}

void recording_promise(const struct promise *promise)
{
	struct recording *r = recorder.to;

	if (!is_recorded())
		return;
	look();
	r->promises = realloc(r->promises, (r->promise_count + 1) * sizeof(*r->promises));
	must(r->promises);
	r->promises[r->promise_count] = *promise;
	event_add((struct event){.type = EVENT_PROMISE, .value = r->promise_count++});
}
