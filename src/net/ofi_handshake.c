/* SPDX-License-Identifier: BSD-3-Clause */
/* ofi_handshake.c - finds and ends connections that do not finish libfabric's handshake. */
#include "net/ofi_handshake.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define IDLE_MS 5000u
#define FORGOTTEN_MS 10000u
#define LIMIT 64u      /* pending ones beyond it get HURRY_MS only */
#define HURRY_MS 250u  /* a burst of honest clients is through sooner */
#define BODY_USEC 2000 /* a request is one segment: its body is there when its head is */
#define FLUSH_READS 4096u

struct ofi_handshakes {
	DIR *descriptors; /* kept open: when they run out, it could not be opened */
	in_port_t port;	  /* 0: not a socket address, nothing to do */
};

static in_port_t address_port(const struct sockaddr_storage *address)
{
	if (address->ss_family == AF_INET)
		return ((const struct sockaddr_in *)address)->sin_port;
	if (address->ss_family == AF_INET6)
		return ((const struct sockaddr_in6 *)address)->sin6_port;
	return 0;
}

static bool descriptor_has_port(int fd, in_port_t port)
{
	struct sockaddr_storage local = {0};
	socklen_t bytes = sizeof(local);

	return !getsockname(fd, (struct sockaddr *)&local, &bytes) && address_port(&local) == port;
}

static int descriptor_next(struct ofi_handshakes *handshakes)
{
	struct dirent *entry;

	while ((entry = readdir(handshakes->descriptors))) {
		if (entry->d_name[0] != '.')
			return atoi(entry->d_name);
	}
	return -1;
}

/* Accepted sockets inherit the option. Only the handshake blocks: tcp makes sockets of endpoints
 * non-blocking. */
static void listener_limit_reads(struct ofi_handshakes *handshakes)
{
	struct timeval limit = {.tv_usec = BODY_USEC};
	int fd, listening;

	rewinddir(handshakes->descriptors);
	while ((fd = descriptor_next(handshakes)) >= 0) {
		socklen_t bytes = sizeof(listening);

		if (descriptor_has_port(fd, handshakes->port) &&
		    !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &bytes) && listening)
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	}
}

int ofi_handshakes_open(const struct net_address *address, struct ofi_handshakes **out,
			struct error *err)
{
	struct ofi_handshakes *handshakes = calloc(1, sizeof(*handshakes));
	struct sockaddr_storage bound = {0};

	if (!handshakes)
		return error_nomem(err, "a listener");
	if (address->format == FI_SOCKADDR_IN || address->format == FI_SOCKADDR_IN6) {
		memcpy(&bound, address->raw, address->bytes);
		handshakes->port = address_port(&bound);
		handshakes->descriptors = opendir("/proc/self/fd");
	}
	if (!handshakes->descriptors)
		handshakes->port = 0;
	if (handshakes->port)
		listener_limit_reads(handshakes);
	*out = handshakes;
	return 0;
}

/* Of the connections to our port, the sockets that no endpoint owns yet: tcp has not made them
 * non-blocking. Only the thread that reads the listener's event queue closes them. */
static bool descriptor_pending(const struct ofi_handshakes *handshakes, int fd)
{
	int protocol = 0, flags;
	socklen_t bytes = sizeof(protocol);

	if (!descriptor_has_port(fd, handshakes->port) ||
	    getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &bytes) || protocol != IPPROTO_TCP)
		return false;
	flags = fcntl(fd, F_GETFL);
	return flags >= 0 && !(flags & O_NONBLOCK);
}

static unsigned handshakes_trim(struct ofi_handshakes *handshakes, unsigned idle_ms,
				unsigned hurry_ms)
{
	unsigned count = 0;
	int fd;

	if (!handshakes->port)
		return 0;
	rewinddir(handshakes->descriptors);
	while ((fd = descriptor_next(handshakes)) >= 0) {
		struct tcp_info info = {0};
		socklen_t bytes = sizeof(info);

		if (!descriptor_pending(handshakes, fd))
			continue;
		count++;
		if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes))
			continue;
		if (info.tcpi_last_data_recv >= FORGOTTEN_MS)
			close(fd); /* shut down long ago and still here: 2.1 forgets such sockets */
		else if (info.tcpi_last_data_recv >= (count > LIMIT ? hurry_ms : idle_ms))
			shutdown(fd, SHUT_RDWR); /* the provider sees its end and frees it */
	}
	return count;
}

unsigned ofi_handshakes_trim(struct ofi_handshakes *handshakes)
{
	return handshakes_trim(handshakes, IDLE_MS, HURRY_MS);
}

void ofi_handshakes_close(struct ofi_handshakes *handshakes, struct fid_eq *eq)
{
	union ofi_event event;
	uint32_t type;

	if (!handshakes)
		return;
	for (unsigned i = 0; i < FLUSH_READS && handshakes_trim(handshakes, 0, 0); i++) {
		ssize_t n;

		errno = 0;
		n = fi_eq_read(eq, &type, &event, sizeof(event), 0);
		if (n >= (ssize_t)sizeof(event.cm) && type == FI_CONNREQ)
			fi_freeinfo(event.cm.info);
	}
	if (handshakes->descriptors)
		closedir(handshakes->descriptors);
	free(handshakes);
}
