/* SPDX-License-Identifier: BSD-3-Clause */
/* track.c - what changed: a copy that takes over only what a collect returns is always the same as the
 * memory, and no block comes too often. Each test runs with each tracker that works here. */
#include "track/track.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/checksum.h"
#include "track/choose.h"
#include "track/tracker.h"
#include "track/uffd.h"
#include "track/uffd_abi.h"
#include "unit.h"

#define BLOCK 4096u
#define PAGE  4096u
#define KIB   1024u
#define MIB   (1024u * 1024u)

static const char *trackers[] = {"hash", "uffd"};
static bool uffd_works;
static int uffd_trial; /* what its trial returned */

static struct error err;
static struct track *track;
static char said[1024];
static int said_count;
static unsigned hashing; /* threads of the next track that begins */

/* A segment, and a copy of it that gets what a sender would send. */
struct mirror {
	struct track_segment *segment;
	uint8_t *at, *copy;
	uint64_t bytes;
	struct track_changes changes; /* of the last collect */
};

static void say(void *context, const char *message)
{
	ck_assert_ptr_eq(context, &said);
	snprintf(said, sizeof(said), "%s", message);
	said_count++;
}

static void begin(const char *tracker, uint64_t block_bytes)
{
	const struct track_options options = {block_bytes, tracker, hashing, say, &said};
	int rc = track_open(&options, &track, &err);

	ck_assert_msg(!rc, "%s", err.text);
	ck_assert_str_eq(track_name(track), tracker);
}

/* Nothing was said unless a test expects it. */
static void end(void)
{
	ck_assert_msg(!said_count, "%s", said);
	track_close(track);
}

static uint8_t *map(uint64_t bytes)
{
	uint8_t *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(at, MAP_FAILED);
	madvise(at, bytes, MADV_NOHUGEPAGE);
	return at;
}

static void map_again(uint8_t *at, uint64_t bytes, int flags)
{
	flags |= MAP_ANONYMOUS | MAP_FIXED;
	ck_assert_ptr_eq(mmap(at, bytes, PROT_READ | PROT_WRITE, flags, -1, 0), at);
}

static void mirror_add(struct mirror *mirror, uint8_t *at, uint64_t bytes, enum track_hint hint)
{
	*mirror = (struct mirror){.at = at, .bytes = bytes, .copy = malloc(bytes + 1)};
	ck_assert_msg(!track_add(track, "field", at, bytes, hint, &mirror->segment, &err), "%s", err.text);
	memset(mirror->copy, 0x55, bytes);
}

static void mirror_move(struct mirror *mirror, uint8_t *at, uint64_t bytes)
{
	ck_assert_msg(!track_move(mirror->segment, at, bytes, &err), "%s", err.text);
	mirror->copy = realloc(mirror->copy, bytes + 1);
	if (bytes > mirror->bytes)
		memset(mirror->copy + mirror->bytes, 0x55, bytes - mirror->bytes);
	mirror->at = at;
	mirror->bytes = bytes;
}

static void mirror_free(struct mirror *mirror)
{
	track_remove(mirror->segment);
	free(mirror->copy);
}

static void check_ranges(const struct mirror *mirror)
{
	const uint64_t block = track_block_bytes(track);
	uint64_t sum = 0;

	for (uint64_t i = 0; i < mirror->changes.count; i++) {
		const struct segment_range *range = &mirror->changes.ranges[i];

		ck_assert_uint_eq(range->offset % block, 0);
		ck_assert_uint_gt(range->bytes, 0);
		ck_assert_uint_le(range->bytes, mirror->bytes - range->offset);
		ck_assert(range->bytes % block == 0 || range->offset + range->bytes == mirror->bytes);
		ck_assert(i == 0 || range->offset > range[-1].offset + range[-1].bytes);
		sum += range->bytes;
	}
	ck_assert_uint_eq(sum, mirror->changes.bytes);
	ck_assert_uint_eq(mirror->changes.blocks, (mirror->bytes + block - 1) / block);
}

static void check_checksums(const struct mirror *mirror)
{
	const uint64_t block = track_block_bytes(track);
	uint64_t left;

	for (uint64_t i = 0; i < mirror->changes.blocks; i++) {
		left = mirror->bytes - i * block;
		ck_assert_uint_eq(mirror->changes.checksums[i],
				  checksum(mirror->at + i * block, left < block ? left : block));
	}
}

/* Collects and sends; returns how many bytes. */
static uint64_t send_changes(struct mirror *mirror)
{
	track_collect(mirror->segment, &mirror->changes);
	check_ranges(mirror);
	for (uint64_t i = 0; i < mirror->changes.count; i++)
		memcpy(mirror->copy + mirror->changes.ranges[i].offset,
		       mirror->at + mirror->changes.ranges[i].offset, mirror->changes.ranges[i].bytes);
	track_hash_rest(mirror->segment);
	return mirror->changes.bytes;
}

/* As send_changes(), and the copy is right afterwards. */
static uint64_t send_and_check(struct mirror *mirror)
{
	send_changes(mirror);
	ck_assert(!memcmp(mirror->copy, mirror->at, mirror->bytes));
	check_checksums(mirror);
	return mirror->changes.bytes;
}

static uint64_t checkpoint(struct mirror *mirror)
{
	uint64_t bytes = send_and_check(mirror);

	track_arm(track);
	return bytes;
}

/* The first is a full one; the second shows that nothing is left over. */
static void begin_mirror(struct mirror *mirror, uint8_t *at, uint64_t bytes)
{
	mirror_add(mirror, at, bytes, TRACK_NORMAL);
	ck_assert_uint_eq(checkpoint(mirror), bytes);
	ck_assert_uint_eq(checkpoint(mirror), 0);
}

