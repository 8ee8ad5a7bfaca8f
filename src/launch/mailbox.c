/* SPDX-License-Identifier: BSD-3-Clause */
/* mailbox.c - a note: "TOKEN INCARNATION WORD\n". */
#include "launch/mailbox.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <sodium.h>
#include "common/address.h"
#include "common/clock.h"

#define TOKEN_BYTES    16
#define TOKEN_TEXT     (2 * TOKEN_BYTES + 1)
#define ADDRESSES_MAX  8
#define ADDRESS_BYTES  (TOKEN_TEXT + ADDRESSES_MAX * (ADDRESS_TEXT_BYTES + 1))
#define NOTE_BYTES     96
#define QUEUE	       16
#define ARRIVAL_MS     50   /* between a note's connection and its bytes */
#define TAKE_MS	       1000 /* for all that is in the queue */
#define POST_MS	       1500 /* for one address */

struct mailbox {
	int fd;
	char address[ADDRESS_BYTES];
	struct {
		bool known;
		unsigned incarnation; /* of the latest one */
	} notes[MAILBOX_NOTES];
};

static const char *const words[MAILBOX_NOTES] = {
	[MAILBOX_BEGUN] = " begun\n",
	[MAILBOX_FINALIZED] = " finalized\n",
};

/* Those of this node that others may reach; loopback's only where there is nothing else. */
static void addresses_append(struct mailbox *m, unsigned port)
{
	struct ifaddrs *list, *at;
	struct address address;
	char text[ADDRESS_TEXT_BYTES];
	unsigned count = 0;

	if (getifaddrs(&list))
		return;
	for (int loopback = 0; loopback < 2 && !count; loopback++) {
		for (at = list; at && count < ADDRESSES_MAX; at = at->ifa_next) {
			if (!at->ifa_addr || at->ifa_addr->sa_family != AF_INET || !(at->ifa_flags & IFF_UP) ||
			    !!(at->ifa_flags & IFF_LOOPBACK) != loopback)
				continue;
			memset(&address, 0, sizeof(address));
			memcpy(&address.storage, at->ifa_addr, sizeof(struct sockaddr_in));
			((struct sockaddr_in *)&address.storage)->sin_port = htons((uint16_t)port);
			address.bytes = sizeof(struct sockaddr_in);
			address_format(&address, text);
			strcat(m->address, " ");
			strcat(m->address, text);
			count++;
		}
	}
	freeifaddrs(list);
}

int mailbox_open(struct mailbox **out, struct error *err)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	socklen_t bytes = sizeof(any);
	uint8_t token[TOKEN_BYTES];
	struct mailbox *m = calloc(1, sizeof(*m));
	int rc;

	if (!m || sodium_init() < 0) {
		free(m);
		return error_nomem(err, "a mailbox");
	}
	randombytes_buf(token, sizeof(token));
	sodium_bin2hex(m->address, sizeof(m->address), token, sizeof(token));
	m->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (m->fd < 0 || bind(m->fd, (struct sockaddr *)&any, sizeof(any)) || listen(m->fd, QUEUE) ||
	    getsockname(m->fd, (struct sockaddr *)&any, &bytes)) {
		rc = -errno;
		mailbox_close(m);
		return error_set(err, rc, "the launcher has no socket for its ranks: %s", strerror(-rc));
	}
	addresses_append(m, ntohs(any.sin_port));
	*out = m;
	return 0;
}

const char *mailbox_address(const struct mailbox *m)
{
	return m->address;
}

static void note_take(struct mailbox *m, int fd)
{
	char note[NOTE_BYTES] = "", *end;
	struct pollfd pfd = {fd, POLLIN, 0};
	unsigned long incarnation;
	ssize_t n;

	if (poll(&pfd, 1, ARRIVAL_MS) <= 0)
		return;
	n = recv(fd, note, sizeof(note) - 1, MSG_DONTWAIT);
	if (n < TOKEN_TEXT || sodium_memcmp(note, m->address, TOKEN_TEXT - 1) || note[TOKEN_TEXT - 1] != ' ')
		return;
	incarnation = strtoul(note + TOKEN_TEXT, &end, 10);
	for (int i = 0; i < MAILBOX_NOTES; i++) {
		if (strcmp(end, words[i]))
			continue;
		m->notes[i].known = true;
		m->notes[i].incarnation = (unsigned)incarnation;
	}
}

bool mailbox_has(struct mailbox *m, enum mailbox_note note, unsigned incarnation)
{
	uint64_t deadline = deadline_in_ms(TAKE_MS);
	int fd;

	while (deadline_left_ms(deadline) && (fd = accept4(m->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		note_take(m, fd);
		close(fd);
	}
	return m->notes[note].known && m->notes[note].incarnation == incarnation;
}

void mailbox_close(struct mailbox *m)
{
	if (!m)
		return;
	if (m->fd >= 0)
		close(m->fd);
	free(m);
}

/* ---- from a rank ---- */

static int post(const struct address *to, const char *note, size_t bytes)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 1}; /* close() waits until the note is there */
	struct pollfd pfd = {.events = POLLOUT};
	int code = 0, fd;
	socklen_t length = sizeof(code);

	fd = socket(to->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	pfd.fd = fd;
	if (connect(fd, (const struct sockaddr *)&to->storage, to->bytes) && errno != EINPROGRESS)
		code = errno;
	else if (poll(&pfd, 1, POST_MS) <= 0)
		code = ETIMEDOUT;
	else
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	if (!code && send(fd, note, bytes, MSG_NOSIGNAL) != (ssize_t)bytes)
		code = EIO;
	close(fd);
	return -code;
}

int mailbox_post(const char *address, enum mailbox_note which, unsigned incarnation, struct error *err)
{
	char copy[ADDRESS_BYTES], note[NOTE_BYTES], *token, *at, *rest;
	struct address to;
	int rc = -EINVAL, n;

	if (strlen(address) >= sizeof(copy))
		return error_set(err, -EINVAL, MAILBOX_VARIABLE " is too long");
	strcpy(copy, address);
	token = strtok_r(copy, " ", &rest);
	n = snprintf(note, sizeof(note), "%s %u%s", token ? token : "", incarnation, words[which]);
	if (!token || n >= (int)sizeof(note))
		return error_set(err, -EINVAL, MAILBOX_VARIABLE " is malformed");
	while ((at = strtok_r(NULL, " ", &rest))) {
		rc = address_parse(at, false, &to, err);
		if (!rc)
			rc = post(&to, note, (size_t)n);
		if (!rc)
			return 0;
	}
	return error_set(err, rc, "the launcher cannot be reached at %s: %s", address + strlen(token),
			 strerror(-rc));
}
