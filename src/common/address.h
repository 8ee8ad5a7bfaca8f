/* SPDX-License-Identifier: BSD-3-Clause */
/* address.h - server addresses as people write them: HOST, HOST:PORT, [V6]:PORT, unix:PATH. */
#ifndef HOLDFAST_ADDRESS_H
#define HOLDFAST_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include "common/error.h"

#define ADDRESS_PORT_DEFAULT "7300"
#define ADDRESS_TEXT_BYTES   128

struct address {
	struct sockaddr_storage storage;
	socklen_t bytes;
};

/* Resolves the first address that `text` names. -EINVAL where it is malformed, -ENXIO where the name is
 * unknown; the text says so. `passive`: for listening ("*" is every address). May ask the resolver, which
 * has its own time limits. */
int address_parse(const char *text, bool passive, struct address *address, struct error *err);

/* Writes it the way address_parse() reads it, and returns `out` (ADDRESS_TEXT_BYTES). */
const char *address_format(const struct address *address, char *out);

/* True for a UNIX socket, 127.0.0.0/8 and ::1: only this machine can reach it. */
bool address_is_local(const struct address *address);

#endif
