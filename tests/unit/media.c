/* SPDX-License-Identifier: BSD-3-Clause */
/* media.c - mapping, persisting, room, and what a medium is said to survive. */
#define _GNU_SOURCE 1 /* nftw in scratch.h */
#include "media/media.h"

#include <dlfcn.h>
#include <errno.h>
#include <libpmem2.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "scratch.h"
#include "unit.h"

#define BYTES (75u * 4096)

/* The tests' own mmap, msync and madvise, in front of libc's, so that they can be watched, and fail. */
static int msync_error, madvise_error, fallocate_error;
static unsigned msyncs, fixed_failures;

UNIT_UNWATCHED /* whose library asks for memory before it can watch */
void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	void *map = (void *)syscall(SYS_mmap, at, bytes, protection, flags, fd, offset);

	fixed_failures += map == MAP_FAILED && (flags & MAP_FIXED);
	return map;
}

int msync(void *base, size_t bytes, int flags)
{
	msyncs++;
	if (msync_error) {
		errno = msync_error;
		return -1;
	}
	return (int)syscall(SYS_msync, base, bytes, flags);
}

int madvise(void *base, size_t bytes, int advice)
{
	if (madvise_error && advice == 23 /* MADV_POPULATE_WRITE */) {
		errno = madvise_error;
		return -1;
	}
	return (int)syscall(SYS_madvise, base, bytes, advice);
}

/* Fails half-way, as ext4's does. */
int posix_fallocate(int fd, off_t offset, off_t bytes)
{
	off_t half = fallocate_error ? bytes / 2 : bytes;

	if (fallocate(fd, 0, offset, half))
		return errno;
	return fallocate_error;
}

/* What libpmem2 writes lines back with, watched: how often each page of a mapping was. */
#define FLUSHED_PAGES (80u * 256)

static const uint8_t *flushed_base;
static atomic_uint flushed[FLUSHED_PAGES];

static void flush_watched(const void *at, size_t bytes)
{
	size_t first = (size_t)((const uint8_t *)at - flushed_base), end = first + bytes;

	for (size_t page = first / 4096; page * 4096 < end; page++)
		flushed[page]++;
}

pmem2_persist_fn pmem2_get_persist_fn(struct pmem2_map *map)
{
	void *next = dlsym(RTLD_NEXT, "pmem2_get_persist_fn");
	pmem2_persist_fn (*function)(struct pmem2_map *);

	memcpy(&function, &next, sizeof(function)); /* a cast that ISO C knows nothing of */
	return getenv("HOLDFAST_WATCHED") ? flush_watched : function(map);
}

static int file_make(const char *name, off_t bytes)
{
	int fd = open(scratch_path(name), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, bytes), 0);
	return fd;
}

static struct media_map *map_make(const char *name, size_t bytes)
{
	struct media_map *map = NULL;
	struct error err = {0};
	int fd = file_make(name, (off_t)bytes);

	ck_assert_msg(!media->map(fd, bytes, &map, &err), "%s", err.text);
	close(fd);
	return map;
}

static void fill(uint8_t *out, size_t bytes, uint32_t seed)
{
	for (size_t i = 0; i < bytes; i++)
		out[i] = (uint8_t)((i * 2654435761u + seed) >> 7);
}

static void file_read(const char *name, uint8_t file[BYTES])
{
	int fd = open(scratch_path(name), O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(read(fd, file, BYTES), BYTES);
	close(fd);
}

START_TEST(what_is_copied_and_persisted_is_in_the_file)
{
	static const size_t offsets[] = {0, 1, 15, 16, 4095, 4096, 70001};
	static const size_t lengths[] = {0, 1, 63, 64, 4095, 4096, 4097, 65536, 131071};
	static uint8_t data[BYTES], file[BYTES];
	struct media_map *map = map_make("file", BYTES);
	struct error err = {0};
	uint8_t *base = media->base(map);

	ck_assert_uint_eq(media->bytes(map), BYTES);
	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++) {
			const uint8_t *source = data + (i & 1); /* unaligned ones too */

			fill(data, lengths[k] + 1, (uint32_t)(i * 100 + k));
			memset(base, 0xee, BYTES);
			media->copy(map, offsets[i], source, lengths[k]);
			ck_assert_int_eq(media->persist(map, offsets[i], lengths[k], &err), 0);
			file_read("file", file);
			ck_assert(!memcmp(file + offsets[i], source, lengths[k]));
			ck_assert(offsets[i] == 0 || file[offsets[i] - 1] == 0xee);
			ck_assert(file[offsets[i] + lengths[k]] == 0xee);
		}
	}
	ck_assert_int_eq(media->deep_flush(map, 1, 10000, &err), 0);
	media->unmap(map);
	media->unmap(NULL);
}
END_TEST

