/* SPDX-License-Identifier: BSD-3-Clause */
/* address.c - server addresses. */
#include "common/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static int unix_parse(const char *path, struct address *address, struct error *err)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&address->storage;

	if (!*path || strlen(path) >= sizeof(un->sun_path))
		return error_set(err, -EINVAL, "'unix:%s': a socket's path has 1 to %zu bytes", path,
				 sizeof(un->sun_path) - 1);
	memset(address, 0, sizeof(*address));
	un->sun_family = AF_UNIX;
	strcpy(un->sun_path, path);
	address->bytes = sizeof(*un);
	return 0;
}

/* Splits into host and port; an address of version 6 stands in brackets where a port follows. */
static int split(const char *text, char *host, size_t capacity, const char **port)
{
	const char *end, *colon = strrchr(text, ':');
	size_t n;

	*port = ADDRESS_PORT_DEFAULT;
	if (*text == '[') {
		end = strchr(text++, ']');
		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		if (end[1])
			*port = end + 2;
	} else if (colon && colon == strchr(text, ':')) {
		end = colon;
		*port = colon + 1;
	} else {
		end = text + strlen(text);
	}
	n = (size_t)(end - text);
	if (!n || n >= capacity || !**port)
		return -EINVAL;
	memcpy(host, text, n);
	host[n] = '\0';
	return 0;
}

int address_parse(const char *text, bool passive, struct address *address, struct error *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	const char *port;
	char host[NI_MAXHOST], *end;
	unsigned long number;
	int rc;

	if (!strncmp(text, "unix:", 5))
		return unix_parse(text + 5, address, err);
	if (split(text, host, sizeof(host), &port))
		return error_set(err, -EINVAL,
				 "'%s' is no server address: write HOST, HOST:PORT, [V6ADDRESS]:PORT or "
				 "unix:PATH",
				 text);
	number = strtoul(port, &end, 10);
	if (*end || number > 65535)
		return error_set(err, -EINVAL, "'%s': the port is a number from 0 to 65535", text);
	hints.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0);
	rc = getaddrinfo(strcmp(host, "*") ? host : NULL, port, &hints, &found);
	if (rc)
		return error_set(err, -ENXIO, "host '%s' cannot be resolved: %s; check the name", host,
				 gai_strerror(rc));
	memset(address, 0, sizeof(*address));
	memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
	address->bytes = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

const char *address_format(const struct address *address, char *out)
{
	const struct sockaddr *sa = (const struct sockaddr *)&address->storage;
	const struct sockaddr_un *un = (const struct sockaddr_un *)sa;
	char host[64], port[8];

	if (sa->sa_family == AF_UNIX)
		snprintf(out, ADDRESS_TEXT_BYTES, "unix:%.*s", (int)sizeof(un->sun_path), un->sun_path);
	else if (getnameinfo(sa, address->bytes, host, sizeof(host), port, sizeof(port),
			     NI_NUMERICHOST | NI_NUMERICSERV))
		snprintf(out, ADDRESS_TEXT_BYTES, "(unknown)");
	else
		snprintf(out, ADDRESS_TEXT_BYTES, sa->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
			 port);
	return out;
}

bool address_is_local(const struct address *address)
{
	const struct sockaddr *sa = (const struct sockaddr *)&address->storage;

	switch (sa->sa_family) {
	case AF_UNIX:
		return true;
	case AF_INET:
		return ntohl(((const struct sockaddr_in *)sa)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	case AF_INET6:
		return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)sa)->sin6_addr);
	default:
		return false;
	}
}
