/* SPDX-License-Identifier: BSD-3-Clause */
/* net.c - the data plane's back ends by name. */
#include "net/net.h"

#include <string.h>

static const struct net_ops *const backends[] = {&net_ofi, &net_verbs, &net_local};

const struct net_ops *net_find(const char *name)
{
	if (!name || !*name)
		return backends[0];
	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
		if (backends[i]->abi == NET_ABI && !strcmp(backends[i]->name, name))
			return backends[i];
	}
	return NULL;
}