START_TEST(a_range_outside_of_the_mapping_is_refused)
{
	struct media_map *map = map_make("file", BYTES);
	struct error err = {0};

	ck_assert_int_eq(media->persist(map, BYTES, 0, &err), 0);
	ck_assert_int_eq(media->persist(map, BYTES, 1, &err), -EINVAL);
	ck_assert_int_eq(media->persist(map, 1, SIZE_MAX, &err), -EINVAL);
	ck_assert_int_eq(media->persist(map, SIZE_MAX, 2, &err), -EINVAL);
	ck_assert_int_eq(media->deep_flush(map, 0, BYTES + 1, &err), -EINVAL);
	media->unmap(map);
}
END_TEST

START_TEST(a_file_that_cannot_be_mapped_gives_an_error)
{
	struct media_map *map = NULL;
	struct error err = {0};
	int fd = file_make("short", 4096), read_only;

	ck_assert_int_eq(media->map(fd, 8192, &map, &err), -ERANGE);
	ck_assert_int_eq(media->map(fd, 0, &map, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "0 bytes"));
	ck_assert_int_eq(media->map(fd, 4095, &map, &err), -EINVAL);
	read_only = open(scratch_path("short"), O_RDONLY | O_CLOEXEC);
	ck_assert_int_lt(media->map(read_only, 4096, &map, &err), 0);
	close(read_only);
	close(fd);
	fd = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_lt(media->map(fd, 4096, &map, &err), 0);
	close(fd);
	ck_assert_int_lt(media->map(-1, 4096, &map, &err), 0);
	ck_assert_ptr_null(map);
}
END_TEST

/* A MAP_FIXED that fails leaves a hole which another thread may be given: who maps there again takes it. */
START_TEST(mapping_takes_no_other_threads_memory)
{
	char path[] = "/var/tmp/holdfast-media.XXXXXX"; /* on a disk, if there is one: tmpfs fails sooner */
	int fd = mkstemp(path);
	struct media_map *map;
	struct error err;

	unlink(path);
	ck_assert_int_eq(ftruncate(fd, BYTES), 0);
	fixed_failures = 0;
	ck_assert_msg(!media->map(fd, BYTES, &map, &err), "%s", err.text);
	ck_assert_uint_eq(fixed_failures, 0);
	media->unmap(map);
	close(fd);
}
END_TEST

START_TEST(a_failed_write_back_is_an_error)
{
	struct media_map *map = map_make("file", BYTES);
	struct error err = {0};

	if (media->granularity(map) != MEDIA_PAGE) {
		media->unmap(map);
		return;
	}
	msyncs = 0;
	ck_assert_int_eq(media->persist(map, 5000, 1, &err), 0);
	ck_assert_uint_eq(msyncs, 1);
	msync_error = EIO;
	ck_assert_int_eq(media->persist(map, 5000, 1, &err), -EIO);
	ck_assert_int_eq(err.code, -EIO);
	ck_assert_ptr_nonnull(strstr(err.text, strerror(EIO)));
	ck_assert_int_eq(media->deep_flush(map, 5000, 1, &err), -EIO);
	msync_error = 0;
	media->unmap(map);
}
END_TEST

START_TEST(allocated_files_have_their_blocks)
{
	struct error err = {0};
	struct stat st;
	int fd = file_make("file", 0);

	ck_assert_int_eq(media_allocate(fd, 0, &err), 0);
	ck_assert_int_eq(media_allocate(fd, 1 << 20, &err), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, 1 << 20);
	ck_assert_int_ge(st.st_blocks * 512, 1 << 20);
	/* Less than there is changes nothing. */
	ck_assert_int_eq(media_allocate(fd, 4096, &err), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, 1 << 20);
	close(fd);
}
END_TEST

