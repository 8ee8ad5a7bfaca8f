/* SPDX-License-Identifier: BSD-3-Clause */
/* pool.c - opening a pool: what is kept, what is refused, what damage does. */
#define _GNU_SOURCE 1 /* nftw in scratch.h */
#include "pmm/pool.h"

#include <signal.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/testpoint.h"
#include "pools.h"
#include "unit.h"

static void pool_refused(int code, const char *words)
{
	struct pool *pool = NULL;

	must_fail(pool_try(POOL_BYTES, false, &pool), code, words);
	ck_assert_ptr_null(pool);
}

/* ---- create and reopen ---- */

START_TEST(a_new_pool_is_made_for_its_owner_alone)
{
	struct pool *pool = pool_get();
	struct pool_stat stat;
	struct stat st;
	uint8_t id[16];

	pool_get_stat(pool, &stat);
	ck_assert_uint_eq(stat.size_bytes, POOL_BYTES);
	ck_assert_uint_eq(stat.reserved_bytes + stat.jobs + stat.regions + stat.sets, 0);
	ck_assert_str_eq(stat.directory, scratch_path("pool"));
	ck_assert_int_gt(strlen(stat.medium), 0);
	ck_assert(memcmp(stat.id, (uint8_t[16]){0}, 16));
	memcpy(id, stat.id, 16);
	ck_assert_int_eq(lstat(scratch_path("pool"), &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0700);
	ck_assert_int_eq(lstat(scratch_path("pool/metadata"), &st), 0);
	ck_assert_int_eq(st.st_mode & 0077, 0);
	ck_assert_int_eq(st.st_size, (long long)METADATA);
	ck_assert_int_eq(scratch_file_bytes("pool/metadata.new"), -1);
	ck_assert_ptr_null(job_next(pool, NULL));
	pool_close(pool);
	pool_close(NULL);
	pool = pool_get();
	pool_get_stat(pool, &stat);
	ck_assert(!memcmp(stat.id, id, 16));
	pool_close(pool);
}
END_TEST

START_TEST(what_was_there_is_there_again)
{
	struct pool *pool = pool_get();
	struct region *region;
	struct pool_stat stat;
	uint64_t generation, number;
	struct job *job;
	unsigned slot;

	region = region_get(pool, "alpha", 3, 1);
	slot = checkpoint(region, 0, 7);
	must(region_fence(region, NULL, &generation, &pool_err));
	number = region_slot_file(region, slot);
	region_get(pool, "beta", 1, 0);
	must(job_create(pool, UID + 1, 5, "alpha", 2, &job, &pool_err));
	pool_close(pool);

	pool = pool_get();
	job = job_next(pool, NULL);
	ck_assert_str_eq(job_name(job), "alpha");
	ck_assert_uint_eq(job_uid(job), UID);
	ck_assert_uint_eq(job_ranks(job), 3);
	ck_assert_ptr_eq(job, job_find(pool, UID, "alpha"));
	ck_assert_ptr_null(job_region(job, 0));
	region = job_region(job, 1);
	ck_assert_uint_eq(region_generation(region), generation);
	ck_assert_uint_eq(region_slot_file(region, slot), number);
	ck_assert_uint_eq(region_slot_capacity(region, slot), SLOT_BYTES);
	set_check(region, slot);
	job = job_next(pool, job);
	ck_assert_str_eq(job_name(job), "beta");
	job = job_next(pool, job);
	ck_assert_uint_eq(job_uid(job), UID + 1);
	ck_assert_uint_eq(job_gid(job), 5);
	ck_assert_ptr_null(job_next(pool, job));
	pool_get_stat(pool, &stat);
	ck_assert_uint_eq(stat.jobs, 3);
	ck_assert_uint_eq(stat.regions, 2);
	ck_assert_uint_eq(stat.sets, 1);
	ck_assert_uint_eq(stat.reserved_bytes, 2 * SLOT_BYTES);
	pool_close(pool);
}
END_TEST

START_TEST(somebody_elses_directory_is_refused_and_untouched)
{
	ck_assert_int_eq(mkdir(scratch_path("pool"), 0755), 0);
	scratch_write("pool/thesis.tex", "x", 1);
	pool_refused(-ENOTEMPTY, "thesis.tex");
	ck_assert_int_eq(unlink(scratch_path("pool/thesis.tex")), 0);
	ck_assert_int_eq(rmdir(scratch_path("pool")), 0); /* nothing else is in it */
	scratch_write("pool", "x", 1);
	pool_refused(-ENOTDIR, "pool");
}
END_TEST

START_TEST(a_crash_while_a_pool_is_made_leaves_none)
{
	struct pool *pool;

	ck_assert_int_eq(mkdir(scratch_path("pool"), 0700), 0);
	ck_assert_int_eq(mkdir(scratch_path("pool/slots"), 0700), 0);
	scratch_write("pool/lock", "", 0);
	scratch_write("pool/metadata.new", "half", 4);
	pool = pool_get();
	pool_close(pool);
	scratch_write("pool/metadata.new", "half", 4);
	pool = pool_get();
	ck_assert_int_eq(scratch_file_bytes("pool/metadata.new"), -1);
	pool_close(pool);
}
END_TEST

START_TEST(sizes_and_names_that_make_no_sense_are_refused)
{
	struct pool_params params = {0};
	struct pool *pool = NULL;
	char name[400];

	must_fail(pool_open(scratch_path("pool"), &params, &pool, &pool_err), -EINVAL, "size");
	params.size_bytes = MIB;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	must_fail(pool_open(name, &params, &pool, &pool_err), -ENAMETOOLONG, "long");
	must_fail(pool_open(scratch_path("no/where"), &params, &pool, &pool_err), -ENOENT, "no/where");
	ck_assert_ptr_null(pool);
}
END_TEST

/* ---- damage ---- */

START_TEST(an_unknown_version_is_refused_with_both_versions)
{
	struct raw raw;
	char words[64];

	pool_close(pool_get());
	raw = raw_open();
	raw.root->version = 4711;
	raw_close(&raw); /* no checksum that we know is right then */
	snprintf(words, sizeof(words), "version 4711 and this server knows version %d", POOL_VERSION);
	pool_refused(-EPROTONOSUPPORT, words);
}
END_TEST

START_TEST(wrong_magic_is_refused)
{
	struct raw raw;

	pool_close(pool_get());
	raw = raw_open();
	raw.root->magic[0] ^= 1;
	raw_close(&raw);
	pool_refused(-EUCLEAN, "magic");
}
END_TEST

START_TEST(a_pool_of_another_program_is_refused)
{
	PMEMobjpool *pop;

	ck_assert_int_eq(mkdir(scratch_path("pool"), 0700), 0);
	pop = pmemobj_create(scratch_path("pool/metadata"), "other", METADATA, 0600);
	pmemobj_close(pop);
	pool_refused(-EUCLEAN, "metadata");
	ck_assert_int_eq(unlink(scratch_path("pool/metadata")), 0);
	pop = pmemobj_create(scratch_path("pool/metadata"), FORMAT_LAYOUT, METADATA, 0600);
	pmemobj_close(pop);
	pool_refused(-EUCLEAN, "no root record");
}
END_TEST

START_TEST(truncated_metadata_is_refused)
{
	static const long long lengths[] = {0, 1, 100, 4096, METADATA / 2, METADATA - 4096, METADATA - 1};
	struct pool *pool = pool_get();

	checkpoint(region_get(pool, "alpha", 1, 0), 0, 1);
	pool_close(pool);
	for (int i = sizeof(lengths) / sizeof(lengths[0]) - 1; i >= 0; i--) {
		ck_assert_int_eq(truncate(scratch_path("pool/metadata"), lengths[i]), 0);
		pool_refused(-EUCLEAN, "truncated");
		ck_assert_int_eq(scratch_file_bytes("pool/metadata"), lengths[i]);
	}
	ck_assert_int_eq(unlink(scratch_path("pool/metadata")), 0);
	pool_refused(-EUCLEAN, "metadata is missing");
	ck_assert_uint_eq(slot_files(), 1);
}
END_TEST

/* Longer is as wrong as shorter. */
START_TEST(metadata_of_another_length_is_refused)
{
	pool_close(pool_get());
	ck_assert_int_eq(truncate(scratch_path("pool/metadata"), METADATA + 4096), 0);
	pool_refused(-EUCLEAN, "metadata");
}
END_TEST

static struct raw damage_begin(void)
{
	struct pool *pool = pool_get();

	for (uint32_t rank = 0; rank < 3; rank++)
		checkpoint(region_get(pool, "alpha", 3, rank), 0, 1);
	must(job_record_command(job_find(pool, UID, "alpha"), &COMMAND(EXAMPLE), &pool_err));
	pool_close(pool);
	return raw_open();
}

START_TEST(a_damaged_record_is_named)
{
	static const char *const words[] = {"root record", "alpha, it seems", "alpha, rank 1: its entry",
					    "alpha, rank 2: its checksum", "alpha, rank 2, slot 0: its checksum",
					    "alpha, rank 2, slot 1: its checksum", "alpha, rank 2, slot 0: the checksum",
					    "alpha, rank 2, slot 0: the checksum",
					    "alpha: the checksum of its command",
					    "alpha: the checksum of its command"};
	struct raw raw = damage_begin();
	struct job_record *job = raw_at(&raw, raw.root->first_job);
	struct rank_record *table = raw_at(&raw, job->table);
	struct region_record *region = raw_region(&raw, 2);
	struct segments_record *layout = raw_at(&raw, region->slots[0].set.layout);
	struct command_record *command = raw_at(&raw, job->command);
	uint8_t *const bytes[] = {
		(uint8_t *)&raw.root->next_file, (uint8_t *)&job->created_ns, (uint8_t *)&table[1].region,
		(uint8_t *)&region->generation,	 (uint8_t *)&region->slots[0].set.table_digest,
		(uint8_t *)&region->slots[1].extents[3].count, (uint8_t *)&layout->epoch,
		(uint8_t *)&layout->segments[2].name[5], (uint8_t *)&command->reserved[1],
		(uint8_t *)&command->text[12]};

	*bytes[_i] ^= 0x10;
	raw_close(&raw);
	pool_refused(-EUCLEAN, words[_i]);
}
END_TEST

START_TEST(a_block_size_that_no_set_has_is_damage)
{
	static const uint64_t sizes[] = {0, 1, SET_BLOCK_MIN / 2, SET_BLOCK_MIN + 8, 2 * SET_BLOCK_MAX, 1ull << 32, 1ull << 63};
	struct raw raw = damage_begin();
	struct region_record *region = raw_region(&raw, 2);

	region->slots[0].set.block_bytes = sizes[_i];
	raw_seal(&region->slots[0]);
	raw_close(&raw);
	pool_refused(-EUCLEAN, "alpha, rank 2, slot 0: its set's blocks have a size that no set has");
}
END_TEST

/* What is in the place of a command's text, and behind it. */
static void command_text(uint64_t command, char *text, size_t bytes)
{
	int fd = open(scratch_path("pool/metadata"), O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(pread(fd, text, bytes, (off_t)(command + offsetof(struct command_record, text))),
			 (ssize_t)bytes);
	close(fd);
}

/* Checksums are no signatures: a record with a right one may still point anywhere. */
START_TEST(a_reference_is_followed_to_records_only)
{
	struct raw raw = damage_begin();
	struct job_record *job = raw_at(&raw, raw.root->first_job);
	struct rank_record *table = raw_at(&raw, job->table);
	struct region_record *region = raw_region(&raw, 2);
	struct command_record *command = raw_at(&raw, job->command);
	struct rank_key key = {table[0].region, job->number, 1};
	PMEMoid small;
	char text[4096];

	switch (_i) {
	case 0:
		raw.root->first_job = METADATA + 64;
		break;
	case 1:
		raw.root->first_job = 0x8000000000000000;
		break;
	case 2:
		job->next = raw.root->first_job; /* for ever */
		break;
	case 3:
		job->table -= 8;
		break;
	case 4:
		job->ranks = 1 << 20;
		break;
	case 5: /* two ranks, one region */
		table[1].region = key.region;
		table[1].checksum = checksum(&key, sizeof(key));
		break;
	case 6:
		region->slots[0].set.layout = region->slots[1].set.layout + 4096;
		break;
	case 7:
		region->slots[0].set.segment_count = SET_SEGMENTS_MAX + 1;
		break;
	case 8:
		region->slots[0].capacity = UINT64_MAX;
		break;
	case 9:
		region->slots[0].file = raw.root->next_file;
		break;
	case 10:
		region->slots[1].file = region->slots[0].file;
		break;
	case 11:
		region->mode = REGION_APPEND;
		break;
	case 12:
		memset(job->name, 'x', sizeof(job->name));
		break;
	case 13:
		region->slots[0].set.table_offset = UINT64_MAX;
		break;
	case 14:
		region->slots[1].set.layout = region->slots[0].set.layout;
		break;
	case 15:
		region->slots[1].capacity = SLOT_BYTES; /* and no file */
		break;
	case 16:
		job->number = raw.root->next_job;
		break;
	case 17: /* for ever, and no two jobs of a name */
		job->state = JOB_STATE_DROPPED;
		job->next = raw.root->first_job;
		break;
	case 18:
		region->slots[0].set.generation = region->generation + 1;
		break;
	case 19:
		region->slots[0].set.generation = 0;
		break;
	case 20: /* all is right with this one, and it has not the room; which valgrind sees, too */
		if (RUNNING_ON_VALGRIND) {
			pmemobj_close(raw.pop);
			return;
		}
		ck_assert_int_eq(pmemobj_alloc(raw.pop, &small, 32, FORMAT_REGION, NULL, NULL), 0);
		memcpy(pmemobj_direct(small), region, sizeof(*region));
		key = (struct rank_key){small.off, job->number, 2};
		table[2].region = small.off;
		table[2].checksum = checksum(&key, sizeof(key));
		break;
	case 21:
		job->command = region->slots[0].set.layout;
		break;
	case 22:
		job->command_bytes = COMMAND_BYTES_MAX + 1;
		break;
	case 23:
		/* More than the object has, though all else is right: it is seen in the file. */
		command_text(job->command, text, sizeof(text));
		for (command->bytes = 200; text[command->bytes - 1];)
			ck_assert_uint_lt(++command->bytes, sizeof(text));
		job->command_bytes = command->bytes;
		command->text_checksum = checksum(text, command->bytes);
		break;
	case 24:
		job->command = 0; /* and a length */
		break;
	case 25: /* not ended by a zero */
		command->text[command->bytes - 1] = 'x';
		command->text_checksum = checksum(command->text, command->bytes);
		break;
	case 26:
		command->job++;
		break;
	case 27:
		command->bytes = job->command_bytes = 0;
		command->text_checksum = checksum(command->text, 0);
		break;
	}
	raw_seal(command);
	raw_seal(raw.root);
	raw_seal(job);
	raw_seal(region);
	raw_seal(&region->slots[0]);
	raw_seal(&region->slots[1]);
	raw_close(&raw);
	pool_refused(-EUCLEAN, "damaged");
	/* Seen, and not run into. */
	ck_assert_msg(!strstr(pool_err.text, "died"), "%s", pool_err.text);
}
END_TEST

/* libpmemobj believes this one: it would read far outside of the pool. */
START_TEST(damage_that_kills_libpmemobj_kills_no_server)
{
	struct raw raw = damage_begin();
	uint64_t root = (uint64_t)((uint8_t *)raw.root - (uint8_t *)raw.pop), word = 0;
	int fd, found = 0;

	raw_close(&raw);
	fd = open(scratch_path("pool/metadata"), O_RDWR | O_CLOEXEC);
	for (off_t at = 4096; at < 16384; at += 8) {
		ck_assert_int_eq(pread(fd, &word, 8, at), 8);
		if (word != root)
			continue;
		word ^= 1ull << 45;
		ck_assert_int_eq(pwrite(fd, &word, 8, at), 8);
		found++;
	}
	close(fd);
	if (found) /* else this libpmemobj keeps it elsewhere */
		pool_refused(-EUCLEAN, "died");
}
END_TEST

/* As a server would go on with it. Runs in a child; exits with 0 where all is well. */
static void go_on(uint64_t epochs_expected)
{
	struct pool *pool = NULL;
	struct job *job;
	int rc = pool_try(POOL_BYTES, false, &pool);

	if (rc) {
		ck_assert_msg(rc == -EUCLEAN || rc == -EPROTONOSUPPORT, "%d: %s", rc, pool_err.text);
		_exit(42);
	}
	job = job_find(pool, UID, "alpha");
	ck_assert_ptr_nonnull(job);
	ck_assert_uint_eq(job_complete_epoch(job), epochs_expected);
	for (uint32_t rank = 0; rank < job_ranks(job); rank++) {
		for (unsigned slot = 0; slot < SLOTS_PER_REGION; slot++)
			set_check(job_region(job, rank), slot);
		checkpoint(job_region(job, rank), epochs_expected, epochs_expected + 1);
	}
	for (unsigned i = 0; i < 20; i++) {
		char name[16];

		snprintf(name, sizeof(name), "job %u", i);
		region_get(pool, name, 8, 3);
	}
	must(job_drop(job, &pool_err));
	pool_close(pool);
	_exit(0);
}

/* Every byte counts that is not zero: a flip of any of them is refused, or does no harm. */
START_TEST(a_flipped_bit_is_refused_or_harmless_and_never_a_crash)
{
	unsigned step = unit_rounds(7, 61, 997);
	unsigned refused = 0, harmless = 0, words = 0;
	struct pool *pool = pool_get();
	uint64_t *before;
	int fd, status;

	for (uint64_t epoch = 1; epoch <= 2; epoch++) {
		for (uint32_t rank = 0; rank < 3; rank++)
			checkpoint(region_get(pool, "alpha", 3, rank), epoch - 1, epoch);
	}
	pool_close(pool);
	ck_assert_int_eq(rename(scratch_path("pool"), scratch_path("good")), 0);
	before = malloc(METADATA);
	fd = open(scratch_path("good/metadata"), O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(read(fd, before, METADATA), (ssize_t)METADATA);
	close(fd);
	for (size_t i = 0; i < METADATA / 8; i++) {
		char command[3 * sizeof(scratch) + 80];
		uint64_t word;
		pid_t pid;

		if ((!before[i] && i % 9973) || words++ % step)
			continue;
		snprintf(command, sizeof(command), "rm -rf %s/pool && cp -r --sparse=always %s/good %s/pool",
			 scratch, scratch, scratch);
		ck_assert_int_eq(system(command), 0);
		word = before[i] ^ (1ull << (words * 7 % 64));
		fd = open(scratch_path("pool/metadata"), O_WRONLY | O_CLOEXEC);
		ck_assert_int_eq(pwrite(fd, &word, 8, (off_t)(i * 8)), 8);
		close(fd);
		pid = fork();
		if (!pid) {
			alarm(60);
			go_on(2);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_msg(WIFEXITED(status) && (WEXITSTATUS(status) == 42 || !WEXITSTATUS(status)),
			      "flip in word %zu (offset 0x%zx), %016" PRIx64 " to %016" PRIx64 ": status 0x%x", i, i * 8,
			      before[i], word, status);
		*(WEXITSTATUS(status) ? &refused : &harmless) += 1;
	}
	free(before);
	printf("# %u flips: %u refused, %u harmless\n", refused + harmless, refused, harmless);
	ck_assert_uint_gt(refused + harmless, 0);
}
END_TEST

/* ---- slot files ---- */

START_TEST(a_missing_or_short_slot_file_is_refused_by_name)
{
	struct pool *pool = pool_get();
	struct region *region = region_get(pool, "alpha", 2, 1);
	unsigned slot = checkpoint(region, 0, 5);
	char file[32], words[160];

	snprintf(file, sizeof(file), "%016" PRIx64, region_slot_file(region, slot));
	if (_i)
		ck_assert_int_eq(truncate(slot_path(region, slot), SLOT_BYTES - 1), 0);
	else
		ck_assert_int_eq(unlink(slot_path(region, slot)), 0);
	pool_close(pool);
	snprintf(words, sizeof(words), "job alpha, rank 1, slot %u (epoch 5): slot file %s: %s", slot, file,
		 _i ? "1 bytes short" : "missing");
	pool_refused(-EUCLEAN, words);
}
END_TEST

START_TEST(accepted_damage_withdraws_just_the_sets_concerned)
{
	struct pool *pool = pool_get(), *again = NULL;
	struct region *region = region_get(pool, "alpha", 1, 0);
	unsigned first = checkpoint(region, 0, 5), second = checkpoint(region, 5, 6);

	if (_i)
		ck_assert_int_eq(truncate(slot_path(region, second), 100), 0);
	else
		ck_assert_int_eq(unlink(slot_path(region, second)), 0);
	pool_close(pool);
	ck_assert_ptr_nonnull(freopen(scratch_path("log"), "w", stderr));
	must(pool_try(POOL_BYTES, true, &again));
	fflush(stderr);
	region = job_region(job_find(again, UID, "alpha"), 0);
	ck_assert_ptr_null(region_set(region, second));
	ck_assert_uint_eq(region_slot_capacity(region, second), 0);
	set_check(region, first);
	ck_assert_uint_eq(job_complete_epoch(region_job(region)), 5);
	ck_assert_uint_eq(slot_files(), 1);
	ck_assert_int_gt(scratch_file_bytes("log"), 0);
	ck_assert_uint_eq(checkpoint(region, 5, 6), second);
	pool_close(again);
	pool = pool_get(); /* and now without accepting anything */
	set_check(job_region(job_find(pool, UID, "alpha"), 0), second);
	pool_close(pool);
}
END_TEST

START_TEST(orphan_slot_files_are_removed_and_others_left)
{
	struct pool *pool = pool_get();
	struct region *region = region_get(pool, "alpha", 1, 0);
	unsigned slot = checkpoint(region, 0, 1);

	scratch_write("pool/slots/00000000000000ff", "x", 1);
	scratch_write("pool/slots/README", "x", 1);
	pool_close(pool);
	ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
	pool = pool_get();
	ck_assert_int_eq(scratch_file_bytes("pool/slots/00000000000000ff"), -1);
	ck_assert_int_eq(scratch_file_bytes("pool/slots/README"), 1);
	set_check(job_region(job_find(pool, UID, "alpha"), 0), slot);
	pool_close(pool);
}
END_TEST

/* ---- the lock ---- */

static int exit_code(pid_t pid)
{
	int status = 0;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(a_second_server_is_refused_and_told_of_the_first)
{
	struct pool *pool = pool_get(), *second = NULL;
	char words[64];
	pid_t pid;

	snprintf(words, sizeof(words), "process %d", (int)getpid());
	pid = fork();
	if (!pid) {
		int rc = pool_try(POOL_BYTES, false, &second);

		_exit(rc == -EBUSY && strstr(pool_err.text, words) ? 0 : 1);
	}
	ck_assert_int_eq(exit_code(pid), 0);
	must_fail(pool_try(POOL_BYTES, false, &second), -EBUSY, words);
	/* The first one goes on. */
	checkpoint(region_get(pool, "alpha", 1, 0), 0, 1);
	pool_close(pool);
	pool_close(pool_get());
}
END_TEST

START_TEST(who_inherits_the_lock_keeps_it_for_a_while)
{
	struct pool *pool = pool_get();
	uint64_t before;
	pid_t pid = fork();

	if (!pid) {
		usleep(700 * 1000);
		_exit(0);
	}
	pool_close(pool);
	before = clock_monotonic_ns();
	pool = pool_get(); /* waits */
	ck_assert_uint_gt(clock_monotonic_ns() - before, 300 * 1000000ull);
	exit_code(pid);
	pool_close(pool);
}
END_TEST

START_TEST(a_lock_left_to_a_child_of_a_dead_server_is_explained)
{
	struct pool *pool = NULL;
	int ends[2];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe(ends), 0);
	pid = fork();
	if (!pid) { /* the server */
		pool_get();
		if (!fork()) { /* its NI */
			close(ends[1]);
			(void)!read(ends[0], &byte, 1);
			_exit(0);
		}
		_exit(0);
	}
	ck_assert_int_eq(exit_code(pid), 0);
	must_fail(pool_try(POOL_BYTES, false, &pool), -EBUSY, "is gone");
	close(ends[1]);
	pool_close(pool_get());
}
END_TEST

/* ---- room ---- */

START_TEST(a_size_that_the_file_system_has_not_is_refused)
{
	struct pool *pool = NULL;

	must_fail(pool_try(1ull << 62, false, &pool), -ENOSPC, "--size");
	ck_assert_int_eq(scratch_file_bytes("pool/metadata"), -1);
	pool_close(pool_get());
	must_fail(pool_try(1ull << 62, false, &pool), -ENOSPC, "--size");
	pool_close(pool_get());
}
END_TEST

START_TEST(a_size_less_than_what_is_reserved_is_refused)
{
	struct pool *pool = pool_get(), *small = NULL;

	slot_grow(region_get(pool, "alpha", 1, 0), 0, MIB);
	pool_close(pool);
	must_fail(pool_try(2 * MIB - 1, false, &small), -ENOSPC, "2 MiB");
	must(pool_try(2 * MIB, false, &small));
	pool_close(small);
}
END_TEST

START_TEST(full_metadata_is_said_and_does_no_harm)
{
	struct pool *pool = pool_get();
	struct region *region = region_get(pool, "alpha", 1, 0);
	unsigned slot = checkpoint(region, 0, 1), jobs = 0;
	struct job *job;
	char name[32];
	int rc;

	do {
		snprintf(name, sizeof(name), "job %u", jobs++);
		rc = job_create(pool, UID, UID, name, 16384, &job, &pool_err);
	} while (!rc && jobs < 100000);
	ck_assert_int_eq(rc, -ENOSPC);
	ck_assert_ptr_nonnull(strstr(pool_err.text, "full"));
	ck_assert_ptr_null(job_find(pool, UID, name));
	pool_close(pool);
	pool = pool_get();
	region = job_region(job_find(pool, UID, "alpha"), 0);
	set_check(region, slot);
	while ((job = job_next(pool, NULL)) && jobs--)
		must(job_drop(job, &pool_err));
	must(job_create(pool, UID, UID, name, 16384, &job, &pool_err));
	pool_close(pool);
}
END_TEST

/* ---- jobs ---- */

START_TEST(a_job_belongs_to_its_user)
{
	struct pool *pool = pool_get();
	char name[JOB_NAME_BYTES + 1];
	struct job *job, *other;

	must(job_create(pool, UID, 7, "alpha", 4, &job, &pool_err));
	must_fail(job_create(pool, UID, 7, "alpha", 4, &other, &pool_err), -EEXIST, "alpha");
	ck_assert_ptr_eq(job_find(pool, UID, "alpha"), job);
	ck_assert_ptr_null(job_find(pool, UID + 1, "alpha"));
	ck_assert_ptr_null(job_find(pool, UID, "alph"));
	must(job_create(pool, UID + 1, 7, "alpha", 4, &other, &pool_err));
	ck_assert_ptr_ne(job, other);
	must_fail(job_create(pool, UID, 7, "", 4, &other, &pool_err), -EINVAL, "name");
	must_fail(job_create(pool, UID, 7, "a/b", 4, &other, &pool_err), -EINVAL, "name");
	must_fail(job_create(pool, UID, 7, "a\nb", 4, &other, &pool_err), -EINVAL, "name");
	must_fail(job_create(pool, UID, 7, "b", 0, &other, &pool_err), -EINVAL, "ranks");
	must_fail(job_create(pool, UID, 7, "b", RANKS_MAX + 1, &other, &pool_err), -EINVAL, "ranks");
	memset(name, 'x', sizeof(name));
	name[JOB_NAME_BYTES] = '\0';
	must_fail(job_create(pool, UID, 7, name, 1, &other, &pool_err), -EINVAL, "name");
	name[JOB_NAME_BYTES - 1] = '\0';
	must(job_create(pool, UID, 7, name, 1, &other, &pool_err));
	pool_close(pool);
	pool = pool_get();
	ck_assert_ptr_nonnull(job_find(pool, UID, name));
	pool_close(pool);
}
END_TEST

START_TEST(many_jobs_come_and_go_in_order)
{
	unsigned total = unit_rounds(2000, 2000, 100), n = 0;
	struct pool *pool = pool_get();
	struct job *job;
	char name[32];

	for (unsigned i = 0; i < total; i++) {
		snprintf(name, sizeof(name), "job %u", i);
		must(job_create(pool, UID, UID, name, 2, &job, &pool_err));
	}
	for (unsigned i = 0; i < total; i += 1 + (i % 3 == 1)) {
		snprintf(name, sizeof(name), "job %u", i);
		must(job_drop(job_find(pool, UID, name), &pool_err));
	}
	pool_close(pool);
	pool = pool_get();
	job = NULL;
	for (unsigned i = 0; i < total; i++) {
		bool dropped = i % 3 != 2;

		snprintf(name, sizeof(name), "job %u", i);
		ck_assert_int_eq(dropped, !job_find(pool, UID, name));
		if (dropped)
			continue;
		job = job_next(pool, job);
		ck_assert_str_eq(job_name(job), name);
		n++;
	}
	ck_assert_ptr_null(job_next(pool, job));
	ck_assert_uint_gt(n, total / 4);
	pool_close(pool);
}
END_TEST

START_TEST(a_dropped_job_takes_regions_and_files_along)
{
	struct pool *pool = pool_get();
	struct pool_stat stat;

	for (uint64_t epoch = 1; epoch <= 2; epoch++) {
		for (uint32_t rank = 0; rank < 3; rank++)
			checkpoint(region_get(pool, "alpha", 3, rank), epoch - 1, epoch);
	}
	pool_get_stat(pool, &stat);
	ck_assert_uint_eq(stat.sets, 6);
	must(job_drop(job_find(pool, UID, "alpha"), &pool_err));
	pool_get_stat(pool, &stat);
	ck_assert_uint_eq(stat.reserved_bytes + stat.jobs + stat.regions + stat.sets, 0);
	ck_assert_uint_eq(slot_files(), 0);
	ck_assert_ptr_null(job_find(pool, UID, "alpha"));
	region_get(pool, "alpha", 5, 4);
	pool_close(pool);
	pool = pool_get();
	ck_assert_uint_eq(job_ranks(job_find(pool, UID, "alpha")), 5);
	pool_close(pool);
}
END_TEST

START_TEST(a_drop_that_was_begun_is_finished_at_open)
{
	struct raw raw = damage_begin();
	struct job_record *job = raw_at(&raw, raw.root->first_job);
	struct pool_stat stat;
	struct pool *pool;

	job->state = JOB_STATE_DROPPED;
	raw_seal(job);
	raw_close(&raw);
	pool = pool_get();
	pool_get_stat(pool, &stat);
	ck_assert_uint_eq(stat.reserved_bytes + stat.jobs + stat.regions + stat.sets, 0);
	ck_assert_uint_eq(slot_files(), 0);
	ck_assert_ptr_null(job_find(pool, UID, "alpha"));
	ck_assert_ptr_null(job_next(pool, NULL));
	pool_close(pool);
	raw = raw_open();
	ck_assert_uint_eq(raw.root->first_job, 0);
	raw_close(&raw);
}
END_TEST

/* ---- the command line ---- */

static void command_check(const struct job *job, const struct command_line *expected)
{
	struct command_line command = job_command(job);

	ck_assert(command_equal(&command, expected));
}

START_TEST(a_recorded_command_is_there_again_and_goes_with_its_job)
{
	const struct command_line first = COMMAND(EXAMPLE), second = COMMAND("/\0./other");
	struct pool *pool = pool_get();
	struct raw raw;
	struct job *job;
	unsigned objects;

	region_get(pool, "alpha", 1, 0);
	job = job_find(pool, UID, "alpha");
	command_check(job, &(struct command_line){0, NULL});
	must(job_record_command(job, &first, &pool_err));
	command_check(job, &first);
	pool_close(pool);
	pool = pool_get();
	job = job_find(pool, UID, "alpha");
	command_check(job, &first);
	must(job_record_command(job, &second, &pool_err));
	command_check(job, &second);
	must(job_drop(job, &pool_err));
	pool_close(pool);
	/* Neither the one that was replaced nor the one that was dropped is left. */
	raw = raw_open();
	objects = 0;
	for (PMEMoid oid = pmemobj_first(raw.pop); !OID_IS_NULL(oid); oid = pmemobj_next(oid))
		objects += pmemobj_type_num(oid) == FORMAT_COMMAND;
	ck_assert_uint_eq(objects, 0);
	raw_close(&raw);
}
END_TEST

START_TEST(what_is_no_command_is_not_recorded)
{
	static char large[COMMAND_BYTES_MAX + 1] = "/tmp";
	struct pool *pool = pool_get();
	struct command_line largest = {COMMAND_BYTES_MAX, large};
	struct job *job;

	region_get(pool, "alpha", 1, 0);
	job = job_find(pool, UID, "alpha");
	memset(large + 5, 'x', sizeof(large) - 5);
	large[COMMAND_BYTES_MAX - 1] = '\0';
	must(job_record_command(job, &largest, &pool_err));
	command_check(job, &largest);
	large[COMMAND_BYTES_MAX - 1] = 'x';
	large[COMMAND_BYTES_MAX] = '\0';
	must_fail(job_record_command(job, &(struct command_line){COMMAND_BYTES_MAX + 1, large}, &pool_err), -EINVAL,
		  "alpha");
	must_fail(job_record_command(job, &(struct command_line){0, NULL}, &pool_err), -EINVAL, "command");
	must_fail(job_record_command(job, &(struct command_line){4, "/tmp"}, &pool_err), -EINVAL, "command");
	pool_close(pool);
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("pool");

#define ADD(test) scratch_add(suite, #test, test, 120)
#define ADD_LOOP(test, n) scratch_add_loop(suite, #test, test, n, 120)
	ADD(a_new_pool_is_made_for_its_owner_alone);
	ADD(what_was_there_is_there_again);
	ADD(somebody_elses_directory_is_refused_and_untouched);
	ADD(a_crash_while_a_pool_is_made_leaves_none);
	ADD(sizes_and_names_that_make_no_sense_are_refused);
	ADD(an_unknown_version_is_refused_with_both_versions);
	ADD(wrong_magic_is_refused);
	ADD(a_pool_of_another_program_is_refused);
	ADD(truncated_metadata_is_refused);
	ADD(metadata_of_another_length_is_refused);
	ADD_LOOP(a_damaged_record_is_named, 10);
	ADD_LOOP(a_block_size_that_no_set_has_is_damage, 7);
	ADD_LOOP(a_reference_is_followed_to_records_only, 28);
	ADD(damage_that_kills_libpmemobj_kills_no_server);
	scratch_add(suite, "flips", a_flipped_bit_is_refused_or_harmless_and_never_a_crash, 3600);
	ADD_LOOP(a_missing_or_short_slot_file_is_refused_by_name, 2);
	ADD_LOOP(accepted_damage_withdraws_just_the_sets_concerned, 2);
	ADD(orphan_slot_files_are_removed_and_others_left);
	ADD(a_second_server_is_refused_and_told_of_the_first);
	ADD(who_inherits_the_lock_keeps_it_for_a_while);
	ADD(a_lock_left_to_a_child_of_a_dead_server_is_explained);
	ADD(a_size_that_the_file_system_has_not_is_refused);
	ADD(a_size_less_than_what_is_reserved_is_refused);
	ADD(full_metadata_is_said_and_does_no_harm);
	ADD(a_job_belongs_to_its_user);
	ADD(many_jobs_come_and_go_in_order);
	ADD(a_dropped_job_takes_regions_and_files_along);
	ADD(a_drop_that_was_begun_is_finished_at_open);
	ADD(a_recorded_command_is_there_again_and_goes_with_its_job);
	ADD(what_is_no_command_is_not_recorded);
	return suite;
}
