/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pool.c - opening and closing a pool: its directory, its lock, its metadata.
 *
 *   DIR/lock            whoever holds its flock(2) has the pool; the server's pid, for people
 *   DIR/metadata        libpmemobj's pool (format.h); made as metadata.new and renamed when it is whole
 *   DIR/slots/<number>  a file for each slot; or
 *   DIR/device          a link to the device that the slots lie on
 */
#include "pmm/pool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/size.h"
#include "common/testpoint.h"
#include "pmm/index.h"

#define METADATA_DEFAULT (64ull << 20)
#define LOCK_WAIT_MS	 3000
#define LOCK_RETRY_MS	 50

/* ---- the directory ---- */

/* Makes what was made in the directory durable in it. */
static int directory_sync(const char *path, int fd, struct error *err)
{
	if (fsync(fd))
		return error_set(err, -errno, "cannot make changes in %s durable: %s", path, strerror(errno));
	return 0;
}

static int parent_sync(int directory_fd, const char *directory, struct error *err)
{
	int fd = openat(directory_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	if (fd < 0) /* we may have no right to read it; then somebody else made the directory */
		return 0;
	rc = directory_sync(directory, fd, err);
	close(fd);
	return rc;
}

static int directory_open(struct pool *pool, struct error *err)
{
	bool made = !mkdir(pool->directory, 0700);

	if (!made && errno != EEXIST)
		return error_set(err, -errno, "cannot make directory %s: %s", pool->directory, strerror(errno));
	pool->directory_fd = open(pool->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (pool->directory_fd < 0)
		return error_set(err, -errno, "cannot open directory %s: %s", pool->directory, strerror(errno));
	return made ? parent_sync(pool->directory_fd, pool->directory, err) : 0;
}

/* Calls `each` for the entries of a directory until it returns other than 0, and returns that. */
static int directory_walk(const struct pool *pool, const char *name,
			  int (*each)(const struct pool *pool, const char *entry, struct error *err),
			  struct error *err)
{
	struct dirent *entry;
	DIR *dir;
	int fd, rc = 0;

	fd = openat(pool->directory_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return 0;
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		rc = error_set(err, -errno, "cannot list %s/%s: %s", pool->directory, name, strerror(errno));
		if (fd >= 0)
			close(fd);
		return rc;
	}
	while (!rc && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			rc = each(pool, entry->d_name, err);
	}
	closedir(dir);
	return rc;
}

static int entry_is_ours(const struct pool *pool, const char *entry, struct error *err)
{
	static const char *const ours[] = {"lock", "slots", "device", "metadata.new", "lost+found"};

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		if (!strcmp(entry, ours[i]))
			return 0;
	}
	return error_set(err, -ENOTEMPTY, "%s is no pool and not empty: it holds %s; name an empty or a new "
			 "directory", pool->directory, entry);
}

static int entry_without_metadata(const struct pool *pool, const char *entry, struct error *err)
{
	return damaged(pool, err, "it has slot files (%s), and its metadata is missing", entry);
}

/* Whether there is metadata: 1, 0, or -errno where the directory is something else. */
static int directory_is_pool(const struct pool *pool, struct error *err)
{
	struct stat st;
	int rc;

	if (!fstatat(pool->directory_fd, "metadata", &st, AT_SYMLINK_NOFOLLOW)) {
		if (S_ISREG(st.st_mode))
			return 1;
		return error_set(err, -EUCLEAN, "%s is no pool: its metadata is no regular file",
				 pool->directory);
	}
	if (errno != ENOENT)
		return error_set(err, -errno, "cannot look into %s: %s", pool->directory, strerror(errno));
	rc = directory_walk(pool, ".", entry_is_ours, err);
	return rc ? rc : directory_walk(pool, "slots", entry_without_metadata, err);
}

/* ---- the lock ---- */

static int lock_busy(const struct pool *pool, struct error *err)
{
	char text[32] = "";
	ssize_t n = pread(pool->lock_fd, text, sizeof(text) - 1, 0);
	long pid = n > 0 ? strtol(text, NULL, 10) : 0;

	if (pid <= 0)
		return error_set(err, -EBUSY, "pool %s is in use by another server", pool->directory);
	if (kill((pid_t)pid, 0) && errno == ESRCH)
		return error_set(err, -EBUSY, "pool %s is in use: its server (process %ld) is gone, or on another "
				 "node, and a process that it started still holds the lock", pool->directory,
				 pid);
	return error_set(err, -EBUSY, "pool %s is in use by a server: process %ld", pool->directory, pid);
}

static int lock_take(struct pool *pool, struct error *err)
{
	uint64_t deadline = deadline_in_ms(LOCK_WAIT_MS);
	char text[32];
	int n;

	pool->lock_fd = openat(pool->directory_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (pool->lock_fd < 0)
		return error_set(err, -errno, "cannot open %s/lock: %s", pool->directory, strerror(errno));
	while (flock(pool->lock_fd, LOCK_EX | LOCK_NB)) {
		if (errno == EWOULDBLOCK && !deadline_left_ms(deadline))
			return lock_busy(pool, err);
		if (errno != EWOULDBLOCK && errno != EINTR)
			return error_set(err, -errno, "cannot lock %s/lock: %s", pool->directory,
					 strerror(errno));
		deadline_sleep_ms(deadline, LOCK_RETRY_MS);
	}
	n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(pool->lock_fd, 0) || pwrite(pool->lock_fd, text, (size_t)n, 0) != n)
		log_debug("pool %s: cannot write our pid into the lock file", pool->directory);
	return 0;
}

/* ---- room ---- */

/* The file system must have room for all that the slots may take, and `more`. */
static int room_check(const struct pool *pool, uint64_t more, struct error *err)
{
	uint64_t allocated, available;
	char want[32], have[32];
	struct statvfs st;
	int rc;

	rc = slotfile_allocated(pool, &allocated, err);
	if (rc)
		return rc;
	if (fstatvfs(pool->slots_fd, &st))
		return error_set(err, -errno, "cannot tell the free space of %s: %s", pool->directory,
				 strerror(errno));
	available = (uint64_t)st.f_bavail * st.f_frsize + allocated;
	if (pool->device_fd >= 0)
		return available >= more ? 0 : error_set(err, -ENOSPC, "the file system of pool %s has %s, and its metadata "
							 "needs %s: make room", pool->directory,
							 size_format(available, have, sizeof(have)),
							 size_format(more, want, sizeof(want)));
	if (available >= more && pool->size_bytes <= available - more)
		return 0;
	return error_set(err, -ENOSPC, "the file system of pool %s has %s for it, and its size is to be %s: start "
			 "the server with a smaller --size, or make room", pool->directory,
			 size_format(available > more ? available - more : 0, have, sizeof(have)),
			 size_format(pool->size_bytes, want, sizeof(want)));
}

static int size_check(const struct pool *pool, struct error *err)
{
	char want[32], reserved[32];

	if (pool->size_bytes < pool->reserved_bytes)
		return error_set(err, -ENOSPC, "the regions of pool %s reserve %s, more than its size is to be (%s): "
				 "start the server with a larger --size, and then remove jobs", pool->directory,
				 size_format(pool->reserved_bytes, reserved, sizeof(reserved)),
				 size_format(pool->size_bytes, want, sizeof(want)));
	if (!pool_on_device(pool))
		return room_check(pool, 0, err);
	if (pool->size_bytes > device_room(pool))
		return error_set(err, -ENOSPC, "device %s of pool %s has room for %s, and its size is to be %s: start the "
				 "server with a smaller --size", pool->device_path, pool->directory,
				 size_format(device_room(pool), reserved, sizeof(reserved)),
				 size_format(pool->size_bytes, want, sizeof(want)));
	return 0;
}

/* ---- metadata: create ---- */

static int root_change(struct pool *pool, void *arg)
{
	struct root_record *root = pool->root;
	int rc = change_record(root, sizeof(*root));

	if (rc)
		return rc;
	memcpy(root->magic, FORMAT_MAGIC, sizeof(root->magic));
	root->version = POOL_VERSION;
	root->record_bytes = sizeof(*root);
	memcpy(root->id, arg, sizeof(root->id));
	root->created_ns = clock_realtime_ns();
	root->metadata_bytes = pool->metadata_bytes;
	if (pool->device_fd >= 0) {
		root->device_bytes = pool->device.bytes;
		root->unit_bytes = pool->device.unit_bytes;
	}
	root->next_file = 1;
	root->next_job = 1;
	record_seal(root);
	return 0;
}

static int root_create(struct pool *pool, struct error *err)
{
	uint8_t id[16];
	PMEMoid oid = pmemobj_root(pool->pop, sizeof(struct root_record));

	if (OID_IS_NULL(oid))
		return error_set(err, -EIO, "cannot make the root record of pool %s: %s", pool->directory,
				 pmemobj_errormsg());
	if (getrandom(id, sizeof(id), 0) != sizeof(id))
		return error_set(err, -EIO, "cannot get random bytes for the id of pool %s", pool->directory);
	pool->root = pmemobj_direct(oid);
	return transaction(pool, root_change, id, err, "make the root record");
}

/*
 * Without shutdown-state tracking: it needs NVDIMMs that count unsafe shutdowns and the right to read the
 * count, is refused elsewhere, and adds nothing here: what a failed flush at power loss destroyed shows in
 * the checksums of records and sets.
 */
static void libpmemobj_set_up(void)
{
	int off = 0;

	pmemobj_ctl_set(NULL, "sds.at_create", &off);
}

static int metadata_fill(struct pool *pool, const char *path, struct error *err)
{
	int rc;

	libpmemobj_set_up();
	pool->pop = pmemobj_create(path, FORMAT_LAYOUT, pool->metadata_bytes, 0600);
	if (!pool->pop)
		return error_set(err, errno == ENOSPC ? -ENOSPC : -EIO, "cannot make %s: %s", path,
				 pmemobj_errormsg());
	rc = root_create(pool, err);
	pmemobj_close(pool->pop);
	pool->pop = NULL;
	pool->root = NULL;
	return rc;
}

static int file_sync(const struct pool *pool, const char *name, struct error *err)
{
	int fd = openat(pool->directory_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	int rc = 0;

	if (fd < 0 || fsync(fd))
		rc = error_set(err, -errno, "cannot make %s/%s durable: %s", pool->directory, name,
			       strerror(errno));
	if (fd >= 0)
		close(fd);
	return rc;
}

static int metadata_create(struct pool *pool, uint64_t bytes, struct error *err)
{
	char path[4096];
	int rc;

	pool->metadata_bytes = bytes ? size_round_up(bytes, 4096) : METADATA_DEFAULT;
	if (pool->metadata_bytes < PMEMOBJ_MIN_POOL)
		pool->metadata_bytes = PMEMOBJ_MIN_POOL;
	rc = room_check(pool, pool->metadata_bytes, err);
	if (rc)
		return rc;
	snprintf(path, sizeof(path), "%s/metadata.new", pool->directory);
	unlinkat(pool->directory_fd, "metadata.new", 0);
	rc = metadata_fill(pool, path, err);
	if (!rc)
		rc = file_sync(pool, "metadata.new", err);
	TEST_POINT("metadata-filled");
	/* P0: the metadata is whole, durably, before it has its name. */
	if (!rc && renameat(pool->directory_fd, "metadata.new", pool->directory_fd, "metadata"))
		rc = error_set(err, -errno, "cannot rename %s: %s", path, strerror(errno));
	if (rc) {
		unlinkat(pool->directory_fd, "metadata.new", 0);
		return rc;
	}
	return directory_sync(pool->directory, pool->directory_fd, err);
}

/* ---- metadata: open ---- */

static int metadata_measure(struct pool *pool, struct error *err)
{
	struct stat st;

	if (unlinkat(pool->directory_fd, "metadata.new", 0) && errno != ENOENT)
		return error_set(err, -errno, "cannot remove %s/metadata.new: %s", pool->directory,
				 strerror(errno));
	if (fstatat(pool->directory_fd, "metadata", &st, AT_SYMLINK_NOFOLLOW))
		return error_set(err, -errno, "cannot stat %s: %s", pool->metadata_path, strerror(errno));
	pool->metadata_bytes = (uint64_t)st.st_size;
	if (pool->metadata_bytes < PMEMOBJ_MIN_POOL)
		return damaged(pool, err, "%s was truncated: %lld bytes are less than any pool has",
			       pool->metadata_path, (long long)st.st_size);
	return 0;
}

static int metadata_open(struct pool *pool, struct error *err)
{
	int code;

	libpmemobj_set_up();
	pool->pop = pmemobj_open(pool->metadata_path, FORMAT_LAYOUT);
	if (pool->pop) {
		heap_classes_register(pool);
		return 0;
	}
	code = errno;
	if (code == EACCES || code == EPERM || code == ENOMEM || code == EROFS)
		return error_set(err, -code, "cannot open %s: %s", pool->metadata_path, pmemobj_errormsg());
	return damaged(pool, err, "libpmemobj cannot open %s (truncated, damaged, or none of ours): %s",
		       pool->metadata_path, pmemobj_errormsg());
}

static int metadata_load(struct pool *pool, struct error *err)
{
	int rc = metadata_open(pool, err);

	return rc ? rc : index_load(pool, err);
}

static void metadata_close(struct pool *pool)
{
	index_free(pool);
	if (pool->pop)
		pmemobj_close(pool->pop);
	pool->pop = NULL;
	pool->root = NULL;
}

/* ---- opening and closing ---- */

static int drop_unfinished(struct pool *pool, struct error *err)
{
	struct job *job, *newer;
	int rc = 0;

	for (job = pool->oldest; job && !rc; job = newer) {
		newer = job->newer;
		if (job->record->state == JOB_STATE_DROPPED)
			rc = job_finish_drop(job, err);
	}
	return rc;
}

/* What the slots are in. */
static int slots_check(struct pool *pool, const struct pool_params *params, struct error *err)
{
	int rc;

	if (!pool_on_device(pool) && device_named(params->data))
		return error_set(err, -EINVAL, "pool %s keeps its slots in files: --data with a device is for a new pool",
				 pool->directory);
	if (!pool_on_device(pool))
		return slotfile_check_all(pool, params->accept_damage, err);
	rc = device_attach(pool, params, err);
	if (!rc)
		rc = device_check_slots(pool, err);
	pool_release(pool, NULL, NULL);
	return rc;
}

static int pool_load(struct pool *pool, const struct pool_params *params, struct error *err)
{
	int rc;

	rc = metadata_measure(pool, err);
	if (!rc)
		rc = probe(pool, metadata_load, metadata_close, err);
	if (!rc)
		rc = metadata_load(pool, err);
	if (!rc)
		rc = drop_unfinished(pool, err);
	if (!rc)
		rc = slots_check(pool, params, err);
	if (!rc)
		rc = size_check(pool, err);
	if (!rc && pool->lost_objects)
		log_warning("pool %s: %llu objects of the metadata belong to no record; they take room, and do no "
			    "other harm", pool->directory, (unsigned long long)pool->lost_objects);
	return rc;
}

static int pool_prepare(struct pool *pool, const struct pool_params *params, struct error *err)
{
	int rc;

	rc = directory_open(pool, err);
	if (rc)
		return rc;
	rc = directory_is_pool(pool, err); /* before anything is put into somebody else's directory */
	if (rc < 0)
		return rc;
	rc = lock_take(pool, err);
	if (!rc)
		rc = directory_is_pool(pool, err);
	if (rc < 0)
		return rc;
	if (rc)
		return slotfile_directory(pool, NULL, err);
	if (device_named(params->data))
		rc = device_prepare(pool, params, err);
	if (!rc)
		rc = slotfile_directory(pool, pool->device_fd < 0 ? params->data : NULL, err);
	return rc ? rc : metadata_create(pool, params->metadata_bytes, err);
}

static struct pool *pool_new(const char *directory)
{
	struct pool *pool = calloc(1, sizeof(*pool));
	size_t bytes = strlen(directory) + sizeof("/metadata");

	if (!pool)
		return NULL;
	pool->directory_fd = pool->slots_fd = pool->lock_fd = pool->device_fd = -1;
	pool->directory = strdup(directory);
	pool->metadata_path = malloc(bytes);
	if (!pool->directory || !pool->metadata_path) {
		pool_close(pool);
		return NULL;
	}
	snprintf(pool->metadata_path, bytes, "%s/metadata", directory);
	return pool;
}

/* A pool survives what both its metadata and its slots do. */
static int pool_judge(struct pool *pool, struct error *err)
{
	enum media_survives slots;
	char path[PATH_MAX], medium[sizeof(pool->medium)];
	int rc;

	rc = media_judge(pool->directory, &pool->survives, pool->medium, sizeof(pool->medium), err);
	if (rc)
		return rc;
	snprintf(path, sizeof(path), "%s/slots", pool->directory);
	if (pool_on_device(pool))
		media_device_judge(&pool->device, &slots, medium, sizeof(medium));
	else
		rc = media_judge(path, &slots, medium, sizeof(medium), err);
	if (!rc && !pool_on_device(pool))
		rc = media_measure(path, &pool->granularity, err);
	if (!rc && slots < pool->survives) {
		pool->survives = slots;
		memcpy(pool->medium, medium, sizeof(medium));
	}
	return rc;
}

int pool_open(const char *directory, const struct pool_params *params, struct pool **out,
	      struct error *err)
{
	struct pool *pool;
	int rc;

	if (!params->size_bytes)
		return error_set(err, -EINVAL, "the size of pool %s is 0", directory);
	if (strlen(directory) >= sizeof(((struct pool_stat *)NULL)->directory))
		return error_set(err, -ENAMETOOLONG, "the name of pool %s is too long", directory);
	pool = pool_new(directory);
	if (!pool)
		return error_nomem(err, "a pool");
	pool->size_bytes = params->size_bytes;
	rc = pool_prepare(pool, params, err);
	if (!rc)
		rc = pool_load(pool, params, err);
	if (!rc)
		rc = pool_judge(pool, err);
	if (rc) {
		pool_close(pool);
		return rc;
	}
	*out = pool;
	return 0;
}

void pool_close(struct pool *pool)
{
	if (!pool)
		return;
	metadata_close(pool);
	device_close(pool);
	if (pool->slots_fd >= 0)
		close(pool->slots_fd);
	if (pool->directory_fd >= 0)
		close(pool->directory_fd);
	if (pool->lock_fd >= 0) /* no unlocking: processes that inherited it go on holding it */
		close(pool->lock_fd);
	free(pool->metadata_path);
	free(pool->directory);
	free(pool);
}

int pool_lock_fd(const struct pool *pool)
{
	return pool->lock_fd;
}

int pool_sample(struct pool *pool, int *fd, struct extent *extent, struct error *err)
{
	int rc;

	*extent = (struct extent){0, pool->device.unit_bytes};
	if (pool_on_device(pool)) {
		*fd = fcntl(pool->device_fd, F_DUPFD_CLOEXEC, 0);
		return *fd < 0 ? error_set(err, -errno, "device %s: %s", pool->device_path, strerror(errno)) : 0;
	}
	rc = slotfile_create(pool, pool->root->next_file, fd, err);
	if (!rc)
		slotfile_remove(pool, pool->root->next_file);
	return rc;
}

static uint64_t metadata_used_bytes(const struct pool *pool)
{
	uint64_t bytes = 0;

	for (PMEMoid oid = pmemobj_first(pool->pop); !OID_IS_NULL(oid); oid = pmemobj_next(oid))
		bytes += pmemobj_alloc_usable_size(oid);
	return bytes;
}

void pool_get_stat(const struct pool *pool, struct pool_stat *stat)
{
	*stat = (struct pool_stat){
		.size_bytes = pool->size_bytes,
		.reserved_bytes = pool->reserved_bytes,
		.metadata_bytes = pool->metadata_bytes,
		.metadata_used_bytes = metadata_used_bytes(pool),
		.jobs = pool->jobs,
		.regions = pool->regions,
		.sets = pool->sets,
		.changes = pool->changes,
		.survives = pool->survives,
	};
	snprintf(stat->medium, sizeof(stat->medium), "%s", pool->medium);
	if (pool->device_path)
		snprintf(stat->device, sizeof(stat->device), "%s", pool->device_path);
	stat->granularity = pool->granularity;
	for (size_t i = 0; i < pool->bad_count; i++)
		stat->bad_bytes += pool->bad[i].bytes;
	snprintf(stat->directory, sizeof(stat->directory), "%s", pool->directory);
	memcpy(stat->id, pool->root->id, sizeof(stat->id));
}
