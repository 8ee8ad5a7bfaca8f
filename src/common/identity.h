/* SPDX-License-Identifier: BSD-3-Clause */
/* identity.h - users and groups of this machine, by name or number. */
#ifndef HOLDFAST_IDENTITY_H
#define HOLDFAST_IDENTITY_H

#include <stddef.h>
#include <stdint.h>

#define IDENTITY_NAME_BYTES 64

/* 0; -ENOENT where there is neither such a name nor a number (below UINT32_MAX, which is nobody). It may ask the network. */
int identity_user(const char *text, uint32_t *uid);
int identity_group(const char *text, uint32_t *gid);

/* The name, or the number where it has none, into `out` (IDENTITY_NAME_BYTES); returns it. */
const char *identity_user_name(uint32_t uid, char *out);
const char *identity_group_name(uint32_t gid, char *out);

#endif
