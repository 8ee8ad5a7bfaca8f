/* SPDX-License-Identifier: BSD-3-Clause */
/* verbs_source.h - the initiator's choice of a device: addresses of this machine that connections can come from. */
#ifndef HOLDFAST_VERBS_SOURCE_H
#define HOLDFAST_VERBS_SOURCE_H

#include "net/verbs.h"

/* The connection manager knows devices and ports by addresses of their network interfaces. */
struct verbs_source {
	char device[IBV_SYSFS_NAME_MAX];
	unsigned port;
	struct sockaddr_storage address;
	bool on_link; /* the server is in its network */
};

/* The source on the device "NAME" or "NAME:PORT", or with the address `name`; rather one on the server's network. -ENODEV:
 * there is none, the error tells which there are. */
int verbs_source_named(const char *name, const struct sockaddr *to, struct verbs_source *source, struct error *err);

/* "DEVICE:PORT (ADDRESS), ..." of this machine, for messages. */
void verbs_source_names(const struct sockaddr *to, char *text, size_t bytes);

/* Is there a source on the server's network that is better than `device`, where the kernel's routes lead: one whose
 * device is none of `used`, names that end with NULL, or else one that is nearer to this process? */
bool verbs_source_better(const char *device, const char *const used[], const struct sockaddr *to,
			 struct verbs_source *source);

#endif
