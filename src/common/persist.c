/* SPDX-License-Identifier: BSD-3-Clause */
/* persist.c - names of the persist methods. */
#include "common/persist.h"

#include <string.h>

static const char *const names[PERSIST_END] = {"server", "flush", "read", "store"};

const char *persist_name(unsigned method)
{
	return method < PERSIST_END ? names[method] : "?";
}

enum persist_method persist_find(const char *name)
{
	enum persist_method method = PERSIST_SERVER;

	while (method < PERSIST_END && strcmp(names[method], name) != 0)
		method++;
	return method;
}
