/* SPDX-License-Identifier: BSD-3-Clause */
/* device.c - devdax devices: size, alignment, bad blocks. */
#include "media/media.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libpmem2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/testpoint.h"

/* May a regular file stand in for a device? In tests. */
static bool stand_in_is_fine(void)
{
#ifdef HOLDFAST_TEST_POINTS
	return getenv("HOLDFAST_TEST_DEVICE") != NULL;
#else
	return false;
#endif
}

static int measure(int fd, const char *path, struct media_device *device, struct error *err)
{
	struct pmem2_source *source = NULL;
	size_t bytes = 0, unit = 0;
	int rc = pmem2_source_from_fd(&source, fd);

	if (!rc)
		rc = pmem2_source_size(source, &bytes);
	if (!rc)
		rc = pmem2_source_alignment(source, &unit);
	pmem2_source_delete(&source);
	if (rc == PMEM2_E_INVALID_FILE_TYPE)
		return error_set(err, -ENOTBLK, "%s is no directory, and no devdax device", path);
	if (rc)
		return error_set(err, -EIO, "device %s cannot be used: %s", path, pmem2_errormsg());
	device->bytes = bytes;
	device->unit_bytes = unit;
	return 0;
}

int media_device_open(const char *path, int *out, struct media_device *device, struct error *err)
{
	struct stat st;
	int fd, rc;

	if (stat(path, &st))
		return error_set(err, -errno, "%s: %s", path, strerror(errno));
	/* Opening one that we do not know might do something. */
	if (!S_ISCHR(st.st_mode) && !(S_ISREG(st.st_mode) && stand_in_is_fine()))
		return error_set(err, -ENOTBLK, "%s is no directory, and no devdax device", path);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return error_set(err, -errno, "cannot open device %s: %s", path, strerror(errno));
	*device = (struct media_device){.stand_in = S_ISREG(st.st_mode)};
	rc = measure(fd, path, device, err);
	if (rc) {
		close(fd);
		return rc;
	}
	if (device->unit_bytes < MEDIA_UNIT_MIN)
		device->unit_bytes = MEDIA_UNIT_MIN;
	device->bytes -= device->bytes % device->unit_bytes;
	*out = fd;
	return 0;
}

void media_device_judge(const struct media_device *device, enum media_survives *survives, char *why,
			size_t capacity)
{
	*survives = device->stand_in ? MEDIA_SURVIVES_PROCESS : MEDIA_SURVIVES_POWER;
	snprintf(why, capacity, "%s", device->stand_in ? "a file that stands in for a device" : "devdax");
}

/* ---- bad blocks ---- */

/* What a test says of its stand-in: lines of offset and bytes, in a file beside it. */
static int stand_in_bad(const char *path, int (*each)(void *arg, struct extent bad), void *arg)
{
	struct extent bad;
	char name[4096];
	FILE *file;
	int rc = 0;

	snprintf(name, sizeof(name), "%s.bad", path);
	file = fopen(name, "re");
	if (!file)
		return 0;
	while (!rc && fscanf(file, "%" SCNu64 " %" SCNu64, &bad.offset, &bad.bytes) == 2)
		rc = each(arg, bad);
	fclose(file);
	return rc;
}

int media_device_bad(int fd, const char *path, int (*each)(void *arg, struct extent bad), void *arg,
		     struct error *err)
{
	struct pmem2_badblock_context *context = NULL;
	struct pmem2_source *source = NULL;
	struct pmem2_badblock block;
	struct stat st;
	int rc;

	if (stand_in_is_fine() && !fstat(fd, &st) && S_ISREG(st.st_mode)) {
		rc = stand_in_bad(path, each, arg);
		return rc ? error_set(err, rc, "bad blocks of device %s: %s", path, strerror(-rc)) : 0;
	}
	rc = pmem2_source_from_fd(&source, fd);
	if (!rc)
		rc = pmem2_badblock_context_new(&context, source);
	if (rc) {
		rc = error_set(err, -EOPNOTSUPP, "bad blocks of device %s cannot be told: %s", path, pmem2_errormsg());
		goto out;
	}
	while (!rc && !pmem2_badblock_next(context, &block))
		rc = each(arg, (struct extent){block.offset, block.length});
	if (rc)
		rc = error_set(err, rc, "bad blocks of device %s: %s", path, strerror(-rc));
out:
	pmem2_badblock_context_delete(&context);
	pmem2_source_delete(&source);
	return rc;
}