/* A tracker that watches hashes no more than this; the other one hashes all. */
static void check_hashed(const struct mirror *mirror, uint64_t at_most)
{
	if (strcmp(track_method(mirror->segment), "uffd"))
		ck_assert_uint_eq(mirror->changes.hashed, mirror->changes.blocks);
	else
		ck_assert_uint_le(mirror->changes.hashed, at_most);
}

static uint64_t random_next(void)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

START_TEST(untouched_memory_is_not_sent_again)
{
	uint8_t *at = map(MIB);
	struct mirror mirror;

	begin(trackers[_i], BLOCK);
	memset(at, 1, MIB);
	begin_mirror(&mirror, at, MIB);
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(checkpoint(&mirror), 0);
		ck_assert_uint_eq(mirror.changes.count, 0);
		check_hashed(&mirror, 0);
	}
	ck_assert_str_eq(track_method(mirror.segment), trackers[_i]);
	mirror_free(&mirror);
	end();
	munmap(at, MIB);
}
END_TEST

START_TEST(one_byte_sends_its_block)
{
	static const uint64_t blocks[] = {4 * KIB, 64 * KIB, 4 * MIB};
	static const uint64_t skews[] = {0, 1, 16, PAGE - 1};
	static const int odd[] = {0, -1, -100, 1, 3000};
	uint8_t *all = map(10 * MIB);
	struct mirror mirror;
	uint64_t at, block, bytes, last;

	for (size_t b = 0; b < 3; b++) {
		for (size_t s = 0; s < 4 * 5; s++) {
			block = blocks[b];
			if (block > MIB && s % 7)
				continue; /* it takes long enough */
			bytes = 2 * block + 128 * KIB + (uint64_t)odd[s % 5];
			last = (bytes - 1) / block * block; /* where the last block begins */
			begin(trackers[_i], block);
			begin_mirror(&mirror, all + skews[s / 5], bytes);
			/* the first and last bytes, and those on both sides of borders */
			const uint64_t places[] = {0,	      1,	    PAGE - 1,	  PAGE,
						   block - 1, block,	    last - 1,	  last,
						   bytes / 2, bytes - PAGE, bytes - 2, bytes - 1};
			for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
				at = places[i];
				mirror.at[at]++;
				checkpoint(&mirror);
				ck_assert_uint_eq(mirror.changes.count, 1);
				ck_assert_uint_eq(mirror.changes.ranges[0].offset, at / block * block);
				ck_assert_uint_le(mirror.changes.bytes, block);
				check_hashed(&mirror, 6); /* a page's, and those of each edge */
			}
			mirror_free(&mirror);
			end();
		}
	}
	munmap(all, 10 * MIB);
}
END_TEST

/* Of segments of which each thread has a share, and no thread all; the last share is not a whole one. */
START_TEST(several_threads_find_what_one_does)
{
	const uint64_t bytes = 13 * MIB + 77;
	uint8_t *at = map(bytes);
	uint64_t blocks = 0, block;
	struct mirror mirror;
	bool *changed;

	hashing = 3;
	begin(trackers[_i], BLOCK);
	begin_mirror(&mirror, at, bytes);
	changed = calloc(bytes / BLOCK + 1, sizeof(*changed));
	for (int round = 0; round < 4; round++) {
		memset(changed, false, bytes / BLOCK + 1);
		blocks = 0;
		/* a few, then so many that a tracker that watches shares them out as well */
		for (int i = 0; i < (round < 2 ? 40 : 3000); i++) {
			block = random_next() % (bytes / BLOCK); /* not the last one, which is short */
			blocks += !changed[block];
			changed[block] = true;
			at[block * BLOCK + random_next() % BLOCK]++;
		}
		/* a byte may have come round to what it was */
		ck_assert_uint_le(checkpoint(&mirror), blocks * BLOCK);
		check_hashed(&mirror, blocks + 6);
	}
	at[bytes - 1]++;
	ck_assert_uint_eq(checkpoint(&mirror), 77);
	ck_assert_uint_eq(checkpoint(&mirror), 0);
	free(changed);
	mirror_free(&mirror);
	end();
	munmap(at, bytes);
}
END_TEST

START_TEST(small_segments)
{
	static const uint64_t sizes[] = {1,	   2,	     100,	   PAGE - 1,	 PAGE,	   PAGE + 1,
					 3 * PAGE, 64 * KIB, 64 * KIB + 1, 68 * KIB - 1, 100 * KIB};
	uint8_t *all = map(MIB);
	struct track_changes changes;
	struct track_segment *empty;
	struct mirror mirror;

	begin(trackers[_i], 0);
	ck_assert_uint_eq(track_block_bytes(track), 64 * KIB);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (uint64_t skew = 0; skew < 3 * PAGE; skew += 1234) {
			begin_mirror(&mirror, all + skew, sizes[i]);
			mirror.at[sizes[i] - 1]++;
			ck_assert_uint_gt(checkpoint(&mirror), 0);
			mirror.at[0]++;
			ck_assert_uint_gt(checkpoint(&mirror), 0);
			mirror_free(&mirror);
		}
	}
	ck_assert_int_eq(track_add(track, "empty", NULL, 0, TRACK_NORMAL, &empty, &err), 0);
	track_collect(empty, &changes);
	ck_assert_uint_eq(changes.count, 0);
	ck_assert_uint_eq(changes.blocks, 0);
	track_arm(track);
	end();
	munmap(all, MIB);
}
END_TEST

/* What a model that remembers the reference's bytes says is exactly what is sent. */
static void check_against_model(const struct mirror *mirror, const uint8_t *reference)
{
	const uint64_t block = track_block_bytes(track);
	uint64_t expected = 0, size;

	for (uint64_t offset = 0; offset < mirror->bytes; offset += block) {
		size = mirror->bytes - offset < block ? mirror->bytes - offset : block;
		if (memcmp(mirror->at + offset, reference + offset, size))
			expected += size;
	}
	ck_assert_uint_eq(mirror->changes.bytes, expected);
}