START_TEST(room_that_is_missing_is_named_and_nothing_is_kept)
{
	struct rlimit limit = {1 << 20, 1 << 20};
	struct error err = {0};
	struct stat st;
	int fd = file_make("file", 4096);

	ck_assert_int_eq(media_allocate(fd, 1ull << 43, &err), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(err.text, "8 TiB"));
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, 4096);
	ck_assert_int_eq(media_allocate(fd, UINT64_MAX, &err), -EFBIG);
	fallocate_error = ENOSPC;
	ck_assert_int_eq(media_allocate(fd, 1 << 20, &err), -ENOSPC);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, 4096);
	fallocate_error = 0;
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(media_allocate(fd, 2 << 20, &err), -EFBIG);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, 4096);
	close(fd);
}
END_TEST

static void populate_check(const char *name)
{
	struct media_map *map = map_make(name, BYTES);
	struct error err = {0};
	uint8_t *base = media->base(map);
	unsigned char resident[BYTES / 4096];
	static uint8_t expected[BYTES];
	struct stat st;

	fill(expected, BYTES / 2, 3);
	memcpy(base, expected, BYTES / 2); /* even a look at the rest would make its pages */
	ck_assert_int_eq(media_populate(map, &err), 0);
	ck_assert_int_eq(mincore(base, BYTES, resident), 0);
	for (size_t i = 0; i < sizeof(resident); i++)
		ck_assert_int_eq(resident[i] & 1, 1);
	ck_assert_int_eq(stat(scratch_path(name), &st), 0);
	ck_assert_int_ge(st.st_blocks * 512, BYTES);
	ck_assert(!memcmp(base, expected, BYTES));
	media->unmap(map);
}

START_TEST(populating_touches_every_page_and_changes_none)
{
	populate_check("by-kernel");
	madvise_error = EINVAL;
	populate_check("by-touch");
}
END_TEST

START_TEST(populating_a_file_that_was_cut_is_an_error)
{
	struct media_map *map = map_make("file", BYTES);
	struct error err = {0};

	ck_assert_int_eq(truncate(scratch_path("file"), 8192), 0);
	ck_assert_int_eq(media_populate(map, &err), -ENOSPC);
	madvise_error = EHWPOISON;
	ck_assert_int_eq(media_populate(map, &err), -EHWPOISON);
	media->unmap(map);
}
END_TEST

START_TEST(tmpfs_survives_process_death_only)
{
	enum media_survives survives = MEDIA_SURVIVES_POWER;
	struct error err = {0};
	char why[96];

	if (strncmp(scratch, "/dev/shm", 8))
		return;
	ck_assert_int_eq(media_judge(scratch, &survives, why, sizeof(why), &err), 0);
	ck_assert_int_eq(survives, MEDIA_SURVIVES_PROCESS);
	ck_assert_ptr_nonnull(strstr(why, "tmpfs"));
	ck_assert_str_eq(media_survives_text(survives), "process death");
	/* The probe left nothing. */
	ck_assert_int_eq(rmdir(scratch), 0);
	ck_assert_int_eq(mkdir(scratch, 0700), 0);
}
END_TEST

/* The variables are read when libpmem2 starts: so a new process runs one test. */
static void run_alone(const char *test)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	ck_assert_int_gt(n, 0);
	self[n] = '\0';
	setenv("CK_RUN_CASE", test, 1);
	setenv("CK_FORK", "no", 1);
	ck_assert_ptr_nonnull(freopen("/dev/null", "w", stdout)); /* its TAP is not ours */
	execl(self, self, (char *)NULL);
	ck_abort_msg("cannot start myself");
}

START_TEST(forced_granularity_makes_tmpfs_no_more_persistent)
{
	setenv("PMEM2_FORCE_GRANULARITY", "byte", 1);
	setenv("PMEM_IS_PMEM_FORCE", "1", 1);
	run_alone("tmpfs_survives_process_death_only");
}
END_TEST

