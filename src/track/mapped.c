/* SPDX-License-Identifier: BSD-3-Clause */
/* mapped.c - what kind of memory a range of addresses is, by /proc/self/maps. */
#include "track/mapped.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One mapping. Its line is "BEGIN-END PERMISSIONS OFFSET MAJOR:MINOR INODE  NAME". */
struct mapped {
	uintptr_t begin, end;
	char permissions[5];
	unsigned long inode;
	const char *name; /* in the line; "" for none */
};

static int mapped_parse(char *line, struct mapped *mapped)
{
	int name = 0;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*x %*x:%*x %lu %n", &mapped->begin, &mapped->end,
		   mapped->permissions, &mapped->inode, &name) != 4 ||
	    !name)
		return -EBADMSG;
	mapped->name = line + name;
	return 0;
}

static int mapped_judge(const struct mapped *mapped, struct error *err)
{
	if (mapped->permissions[3] != 'p')
		return error_set(err, -ENOTSUP, "it is shared memory%s%s", *mapped->name ? ": " : "",
				 mapped->name);
	if (mapped->inode)
		return error_set(err, -ENOTSUP, "it is a mapping of %s", mapped->name);
	if (strncmp(mapped->permissions, "rw", 2))
		return error_set(err, -ENOTSUP, "it is not both readable and writable");
	if (!strncmp(mapped->name, "[stack", 6))
		return error_set(err, -ENOTSUP, "it is on the stack");
	return 0;
}

int mapped_private(uintptr_t begin, uint64_t bytes, struct error *err)
{
	const uintptr_t end = begin + bytes;
	struct mapped mapped;
	size_t capacity = 0;
	char *line = NULL;
	FILE *maps;
	int rc = 0;

	maps = fopen("/proc/self/maps", "re");
	if (!maps)
		return error_set(err, -errno, "cannot open /proc/self/maps: %s", strerror(errno));
	while (begin < end && !rc && getline(&line, &capacity, maps) > 0) {
		rc = mapped_parse(line, &mapped);
		if (rc) {
			error_set(err, rc, "/proc/self/maps has the line \"%.80s\"", line);
		} else if (mapped.end > begin) {
			if (mapped.begin > begin)
				break;
			rc = mapped_judge(&mapped, err);
			begin = mapped.end;
		}
	}
	free(line);
	fclose(maps);
	if (!rc && begin < end)
		rc = error_set(err, -ENOTSUP, "nothing is mapped at %#" PRIxPTR, begin);
	return rc;
}