START_TEST(random_writes_are_found_exactly)
{
	const uint64_t bytes = 160 * KIB + 77;
	uint8_t *all = map(MIB), *reference = malloc(bytes);
	struct mirror mirror;
	uint64_t offset;

	begin(trackers[_i], BLOCK);
	begin_mirror(&mirror, all + 33, bytes);
	memcpy(reference, mirror.at, bytes);
	for (unsigned rounds = unit_rounds(50000, 2000, 200); rounds; rounds--) {
		for (uint64_t n = random_next() % 12; n; n--) {
			offset = random_next() % bytes;
			switch (random_next() % 5) {
			case 0: /* the value that is there */
				mirror.at[offset] = *(volatile uint8_t *)&mirror.at[offset];
				break;
			case 1: /* back to what was sent */
				mirror.at[offset] = reference[offset];
				break;
			case 2: /* outside, on either side */
				all[offset % 33]++;
				all[33 + bytes + offset % 99]++;
				break;
			case 3:
				memset(mirror.at + offset, (int)n, (bytes - offset) / 16);
				break;
			default:
				mirror.at[offset]++;
			}
		}
		send_and_check(&mirror);
		check_against_model(&mirror, reference);
		if (random_next() % 3) {
			track_arm(track);
			memcpy(reference, mirror.at, bytes);
		} else { /* the checkpoint failed, and what it sent is gone */
			memcpy(mirror.copy, reference, bytes);
		}
	}
	mirror_free(&mirror);
	free(reference);
	end();
	munmap(all, MIB);
}
END_TEST

START_TEST(a_failed_checkpoint_forgets_nothing)
{
	uint8_t *at = map(MIB);
	struct mirror mirror;

	begin(trackers[_i], BLOCK);
	begin_mirror(&mirror, at, MIB);
	at[10 * BLOCK]++;
	ck_assert_uint_eq(send_and_check(&mirror), BLOCK);
	memset(mirror.copy + 10 * BLOCK, 0x66, BLOCK); /* what was sent is lost */
	at[20 * BLOCK]++;
	ck_assert_uint_eq(send_and_check(&mirror), 2 * BLOCK);
	memset(mirror.copy + 20 * BLOCK, 0x66, BLOCK);
	ck_assert_uint_eq(checkpoint(&mirror), 2 * BLOCK);
	ck_assert_uint_eq(checkpoint(&mirror), 0);
	mirror_free(&mirror);

	/* and the same when it is the first */
	mirror_add(&mirror, at, MIB, TRACK_NORMAL);
	ck_assert_uint_eq(send_and_check(&mirror), MIB);
	ck_assert_uint_eq(checkpoint(&mirror), MIB);
	ck_assert_uint_eq(checkpoint(&mirror), 0);
	mirror_free(&mirror);
	end();
	munmap(at, MIB);
}
END_TEST

START_TEST(a_write_between_collect_and_arm_is_found)
{
	uint8_t *at = map(MIB);
	struct mirror mirror;

	begin(trackers[_i], BLOCK);
	begin_mirror(&mirror, at, MIB);
	at[5]++;
	ck_assert_uint_eq(send_and_check(&mirror), BLOCK);
	at[5]++;
	at[30 * BLOCK]++;
	track_arm(track);
	ck_assert_uint_eq(checkpoint(&mirror), 2 * BLOCK);
	mirror_free(&mirror);
	end();
	munmap(at, MIB);
}
END_TEST

START_TEST(checksums_that_nobody_filled_in_are_changes)
{
	uint8_t *at = map(MIB);
	struct mirror mirror;

	begin(trackers[_i], BLOCK);
	mirror_add(&mirror, at, MIB, TRACK_NORMAL);
	track_collect(mirror.segment, &mirror.changes);
	ck_assert_uint_eq(mirror.changes.hashed, 0);
	for (uint64_t i = 1; i < mirror.changes.blocks; i++) {
		ck_assert_uint_eq(mirror.changes.checksums[i], 0);
		mirror.changes.checksums[i] = checksum(at + i * BLOCK, BLOCK);
	}
	track_arm(track);
	ck_assert_uint_eq(send_changes(&mirror), BLOCK);
	track_arm(track);
	ck_assert_uint_eq(send_changes(&mirror), 0);
	track_forget(track);
	ck_assert_uint_eq(send_changes(&mirror), MIB);
	track_forget(track);
	track_arm(track); /* of nothing */
	ck_assert_uint_eq(checkpoint(&mirror), MIB);
	ck_assert_uint_eq(checkpoint(&mirror), 0);
	mirror_free(&mirror);
	end();
	munmap(at, MIB);
}
END_TEST

START_TEST(a_segment_added_before_arm_is_all_changed)
{
	uint8_t *at = map(2 * MIB);
	struct mirror one, two;

	begin(trackers[_i], BLOCK);
	begin_mirror(&one, at, MIB);
	send_and_check(&one);
	mirror_add(&two, at + MIB, MIB, TRACK_NORMAL);
	track_arm(track);
	ck_assert_uint_eq(checkpoint(&one), 0);
	ck_assert_uint_eq(checkpoint(&two), MIB);
	ck_assert_uint_eq(checkpoint(&two), 0);
	mirror_free(&one);
	mirror_free(&two);
	end();
	munmap(at, 2 * MIB);
}
END_TEST

