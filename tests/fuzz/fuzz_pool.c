/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_pool.c - the metadata of a pool: refused, or every record can be used.
 *
 * A small pool is made by the code that makes them all. The input changes bytes of its records: first
 * a byte that says which types of records get right checksums afterwards, then one that says whether
 * the whole pool is opened too, as a server does, and then the changes. A record's bytes are at a
 * position of two bytes, which counts through all records. Opening takes a thousand times as long as
 * loading the records: of the inputs that ask for it one in OPEN_SHARE gets it, by its hash, or nothing
 * else would be done.
 *
 * Only our own records are changed. libpmemobj's heap and logs, which have not all of them checksums,
 * may make it crash or run in circles when they are damaged: that is what probe.c is for. Its child
 * hides crashes of our code as well, and so the records are loaded here first without it.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include "common/checksum.h"
#include "common/log.h"
#include "pmm/index.h"
#include "wire/cursor.h"

#define SLOT_BYTES   65536u
#define RECORDS_MAX  64
#define FILES_MAX    16
#define POOL_BYTES   (64ull << 20)
#define RANKS	     2
#define OPEN_SHARE   16
#define CHANGE_COPY  0xff /* 8 bytes of another position, a reference; else so many bytes follow */
#define CHANGE_BYTES 8

enum seal {
	SEAL_ROOT = 1, SEAL_JOB = 2, SEAL_TABLE = 4, SEAL_REGION = 8, SEAL_SLOTS = 16,
	SEAL_LAYOUT = 32, SEAL_COMMAND = 64, SEAL_INCREMENT = 128
};
/* Else the records are loaded, and that is all. */
enum how { HOW_OPEN = 'o', HOW_ACCEPT_DAMAGE = 'a' };

static char directory[200], metadata_path[256], slots_path[256];
static uint8_t *metadata; /* of the pool as it was made */
static size_t metadata_bytes;
static uint64_t files; /* slot files: 1 to this number */

/* The pool's records as they lie in the private mapping of its metadata. */
static struct {
	PMEMobjpool *pop;
	struct record {
		uint8_t *at;
		size_t bytes;
		uint64_t type; /* enum format_type; 0: root */
		uint8_t *saved;
	} list[RECORDS_MAX];
	size_t count;
} records;

/* ---- the pool ---- */

static int entry_remove(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)st;
	(void)type;
	(void)walk;
	return remove(path);
}