START_TEST(every_granularity_copies_and_persists)
{
	static const char *const forced[] = {"byte", "cache_line", "page"};
	static const enum media_granularity expected[] = {MEDIA_BYTE, MEDIA_CACHE_LINE, MEDIA_PAGE};

	setenv("PMEM2_FORCE_GRANULARITY", forced[_i], 1);
	setenv("HOLDFAST_EXPECTED", (char[]){(char)('0' + (int)expected[_i]), '\0'}, 1);
	run_alone("granularity_is_as_forced");
}
END_TEST

START_TEST(large_ranges_are_flushed_by_threads)
{
	setenv("PMEM2_FORCE_GRANULARITY", "cache_line", 1);
	setenv("HOLDFAST_WATCHED", "yes", 1);
	run_alone("each_page_is_flushed_once");
}
END_TEST

/* By as many threads, and in as many portions, as there are. */
START_TEST(each_page_is_flushed_once)
{
	static const unsigned counts[] = {1, 1023, 1024, 1025, 8191, 8192, 12345, FLUSHED_PAGES - 1};
	struct media_map *map;
	struct error err = {0};

	if (!getenv("HOLDFAST_WATCHED"))
		return;
	map = map_make("file", FLUSHED_PAGES * 4096);
	flushed_base = media->base(map);
	for (unsigned i = 0; i < 3 * sizeof(counts) / sizeof(counts[0]); i++) {
		unsigned pages = counts[i / 3];

		media_set_threads(1 + i % 3 * 2);
		memset(flushed, 0, sizeof(flushed));
		ck_assert(!media->persist(map, 4096, pages * 4096 - 1, &err));
		for (unsigned page = 0; page < FLUSHED_PAGES; page++)
			ck_assert_uint_eq(flushed[page], page >= 1 && page <= pages);
	}
	media->unmap(map);
}
END_TEST

START_TEST(granularity_is_as_forced)
{
	const char *expected = getenv("HOLDFAST_EXPECTED");
	struct media_map *map = map_make("file", BYTES);
	enum media_granularity measured;

	ck_assert_int_eq(media_measure(scratch_path("."), &measured, NULL), 0);
	ck_assert_int_eq(measured, media->granularity(map));
	if (expected)
		ck_assert_int_eq(measured, atoi(expected));
	media->unmap(map);
	what_is_copied_and_persisted_is_in_the_file_fn(_i);
}
END_TEST

START_TEST(disks_survive_power_loss_and_unknown_ones_do_not)
{
	enum media_survives survives = MEDIA_SURVIVES_POWER;
	struct error err = {0};
	char why[96];

	/* /proc is no file system to make a file in; /nowhere is none at all. */
	ck_assert_int_lt(media_judge("/proc", &survives, why, sizeof(why), &err), 0);
	ck_assert_int_eq(media_judge("/nowhere", &survives, why, sizeof(why), &err), -ENOENT);
	if (!media_judge("/var/tmp", &survives, why, sizeof(why), &err) && !strncmp(why, "ext4", 4))
		ck_assert_int_eq(survives, MEDIA_SURVIVES_POWER);
	ck_assert_str_eq(media_survives_text(MEDIA_SURVIVES_REBOOT), "process death and reboot");
	ck_assert_str_eq(media_survives_text(MEDIA_SURVIVES_POWER), "process death, reboot and power loss");
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("media");

#define ADD(test) scratch_add(suite, #test, test, 60)
	ADD(what_is_copied_and_persisted_is_in_the_file);
	ADD(a_range_outside_of_the_mapping_is_refused);
	ADD(a_file_that_cannot_be_mapped_gives_an_error);
	ADD(mapping_takes_no_other_threads_memory);
	ADD(a_failed_write_back_is_an_error);
	ADD(allocated_files_have_their_blocks);
	ADD(room_that_is_missing_is_named_and_nothing_is_kept);
	ADD(populating_touches_every_page_and_changes_none);
	ADD(populating_a_file_that_was_cut_is_an_error);
	ADD(tmpfs_survives_process_death_only);
	ADD(forced_granularity_makes_tmpfs_no_more_persistent);
	ADD(granularity_is_as_forced);
	ADD(each_page_is_flushed_once);
	ADD(large_ranges_are_flushed_by_threads);
	ADD(disks_survive_power_loss_and_unknown_ones_do_not);
	scratch_add_loop(suite, "granularities", every_granularity_copies_and_persists, 3, 60);
	return suite;
}