START_TEST(what_the_kernel_writes_is_found)
{
	uint8_t *at = map(MIB), text[3 * PAGE];
	struct mirror mirror;
	int pair[2], zero;

	begin(trackers[_i], BLOCK);
	memset(at, 1, MIB);
	begin_mirror(&mirror, at, MIB);
	zero = open("/dev/zero", O_RDONLY);
	ck_assert_int_eq(read(zero, at + 5 * PAGE + 7, 2 * PAGE), 2 * PAGE);
	close(zero);
	ck_assert_uint_eq(checkpoint(&mirror), 3 * PAGE);

	memset(text, 'x', sizeof(text));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(send(pair[0], text, sizeof(text), 0), sizeof(text));
	ck_assert_int_eq(recv(pair[1], at + 100 * PAGE - 1, 2, MSG_WAITALL), 2);
	ck_assert_uint_eq(checkpoint(&mirror), 2 * PAGE);
	ck_assert_int_eq(recv(pair[1], at + 200 * PAGE, 1, 0), 1);
	ck_assert_uint_eq(checkpoint(&mirror), PAGE);
	close(pair[0]);
	close(pair[1]);
	mirror_free(&mirror);
	end();
	munmap(at, MIB);
}
END_TEST

static uint8_t *shared_at;
static int stop;

/* Its memory is copied meanwhile. */
UNIT_UNWATCHED static void *write_counters(void *argument)
{
	uint64_t lane = (uintptr_t)argument, n = 0;

	/* each thread its own bytes, many to a block; values only rise */
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		uint64_t offset = (n * 37 % 2000) * 512 + lane * 8;

		*(volatile uint64_t *)(shared_at + offset) = ++n;
	}
	return NULL;
}

START_TEST(what_other_threads_write_is_found)
{
	pthread_t threads[3];
	struct mirror mirror;

	shared_at = map(MIB);
	begin(trackers[_i], BLOCK);
	/* From the second on a block is hashed before it is copied: what is written in between shows in the next round. */
	begin_mirror(&mirror, shared_at, MIB);
	for (uintptr_t i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, write_counters, (void *)i), 0);
	for (int round = 0; round < 100; round++) {
		send_changes(&mirror);
		if (round % 3)
			track_arm(track);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	checkpoint(&mirror);
	ck_assert_uint_eq(checkpoint(&mirror), 0);
	mirror_free(&mirror);
	end();
	munmap(shared_at, MIB);
}
END_TEST

/* Descriptors of this process whose link has this in it. */
static int count_descriptors(const char *what)
{
	char path[64], link[256];
	struct dirent *entry;
	ssize_t length;
	int count = 0;
	DIR *directory = opendir("/proc/self/fd");

	while ((entry = readdir(directory))) {
		snprintf(path, sizeof(path), "/proc/self/fd/%.20s", entry->d_name);
		length = readlink(path, link, sizeof(link) - 1);
		if (length > 0) {
			link[length] = '\0';
			count += strstr(link, what) != NULL;
		}
	}
	closedir(directory);
	return count;
}

/* In the child: the descriptors are gone, and its own memory is what it tracks. */
static int child_of_fork(struct mirror *mirror)
{
	if (count_descriptors("userfaultfd") || count_descriptors("pagemap"))
		return 1;
	mirror->at[40 * BLOCK]++;
	send_changes(mirror);
	if (mirror->changes.bytes != 2 * BLOCK || memcmp(mirror->copy, mirror->at, mirror->bytes))
		return 2;
	track_arm(track);
	send_changes(mirror);
	if (mirror->changes.bytes)
		return 3;
	mirror_free(mirror);
	track_close(track);
	return 0;
}

static void wait_for(pid_t child)
{
	int status;

	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}

START_TEST(a_fork_disturbs_nobody)
{
	int before_uffd = count_descriptors("userfaultfd");
	uint8_t *at = map(MIB);
	struct mirror mirror;
	pid_t child;

	begin(trackers[_i], BLOCK);
	ck_assert_int_eq(count_descriptors("userfaultfd"), before_uffd + (_i == 1));
	begin_mirror(&mirror, at, MIB);
	at[20 * BLOCK]++;
	child = fork();
	if (!child)
		_exit(child_of_fork(&mirror));
	wait_for(child);
	at[30 * BLOCK]++;
	ck_assert_uint_eq(checkpoint(&mirror), 2 * BLOCK);
	check_hashed(&mirror, 2);
	ck_assert_uint_eq(checkpoint(&mirror), 0);

	/* Without handlers, as by vfork: what the child does to memory of its own is not the parent's. */
	at[50 * BLOCK]++;
	child = (pid_t)syscall(SYS_fork);
	if (!child) {
		at[60 * BLOCK]++;
		track_collect(mirror.segment, &mirror.changes);
		track_remove(mirror.segment);
		_exit(mirror.changes.bytes != 2 * BLOCK);
	}
	wait_for(child);
	ck_assert_uint_eq(checkpoint(&mirror), BLOCK);
	at[51 * BLOCK]++;
	ck_assert_uint_eq(checkpoint(&mirror), BLOCK);
	check_hashed(&mirror, 1);
	mirror_free(&mirror);
	end();
	munmap(at, MIB);
}
END_TEST