static void directory_remove(void)
{
	nftw(directory, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static void directory_make(void)
{
	const char *base = getenv("TMPDIR");

	if (!base || !*base)
		base = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
	must((size_t)snprintf(directory, sizeof(directory), "%s/hf-fuzz-XXXXXX", base) < sizeof(directory));
	must(mkdtemp(directory));
	atexit(directory_remove);
	snprintf(metadata_path, sizeof(metadata_path), "%s/metadata", directory);
	snprintf(slots_path, sizeof(slots_path), "%s/slots", directory);
}

static struct pool *pool_get(bool accept_damage, struct error *err)
{
	const struct pool_params params = {
		.size_bytes = POOL_BYTES,
		.metadata_bytes = PMEMOBJ_MIN_POOL,
		.accept_damage = accept_damage,
	};
	struct pool *pool = NULL;
	int rc = pool_open(directory, &params, &pool, err);

	must(!rc == !!pool);
	return pool;
}

static struct set_info set_of(uint64_t epoch, enum set_kind kind, struct segment segments[2])
{
	memset(segments, 0, 2 * sizeof(*segments));
	for (unsigned i = 0; i < 2; i++) {
		snprintf(segments[i].name, sizeof(segments[i].name), "segment%u", i);
		segments[i].type = ELEMENT_DOUBLE;
		segments[i].element_bytes = 8;
		segments[i].count = 100 + epoch;
	}
	return (struct set_info){.epoch = epoch, .kind = kind, .segment_count = 2, .data_bytes = 4096,
				 .table_offset = 4096, .table_bytes = 512, .table_digest = epoch,
				 .block_bytes = SET_BLOCK_DEFAULT};
}

static void slot_make(struct region *region, unsigned slot)
{
	struct error err;
	uint64_t capacity;
	int fd;

	must(!region_reserve(region, SLOT_BYTES, &capacity, &err));
	must(!region_slot_open(region, slot, &fd, &err));
	must(!ftruncate(fd, (off_t)capacity));
	must(!region_grown(region, slot, capacity, &err));
	close(fd);
	if (region_slot_file(region, slot) > files)
		files = region_slot_file(region, slot);
}

static void region_make(struct job *job, uint32_t rank, enum region_mode mode)
{
	uint64_t place, first, last;
	struct segment segments[2];
	struct region *region;
	struct set_info set;
	struct error err;

	must(!region_create(job, rank, mode, &region, &err));
	for (unsigned slot = 0; slot < region_slots(region); slot++)
		slot_make(region, slot);
	for (unsigned slot = 0; slot < SLOTS_PER_REGION; slot++) {
		set = set_of(slot + 1, SET_FULL, segments);
		must(!region_publish(region, slot, &set, segments, &err));
	}
	for (uint64_t epoch = 3; epoch < 5 && mode == REGION_APPEND; epoch++) {
		set = set_of(epoch, SET_INCREMENT, segments);
		must(!region_log_place(region, epoch - 1, 4096 + 512, &place, &first, &last, &err));
		must(!region_publish_increment(region, place, &set, segments, &err));
	}
}

static void pool_make(void)
{
	static char text[] = "/home/me\0mpirun\0./app";
	const struct command_line command = {sizeof(text), text};
	struct error err;
	struct pool *pool = pool_get(false, &err);
	struct job *job;

	must(pool);
	must(!job_create(pool, 1000, 1000, "one", RANKS, &job, &err));
	must(!job_record_command(job, &command, &err));
	for (uint32_t rank = 0; rank < RANKS; rank++)
		region_make(job, rank, REGION_APPEND);
	must(!job_create(pool, 1000, 1000, "two", RANKS, &job, &err));
	region_make(job, 0, REGION_OVERWRITE);
	pool_close(pool);
}

static void metadata_read(void)
{
	int fd = open(metadata_path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	must(fd >= 0 && !fstat(fd, &st));
	metadata_bytes = (size_t)st.st_size;
	metadata = malloc(metadata_bytes);
	must(metadata && pread(fd, metadata, metadata_bytes, 0) == st.st_size);
	close(fd);
}

/* The pool's files as they were when it was made. */
static void pool_restore(void)
{
	int fd = open(metadata_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	char path[300];

	must(fd >= 0 && pwrite(fd, metadata, metadata_bytes, 0) == (ssize_t)metadata_bytes);
	close(fd);
	for (uint64_t file = 1; file <= files; file++) {
		snprintf(path, sizeof(path), "%s/%016" PRIx64, slots_path, file);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		must(fd >= 0 && !ftruncate(fd, SLOT_BYTES));
		close(fd);
	}
}

/* ---- its records ---- */

static void record_add(void *at, size_t bytes, uint64_t type)
{
	struct record *record = &records.list[records.count++];

	must(records.count <= RECORDS_MAX);
	free(record->saved);
	*record = (struct record){at, bytes, type, malloc(bytes)};
	must(record->saved);
	memcpy(record->saved, at, bytes);
}

/* LeakSanitizer's, if there is one: it does not see what libpmemobj refers to from a pool's mapping. */
extern void __lsan_disable(void) __attribute__((weak));
extern void __lsan_enable(void) __attribute__((weak));

static PMEMobjpool *mapping_open(void)
{
	PMEMobjpool *pop;
	int on = 1, off = 0;

	must(!pmemobj_ctl_set(NULL, "copy_on_write.at_open", &on));
	if (__lsan_disable)
		__lsan_disable();
	pop = pmemobj_open(metadata_path, FORMAT_LAYOUT);
	if (__lsan_enable)
		__lsan_enable();
	must(pop && !pmemobj_ctl_set(NULL, "copy_on_write.at_open", &off));
	return pop;
}

static void records_open(void)
{
	PMEMoid oid;

	records.pop = mapping_open();
	records.count = 0;
	oid = pmemobj_root(records.pop, sizeof(struct root_record));
	record_add(pmemobj_direct(oid), sizeof(struct root_record), 0);
	for (oid = pmemobj_first(records.pop); !OID_IS_NULL(oid); oid = pmemobj_next(oid))
		record_add(pmemobj_direct(oid), pmemobj_alloc_usable_size(oid), pmemobj_type_num(oid));
}

static void records_restore(void)
{
	for (size_t i = 0; i < records.count; i++)
		memcpy(records.list[i].at, records.list[i].saved, records.list[i].bytes);
}

/* What is at this position, and how many bytes are left of its record; NULL past the last. */
static uint8_t *record_byte(size_t position, size_t *left)
{
	for (size_t i = 0; i < records.count; i++) {
		*left = records.list[i].bytes;
		if (position < *left) {
			*left -= position;
			return records.list[i].at + position;
		}
		position -= *left;
	}
	return NULL;
}

static bool record_change(struct cursor *c)
{
	uint8_t bytes[CHANGE_BYTES] = {0}, kind = 0, *from, *to;
	uint16_t at = 0, other = 0;
	size_t left = 0, other_left = 0;

	cursor_u16(c, &at);
	cursor_u8(c, &kind);
	to = record_byte(at, &left);
	if (kind == CHANGE_COPY) {
		cursor_u16(c, &other);
		from = record_byte(other, &other_left);
		if (c->failed || !to || !from || left < CHANGE_BYTES || other_left < CHANGE_BYTES)
			return false;
		memmove(to, from, CHANGE_BYTES);
		return true;
	}
	kind = (uint8_t)(1 + kind % CHANGE_BYTES);
	cursor_bytes(c, bytes, kind);
	if (c->failed || !to || left < kind)
		return false;
	memcpy(to, bytes, kind);
	return true;
}

/* ---- right checksums ---- */

#define SEAL(record) ((record)->checksum = checksum((record), offsetof(__typeof__(*(record)), checksum)))

static void table_seal(const struct record *record)
{
	const uint8_t *pool = (const uint8_t *)records.pop;
	struct rank_record *table = (struct rank_record *)record->at;

	for (size_t i = 0; i < records.count; i++) {
		const struct job_record *job = (const struct job_record *)records.list[i].at;

		if (records.list[i].type != FORMAT_JOB || job->table != (uint64_t)(record->at - pool))
			continue;
		for (uint32_t rank = 0; rank < record->bytes / sizeof(*table); rank++)
			table[rank].checksum = rank_checksum(table[rank].region, job->number, rank);
	}
}

static void region_seal(struct region_record *region, uint8_t which)
{
	if (which & SEAL_REGION)
		SEAL(region);
	for (unsigned i = 0; i < SLOTS_MAX && which & SEAL_SLOTS; i++)
		SEAL(&region->slots[i]);
}

static void layout_seal(const struct record *record)
{
	struct segments_record *layout = (struct segments_record *)record->at;
	size_t bytes = layout->segment_count * sizeof(struct segment);

	if (bytes <= record->bytes - sizeof(*layout))
		layout->segments_checksum = checksum(layout->segments, bytes);
	SEAL(layout);
}

static void command_seal(const struct record *record)
{
	struct command_record *command = (struct command_record *)record->at;

	if (command->bytes <= record->bytes - sizeof(*command))
		command->text_checksum = checksum(command->text, command->bytes);
	SEAL(command);
}

static void records_seal(uint8_t which)
{
	for (size_t i = 0; i < records.count; i++) {
		const struct record *record = &records.list[i];

		if (!record->type && which & SEAL_ROOT)
			SEAL((struct root_record *)record->at);
		else if (record->type == FORMAT_JOB && which & SEAL_JOB)
			SEAL((struct job_record *)record->at);
		else if (record->type == FORMAT_TABLE && which & SEAL_TABLE)
			table_seal(record);
		else if (record->type == FORMAT_REGION)
			region_seal((struct region_record *)record->at, which);
		else if (record->type == FORMAT_LAYOUT_OF_SET && which & SEAL_LAYOUT)
			layout_seal(record);
		else if (record->type == FORMAT_COMMAND && which & SEAL_COMMAND)
			command_seal(record);
		else if (record->type == FORMAT_INCREMENT && which & SEAL_INCREMENT)
			SEAL((struct increment_record *)record->at);
	}
}

/* ---- what comes of it ---- */

static volatile uint64_t seen; /* so that all is read */

static void region_walk(const struct region *region)
{
	const struct segment *segments, *before = NULL;
	struct set_info set;
	uint64_t epoch = 0, capacity;
	struct chain chain;
	int slot;

	for (unsigned i = 0; region_set_at(region, i, &set, &segments); i++, epoch = set.epoch) {
		must(set.epoch > epoch && set_block_ok(set.block_bytes));
		must(set.generation <= region_generation(region));
		must(region_holds(region, set.epoch) && !region_chain(region, set.epoch, &chain));
		slot = region_slot_of(region, set.epoch);
		capacity = region_slot_capacity(region, slot < 0 ? SLOT_LOG : (unsigned)slot);
		must(set.table_offset <= capacity && set.table_bytes <= capacity - set.table_offset);
		before = segments ? segments : before;
		must(before || !set.segment_count);
		segments = region_segments_of(region, set.epoch);
		seen = checksum(segments, set.segment_count * sizeof(*segments));
	}
	seen = region_log_room(region);
}

static void pool_walk(struct pool *pool)
{
	struct command_line command;

	for (struct job *job = job_next(pool, NULL); job; job = job_next(pool, job)) {
		command = job_command(job);
		must(command_ok(&command) && job_ranks(job));
		must(memchr(job_name(job), '\0', JOB_NAME_BYTES));
		for (uint32_t rank = 0; rank < job_ranks(job); rank++) {
			const struct region *region = job_region(job, rank);

			if (region)
				region_walk(region);
			must(region || !job_complete_epoch(job));
			must(!job_complete_epoch(job) || region_holds(region, job_complete_epoch(job)));
		}
	}
}

/* The records alone, of the private mapping. */
static bool records_load(void)
{
	struct pool pool = {
		.directory = directory,
		.metadata_path = metadata_path,
		.metadata_bytes = metadata_bytes,
		.pop = records.pop,
		.directory_fd = -1, .slots_fd = -1, .lock_fd = -1, .device_fd = -1,
	};
	struct error err = {0};
	int rc = index_load(&pool, &err);

	if (!rc)
		pool_walk(&pool);
	else
		must(err.code == rc && *err.text);
	index_free(&pool);
	return !rc;
}

/* All of the pool, as a server opens it; what it then does to the files is undone. */
static void pool_try(bool accept_damage)
{
	struct error err = {0};
	struct pool *pool;
	int fd = open(metadata_path, O_WRONLY | O_CLOEXEC);

	for (size_t i = 0; i < records.count; i++) {
		const struct record *record = &records.list[i];
		off_t at = record->at - (uint8_t *)records.pop;

		must(pwrite(fd, record->at, record->bytes, at) == (ssize_t)record->bytes);
	}
	close(fd);
	pmemobj_close(records.pop);
	pool = pool_get(accept_damage, &err);
	if (pool)
		pool_walk(pool);
	else
		must(err.code < 0 && *err.text && !strstr(err.text, "a process that tried it died"));
	pool_close(pool);
	pool_restore();
	records_open();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_unpack(data, size);
	uint8_t seal = 0, how = 0;

	if (!metadata) {
		log_open("fuzz_pool", LOG_LEVEL_ERROR, false);
		directory_make();
		pool_make();
		metadata_read();
		pool_restore();
		records_open();
	}
	cursor_u8(&c, &seal);
	cursor_u8(&c, &how);
	while (c.at < c.end && record_change(&c))
		continue;
	records_seal(seal);
	if (records_load() && (how == HOW_OPEN || how == HOW_ACCEPT_DAMAGE) &&
	    checksum(data, size) % OPEN_SHARE == 0)
		pool_try(how == HOW_ACCEPT_DAMAGE);
	records_restore();
	return 0;
}
