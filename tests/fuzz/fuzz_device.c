/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_device.c - the header of a device: ours, and as the metadata has it, or it is refused and not written to.
 *
 * The input is what changes in a right header: a byte that says whether its checksum is made right afterwards, and then
 * positions, each with the byte that is there. A file stands in for the device.
 */
#include "pmm/device.c" /* what reads a header is not for others */

#include "fuzz.h"

#define UNITS 2

static struct root_record root = {.id = "a pool's own id", .device_bytes = UNITS * (uint64_t)MEDIA_UNIT_MIN,
				  .unit_bytes = MEDIA_UNIT_MIN};
static struct pool pool = {
	.directory = (char[]){"pool"}, .device_path = (char[]){"device"}, .root = &root,
	.device = {.bytes = UNITS * (uint64_t)MEDIA_UNIT_MIN, .unit_bytes = MEDIA_UNIT_MIN, .stand_in = true},
};

static void device_make(void)
{
	struct error err;

	pool.device_fd = memfd_create("device", MFD_CLOEXEC);
	must(pool.device_fd >= 0 && !ftruncate(pool.device_fd, (off_t)pool.device.bytes));
	must(!header_write(&pool, &err));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct device_header good;
	static uint8_t old[HEADER_BLANK_BYTES], now[HEADER_BLANK_BYTES];
	static const struct pool_params params;
	struct device_header header = {0};
	struct error err = {0};
	enum whose whose;
	int rc;

	if (!pool.device_fd) {
		device_make();
		must(pread(pool.device_fd, &good, sizeof(good), 0) == sizeof(good));
	}
	memset(old, 0, sizeof(old));
	memcpy(old, &good, sizeof(good));
	for (size_t i = 1; i + 2 < size; i += 3)
		old[(data[i] << 8 | data[i + 1]) % sizeof(old)] = data[i + 2];
	if (size && *data)
		record_seal((struct device_header *)old);
	must(pwrite(pool.device_fd, old, sizeof(old), 0) == sizeof(old));

	must(!header_read(&pool, &header, &whose, &err) && !memcmp(&header, old, sizeof(header)));
	rc = whose == OURS ? header_check(&pool, &header, &err) : whose_refuse(&pool, &params, whose, &err);
	must(!rc || (err.code == rc && *err.text));
	if (!rc && whose == OURS)
		must(header.device_bytes == root.device_bytes && header.unit_bytes == root.unit_bytes &&
		     !memcmp(header.id, root.id, sizeof(root.id)));
	must(whose != NOBODYS || is_blank(old));
	must(pread(pool.device_fd, now, sizeof(now), 0) == sizeof(now) && !memcmp(now, old, sizeof(old)));
	return 0;
}