START_TEST(memory_that_is_mapped_anew_is_looked_at)
{
	uint8_t *at = map(MIB);
	struct mirror mirror;

	begin(trackers[_i], BLOCK);
	memset(at, 1, MIB);
	begin_mirror(&mirror, at, MIB);

	/* a part of it, as zeros; and again, so that what is watched anew is seen to be */
	map_again(at + 7 * BLOCK, 3 * BLOCK, MAP_PRIVATE);
	ck_assert_uint_eq(checkpoint(&mirror), 3 * BLOCK);
	check_hashed(&mirror, 3);
	at[8 * BLOCK]++;
	ck_assert_uint_eq(checkpoint(&mirror), BLOCK);
	check_hashed(&mirror, 1);

	/* all of it; what has the same content as before need not be sent */
	munmap(at, MIB);
	map_again(at, MIB, MAP_PRIVATE);
	memset(at, 1, MIB / 2);
	ck_assert_uint_eq(checkpoint(&mirror), MIB / 2 + 3 * BLOCK);
	ck_assert_uint_eq(checkpoint(&mirror), 0);
	at[MIB - 1]++;
	ck_assert_uint_eq(checkpoint(&mirror), BLOCK);
	check_hashed(&mirror, 1);

	/* other memory, moved into its place */
	uint8_t *other = map(2 * BLOCK);

	memset(other, 9, 2 * BLOCK);
	ck_assert_ptr_eq(mremap(other, 2 * BLOCK, 2 * BLOCK, MREMAP_MAYMOVE | MREMAP_FIXED, at + 64 * BLOCK),
			 at + 64 * BLOCK);
	ck_assert_uint_eq(checkpoint(&mirror), 2 * BLOCK);
	at[65 * BLOCK]++;
	ck_assert_uint_eq(checkpoint(&mirror), BLOCK);
	check_hashed(&mirror, 1);
	mirror_free(&mirror);
	end();
	munmap(at, MIB);
}
END_TEST

START_TEST(memory_that_is_emptied_is_sent)
{
	uint8_t *at = map(4 * MIB);
	struct mirror mirror;

	begin(trackers[_i], BLOCK);
	memset(at, 1, 4 * MIB);
	begin_mirror(&mirror, at, 4 * MIB);
	ck_assert_int_eq(madvise(at + 5 * BLOCK, BLOCK, MADV_DONTNEED), 0);
	ck_assert_uint_eq(checkpoint(&mirror), BLOCK);
	ck_assert_uint_eq(checkpoint(&mirror), 0);
	check_hashed(&mirror, 0);
	ck_assert_int_eq(madvise(at, 4 * MIB, MADV_DONTNEED), 0);
	ck_assert_uint_eq(checkpoint(&mirror), 4 * MIB - BLOCK);
	ck_assert_uint_eq(checkpoint(&mirror), 0);
	check_hashed(&mirror, 0);
	at[MIB]++;
	ck_assert_uint_eq(checkpoint(&mirror), BLOCK);
	mirror_free(&mirror);
	end();
	munmap(at, 4 * MIB);
}
END_TEST

START_TEST(memory_never_touched)
{
	const uint64_t bytes = 64 * MIB;
	uint8_t *at = map(bytes);
	struct track_changes changes;
	struct mirror mirror;

	begin(trackers[_i], 0);
	mirror_add(&mirror, at, bytes, TRACK_NORMAL);
	/* The set is sent without our reading it: the pages stay untouched. */
	track_collect(mirror.segment, &changes);
	ck_assert_uint_eq(changes.bytes, bytes);
	memset(mirror.copy, 0, bytes);
	for (uint64_t i = 0; i < changes.blocks; i++)
		changes.checksums[i] = checksum(mirror.copy, 64 * KIB);
	track_arm(track);
	track_collect(mirror.segment, &mirror.changes);
	ck_assert_uint_eq(mirror.changes.bytes, 0);
	check_hashed(&mirror, 0);
	at[bytes / 2]++;
	ck_assert_uint_eq(checkpoint(&mirror), 64 * KIB);
	check_hashed(&mirror, 1);
	mirror_free(&mirror);
	end();
	munmap(at, bytes);
}
END_TEST

START_TEST(huge_pages)
{
	uint8_t *all = map(8 * MIB), *at = (uint8_t *)(((uintptr_t)all + 2 * MIB - 1) & ~(2 * MIB - 1ul));
	struct mirror mirror;

	begin(trackers[_i], BLOCK);
	madvise(at, 4 * MIB, MADV_HUGEPAGE);
	memset(at, 1, 4 * MIB);
	begin_mirror(&mirror, at, 4 * MIB);
	for (int i = 0; i < 3; i++) {
		at[3 * MIB]++;
		ck_assert_uint_eq(checkpoint(&mirror), BLOCK);
		check_hashed(&mirror, 512);
	}
	ck_assert_uint_eq(checkpoint(&mirror), 0);
	check_hashed(&mirror, 0);
	mirror_free(&mirror);

	/* a segment that covers them in part */
	begin_mirror(&mirror, at + MIB + 100, 2 * MIB);
	at[MIB + MIB / 2]++;
	at[0]++;
	ck_assert_uint_eq(checkpoint(&mirror), BLOCK);
	ck_assert_uint_eq(checkpoint(&mirror), 0);
	mirror_free(&mirror);
	end();
	munmap(all, 8 * MIB);
}
END_TEST

START_TEST(a_segment_that_moves)
{
	uint8_t *at = malloc(MIB + 100);
	struct mirror mirror;
	uint64_t bytes;

	begin(trackers[_i], BLOCK);
	memset(at, 1, MIB + 100);
	begin_mirror(&mirror, at, MIB + 100);
	for (int i = 0; i < 40; i++) {
		bytes = MIB + random_next() % (2 * MIB);
		at = realloc(at, bytes);
		if (bytes > mirror.bytes)
			memset(at + mirror.bytes, i, bytes - mirror.bytes);
		at[500 * KIB + (unsigned)i]++;
		uint64_t grown = bytes > mirror.bytes ? bytes - mirror.bytes : 0;
		bool fails = i % 4 == 3;

		mirror_move(&mirror, at, bytes);
		if (fails)
			send_and_check(&mirror);
		ck_assert_uint_le(checkpoint(&mirror), grown + 3 * BLOCK);
		at[bytes - 1]++;
		ck_assert_uint_gt(checkpoint(&mirror), 0);
		ck_assert_uint_eq(checkpoint(&mirror), 0);
		check_hashed(&mirror, 4);
	}
	/* the same again moves nothing; other memory of the same size is compared */
	mirror_move(&mirror, at, mirror.bytes);
	ck_assert_uint_eq(checkpoint(&mirror), 0);
	check_hashed(&mirror, 4);
	uint8_t *other = malloc(mirror.bytes);

	memcpy(other, at, mirror.bytes);
	free(at);
	other[0]++;
	mirror_move(&mirror, other, mirror.bytes);
	ck_assert_uint_eq(checkpoint(&mirror), BLOCK);
	ck_assert_uint_eq(checkpoint(&mirror), 0);
	mirror_free(&mirror);
	free(other);
	end();
}
END_TEST

