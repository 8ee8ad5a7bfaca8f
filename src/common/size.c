/* SPDX-License-Identifier: BSD-3-Clause */
/* size.c - sizes as people write them. */
#include "common/size.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char units[] = "KMGTPE";

int size_parse(const char *text, uint64_t *bytes)
{
	const char *unit;
	char *end;
	double value;
	int shift = 0;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	value = strtod(text, &end);
	if (*end) {
		unit = strchr(units, toupper((unsigned char)*end));
		if (!unit)
			return -EINVAL;
		shift = 10 * (int)(unit - units + 1);
		end++;
		if (!strcmp(end, "iB") || !strcmp(end, "B"))
			end += strlen(end);
	}
	value = ldexp(value, shift);
	if (*end || !(value < 0x1p63))
		return -EINVAL;
	*bytes = (uint64_t)value;
	return 0;
}

const char *size_format(uint64_t bytes, char *out, size_t capacity)
{
	double value = (double)bytes;
	int unit = -1;

	while (value >= 1024 && unit + 1 < (int)strlen(units)) {
		value /= 1024;
		unit++;
	}
	if (unit < 0)
		snprintf(out, capacity, "%llu B", (unsigned long long)bytes);
	else
		snprintf(out, capacity, "%.4g %ciB", value, units[unit]);
	return out;
}