START_TEST(a_move_between_collect_and_arm)
{
	uint8_t *at = map(MIB), *new = map(2 * MIB);
	struct mirror mirror;

	begin(trackers[_i], BLOCK);
	begin_mirror(&mirror, at, MIB - 5);
	at[3]++;
	send_and_check(&mirror);
	memcpy(new, at, MIB);
	mirror_move(&mirror, new, 2 * MIB);
	track_arm(track);
	ck_assert_uint_eq(checkpoint(&mirror), MIB + BLOCK); /* the last was short */
	mirror_move(&mirror, new, MIB - 5);
	ck_assert_uint_eq(checkpoint(&mirror), BLOCK - 5);
	mirror_free(&mirror);
	end();
	munmap(at, MIB);
	munmap(new, 2 * MIB);
}
END_TEST

START_TEST(hints)
{
	uint8_t *at = map(2 * MIB);
	struct mirror nic, gone;
	uint64_t before;

	begin(trackers[_i], BLOCK);
	mirror_add(&nic, at, MIB, TRACK_NIC_WRITTEN);
	mirror_add(&gone, at + MIB, MIB, TRACK_VOLATILE);
	ck_assert_uint_eq(send_and_check(&nic), MIB);
	ck_assert_uint_eq(send_and_check(&gone), MIB);
	track_arm(track);
	ck_assert_str_eq(track_method(nic.segment), "hash");
	ck_assert_str_eq(track_method(gone.segment), "volatile");
	for (int i = 0; i < 3; i++) {
		at[17]++;
		ck_assert_uint_eq(send_and_check(&nic), BLOCK);
		ck_assert_uint_eq(nic.changes.hashed, nic.changes.blocks);
		before = gone.changes.bytes;
		ck_assert_uint_eq(send_and_check(&gone), before);
		ck_assert_uint_eq(gone.changes.hashed, 0);
		ck_assert_uint_eq(gone.changes.count, 1);
		track_arm(track);
	}
	mirror_free(&nic);
	mirror_free(&gone);
	end();
	munmap(at, 2 * MIB);
}
END_TEST

static void expect_said(const char *what)
{
	if (!strcmp(track_name(track), "hash")) {
		ck_assert_int_eq(said_count, 0);
		return;
	}
	ck_assert_int_eq(said_count, 1);
	ck_assert_msg(strstr(said, what), "%s", said);
	ck_assert_msg(strstr(said, "segment field "), "%s", said);
	said_count = 0;
}

/* Through a second mapping of the same memory nobody's page table is written but that one's. */
START_TEST(shared_memory_and_files_are_hashed)
{
	static const int flags[] = {MAP_SHARED, MAP_PRIVATE};
	static const char *const reasons[] = {"it is shared memory", "it is a mapping of /memfd:field"};
	struct mirror mirror;
	uint8_t *at, *other;
	int fd;

	for (int f = 0; f < 2; f++) {
		fd = memfd_create("field", 0);
		ck_assert_int_eq(ftruncate(fd, MIB), 0);
		at = mmap(NULL, MIB, PROT_READ | PROT_WRITE, flags[f], fd, 0);
		other = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		begin(trackers[_i], BLOCK);
		begin_mirror(&mirror, at, MIB);
		expect_said(reasons[f]);
		for (int i = 0; i < 3; i++) {
			other[5 * BLOCK]++;
			at[9 * BLOCK]++;
			ck_assert_uint_eq(checkpoint(&mirror), 2 * BLOCK);
		}
		ck_assert_str_eq(track_method(mirror.segment), "hash");
		mirror_free(&mirror);
		end();
		munmap(at, MIB);
		munmap(other, MIB);
		close(fd);
	}
}
END_TEST

START_TEST(memory_that_becomes_shared_is_hashed)
{
	uint8_t *at = map(MIB);
	struct mirror mirror;

	begin(trackers[_i], BLOCK);
	begin_mirror(&mirror, at, MIB);
	map_again(at + MIB / 2, 2 * BLOCK, MAP_SHARED);
	at[MIB / 2] = 1;
	at[BLOCK] = 1;
	ck_assert_uint_eq(checkpoint(&mirror), 2 * BLOCK);
	expect_said("it is shared memory");
	at[MIB / 2]++;
	at[2 * BLOCK]++;
	ck_assert_uint_eq(checkpoint(&mirror), 2 * BLOCK);
	ck_assert_str_eq(track_method(mirror.segment), "hash");
	mirror_free(&mirror);
	end();
	munmap(at, MIB);
}
END_TEST

START_TEST(segments_that_share_pages)
{
	uint8_t *at = map(4 * MIB);
	struct mirror left, right, inside;

	begin(trackers[_i], BLOCK);
	/* neighbours on one page */
	begin_mirror(&left, at, MIB + 1000);
	begin_mirror(&right, at + MIB + 1000, MIB);
	for (int i = 0; i < 6; i++) {
		left.at[left.bytes - 1]++;
		right.at[0]++;
		ck_assert_uint_gt(send_and_check(i % 2 ? &left : &right), 0);
		ck_assert_uint_gt(send_and_check(i % 2 ? &right : &left), 0);
		track_arm(track);
	}
	ck_assert_str_eq(track_method(left.segment), trackers[_i]);
	ck_assert_str_eq(track_method(right.segment), trackers[_i]);

	/* one in another */
	begin_mirror(&inside, at + BLOCK, MIB / 2);
	expect_said("it shares memory with segment field");
	for (int i = 0; i < 6; i++) {
		at[64 * BLOCK]++;
		ck_assert_uint_eq(send_and_check(i % 2 ? &inside : &left), BLOCK);
		ck_assert_uint_eq(send_and_check(i % 2 ? &left : &inside), BLOCK);
		track_arm(track);
	}
	mirror_free(&left);
	mirror_free(&right);
	mirror_free(&inside);
	end();
	munmap(at, 4 * MIB);
}
END_TEST

START_TEST(many_segments_come_and_go)
{
	struct mirror mirrors[40] = {0};
	uint8_t *at[40];
	uint64_t bytes;

	begin(trackers[_i], BLOCK);
	for (int round = 0; round < 250; round++) {
		int n = (int)(random_next() % 40);

		if (mirrors[n].segment) {
			mirror_free(&mirrors[n]);
			free(at[n]);
			mirrors[n].segment = NULL;
		} else {
			bytes = 1 + random_next() % (200 * KIB);
			at[n] = calloc(1, bytes);
			mirror_add(&mirrors[n], at[n], bytes, TRACK_NORMAL);
		}
		for (int i = 0; i < 40; i++) {
			if (!mirrors[i].segment)
				continue;
			if (random_next() % 4 == 0)
				mirrors[i].at[random_next() % mirrors[i].bytes]++;
			send_changes(&mirrors[i]);
		}
		for (int i = 0; i < 40; i++)
			if (mirrors[i].segment)
				ck_assert(!memcmp(mirrors[i].copy, mirrors[i].at, mirrors[i].bytes));
		if (round % 3)
			track_arm(track);
	}
	for (int i = 0; i < 40; i++) {
		if (mirrors[i].segment) {
			mirror_free(&mirrors[i]);
			free(at[i]);
		}
	}
	end();
}
END_TEST

/* Whether the kernel's flags of the mapping at this address have write protection by userfaultfd. */
static bool watched(const uint8_t *at)
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	uintptr_t low, high, here = (uintptr_t)at;
	bool found = false, result = false;
	char line[512];

	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx ", &low, &high) == 2)
			found = low <= here && here < high;
		if (found && !strncmp(line, "VmFlags:", 8))
			result = strstr(line, " uw") != NULL;
	}
	fclose(maps);
	return result;
}

START_TEST(only_what_is_a_segment_is_watched)
{
	uint8_t *at = map(4 * MIB);
	struct mirror one, two;

	begin("uffd", BLOCK);
	mirror_add(&one, at, MIB, TRACK_NORMAL);
	ck_assert(!watched(at)); /* the application fills it first */
	checkpoint(&one);
	begin_mirror(&two, at + 2 * MIB, MIB);
	ck_assert(watched(at));
	ck_assert(watched(at + 2 * MIB));
	ck_assert(!watched(at + MIB));
	mirror_free(&one);
	ck_assert(!watched(at));
	mirror_move(&two, at + MIB, MIB);
	ck_assert(!watched(at + 2 * MIB));
	checkpoint(&two);
	ck_assert(watched(at + MIB));
	free(two.copy);
	end();
	ck_assert(!watched(at + MIB));
	munmap(at, 4 * MIB);
}
END_TEST

START_TEST(memory_that_another_userfaultfd_has_is_hashed)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC};
	int uffd = (int)syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY | O_CLOEXEC);
	uint8_t *at = map(MIB);
	struct uffdio_register range = {.range = {(uintptr_t)at + MIB / 2, BLOCK},
					.mode = UFFDIO_REGISTER_MODE_WP};
	struct mirror mirror;

	ck_assert_int_eq(ioctl(uffd, UFFDIO_API, &api), 0);
	ck_assert_int_eq(ioctl(uffd, UFFDIO_REGISTER, &range), 0);
	begin("uffd", BLOCK);
	begin_mirror(&mirror, at, MIB);
	expect_said("something else in this process has");
	at[MIB - 1]++;
	at[MIB / 2]++;
	ck_assert_uint_eq(checkpoint(&mirror), 2 * BLOCK);
	mirror_free(&mirror);
	end();
	close(uffd);
	munmap(at, MIB);
}
END_TEST

START_TEST(without_userfaultfd_everything_is_hashed)
{
	struct track_options options = {.tracker = "uffd"};
	struct rlimit limit, before;
	int unused = open("/dev/null", O_RDONLY);

	/* no descriptor to be had */
	ck_assert_int_ge(unused, 0);
	close(unused);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = (rlim_t)unused;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_lt(track_open(&options, &track, &err), 0);
	ck_assert_msg(strstr(err.text, "tracker uffd does not work here; take auto or hash: "), "%s", err.text);
	options.tracker = "auto";
	ck_assert_int_eq(track_open(&options, &track, &err), 0);
	ck_assert_str_eq(track_name(track), "hash");
	ck_assert_msg(strstr(track_reason(track), "uffd does not work here: "), "%s", track_reason(track));
	track_close(track);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
}
END_TEST

/* The kernel may lack it or refuse it, but where it is there, the trial must pass. */
START_TEST(uffd_is_right_where_it_is_there)
{
	ck_assert_msg(uffd_trial != -EIO, "%s", err.text);
}
END_TEST

/* Which of these a kernel returns for a page that was emptied differs. */
START_TEST(what_is_not_known_to_be_clean_is_not)
{
	ck_assert_int_eq(uffd_state(PAGE_IS_WPALLOWED | PAGE_IS_PRESENT), UFFD_CLEAN);
	ck_assert_int_eq(uffd_state(PAGE_IS_WPALLOWED | PAGE_IS_SWAPPED), UFFD_CLEAN);
	ck_assert_int_eq(uffd_state(PAGE_IS_WPALLOWED | PAGE_IS_PRESENT | PAGE_IS_WRITTEN), UFFD_WRITTEN);
	ck_assert_int_eq(uffd_state(PAGE_IS_WPALLOWED | PAGE_IS_SWAPPED | PAGE_IS_WRITTEN), UFFD_WRITTEN);
	ck_assert_int_eq(uffd_state(PAGE_IS_WPALLOWED | PAGE_IS_WRITTEN), UFFD_WRITTEN);
	ck_assert_int_eq(uffd_state(PAGE_IS_WPALLOWED), UFFD_EMPTIED);
	ck_assert_int_eq(uffd_state(PAGE_IS_PRESENT), UFFD_LOST);
	ck_assert_int_eq(uffd_state(PAGE_IS_PRESENT | PAGE_IS_WRITTEN), UFFD_LOST);
	ck_assert_int_eq(uffd_state(0), UFFD_LOST);
}
END_TEST

START_TEST(the_choice)
{
	static const struct track_costs vm = {200, 2, 20000}, metal = {200, 2, 1000};
	static const struct track_costs slow_scan = {200, 150, 10};
	struct track_options options = {.tracker = "auto"};

	ck_assert(!tracker_pays(&vm));
	ck_assert(tracker_pays(&metal));
	ck_assert(!tracker_pays(&slow_scan));
	for (int i = 0; i < 2; i++) {
		ck_assert_msg(!track_open(&options, &track, &err), "%s", err.text);
		if (strcmp(track_name(track), "hash"))
			ck_assert(uffd_works && !strcmp(track_name(track), "uffd"));
		ck_assert_msg(strstr(track_reason(track), "uffd"), "%s", track_reason(track));
		track_close(track);
		options.tracker = NULL;
	}
	track_close(NULL);
	track_remove(NULL);
}
END_TEST

START_TEST(what_is_wrong_is_refused)
{
	static const uint64_t blocks[] = {1, 2048, 4097, 12288, 8 * MIB, UINT64_MAX, 1ull << 63};
	struct track_options options = {.tracker = "magic"};
	struct track_segment *segment;
	static uint8_t byte;

	ck_assert_int_eq(track_open(&options, &track, &err), -EINVAL);
	ck_assert_msg(strstr(err.text, "\"magic\"; there are auto, hash and uffd"), "%s", err.text);
	options.tracker = "hash";
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		options.block_bytes = blocks[i];
		ck_assert_int_eq(track_open(&options, &track, &err), -EINVAL);
	}
	begin("hash", BLOCK);
	ck_assert_int_eq(track_add(track, "x", NULL, 1, TRACK_NORMAL, &segment, &err), -EINVAL);
	ck_assert_int_eq(track_add(track, "x", &byte, UINT64_MAX, TRACK_NORMAL, &segment, &err), -EINVAL);
	ck_assert_int_eq(track_add(track, "x", &byte, 1, TRACK_NORMAL, &segment, &err), 0);
	ck_assert_int_eq(track_move(segment, &byte, UINT64_MAX, &err), -EINVAL);
	end();
}
END_TEST

static void add_for_each(Suite *suite, const char *name, const TTest *test)
{
	TCase *tcase = tcase_create(name);

	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, test, 0, uffd_works ? 2 : 1);
	suite_add_tcase(suite, tcase);
}

static void add_uffd_only(Suite *suite)
{
	if (uffd_works) {
		unit_add(suite, "uffd", only_what_is_a_segment_is_watched, 30);
		unit_add(suite, "uffd", memory_that_another_userfaultfd_has_is_hashed, 30);
	} else {
		printf("# SKIP: the tracker uffd is not tested: %s\n", err.text);
		fflush(stdout);
	}
}

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("track");

	uffd_trial = tracker_uffd.probe(&err);
	uffd_works = !uffd_trial;
	add_for_each(suite, "found", untouched_memory_is_not_sent_again);
	add_for_each(suite, "found", one_byte_sends_its_block);
	add_for_each(suite, "found", several_threads_find_what_one_does);
	add_for_each(suite, "found", small_segments);
	add_for_each(suite, "found", random_writes_are_found_exactly);
	add_for_each(suite, "found", what_the_kernel_writes_is_found);
	add_for_each(suite, "found", what_other_threads_write_is_found);
	add_for_each(suite, "arm", a_failed_checkpoint_forgets_nothing);
	add_for_each(suite, "arm", a_write_between_collect_and_arm_is_found);
	add_for_each(suite, "arm", checksums_that_nobody_filled_in_are_changes);
	add_for_each(suite, "arm", a_segment_added_before_arm_is_all_changed);
	add_for_each(suite, "memory", a_fork_disturbs_nobody);
	add_for_each(suite, "memory", memory_that_is_mapped_anew_is_looked_at);
	add_for_each(suite, "memory", memory_that_is_emptied_is_sent);
	add_for_each(suite, "memory", memory_never_touched);
	add_for_each(suite, "memory", huge_pages);
	add_for_each(suite, "memory", shared_memory_and_files_are_hashed);
	add_for_each(suite, "memory", memory_that_becomes_shared_is_hashed);
	add_for_each(suite, "segments", a_segment_that_moves);
	add_for_each(suite, "segments", a_move_between_collect_and_arm);
	add_for_each(suite, "segments", segments_that_share_pages);
	add_for_each(suite, "segments", many_segments_come_and_go);
	add_for_each(suite, "segments", hints);
	add_uffd_only(suite);
	unit_add(suite, "choice", without_userfaultfd_everything_is_hashed, 30);
	unit_add(suite, "choice", what_is_not_known_to_be_clean_is_not, 10);
	unit_add(suite, "choice", uffd_is_right_where_it_is_there, 30);
	unit_add(suite, "choice", the_choice, 60);
	unit_add(suite, "choice", what_is_wrong_is_refused, 30);
	return suite;
}
