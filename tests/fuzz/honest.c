/* SPDX-License-Identifier: BSD-3-Clause */
/* honest.c - a rank that stores and reads back while others do what they like. */
#include "honest.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "rank.h"
#include "speaker.h"

#define PAUSE_MS 120000
#define PAUSE	 'p'
#define GO	 'g'
#define END	 'e'
#define KEPT	 32 /* epochs, of which it knows what was stored */

/* In the process that stores. */
static struct client *rank_open(unsigned number, enum region_mode mode)
{
	struct client_identity identity = identity_of(0, 2);
	struct client_options options = options_of_server();
	char job[JOB_NAME_BYTES];

	snprintf(job, sizeof(job), SPEAKER_HONEST "%u", number);
	identity.job = job;
	identity.mode = mode;
	return open_with(&options, &identity);
}

static void store(struct client *client, uint64_t epoch)
{
	for (size_t i = 0; i < memory.count; i++)
		touch(i, random_below((unsigned)blocks_of(i)));
	put_ok(client, epoch, epoch - 1, SET_INCREMENT);
	if (epoch > KEPT)
		past_forget(&past[epoch - KEPT]);
}

/* What is there may have been merged away when it is asked for, or have been stored before what is known. */
static void read_back(struct client *client, uint64_t newest)
{
	const struct set_info *sets;
	size_t count = client_sets(client, &sets);
	uint64_t epoch = count ? sets[random_below((unsigned)count)].epoch : 0;
	int rc;

	get_ok(client, 0, newest);
	if (!epoch || !past[epoch].count)
		return;
	rc = get(client, 0, epoch);
	ck_assert_msg(!rc || rc == -ENOENT, "epoch %d: %d %s", (int)epoch, rc, err.text);
}

/* What the server says that it holds, it does. */
static void read_all(struct client *client, uint64_t newest)
{
	const struct set_info *sets;
	size_t count;

	ck_assert_msg(!client_refresh(client, &err), "%s", err.text);
	get_ok(client, 0, newest);
	count = client_sets(client, &sets);
	for (size_t i = 0; i < count; i++) {
		if (past[sets[i].epoch].count)
			get_ok(client, 0, sets[i].epoch);
		count = client_sets(client, &sets);
	}
}

static void store_and_read(struct client *client, uint64_t *epoch)
{
	if (*epoch + 1 < EPOCHS)
		store(client, ++*epoch);
	read_back(client, *epoch);
}

/* A byte on `fd` is the word to pause, which is answered by the epoch, and the next one to go on, or to end. */
static void live(int fd, unsigned number, enum region_mode mode)
{
	static const uint64_t sizes[] = {50000, 2 * BLOCK + 77};
	struct client *client = rank_open(number, mode);
	struct pollfd word = {fd, POLLIN, 0};
	uint64_t epoch = 0;
	char byte;

	memory_make(sizes, sizeof(sizes) / sizeof(sizes[0]));
	for (unsigned i = 0; i < 3; i++) /* all slots have their size */
		store_and_read(client, &epoch);
	do {
		ck_assert(write(fd, &epoch, sizeof(epoch)) == sizeof(epoch));
		ck_assert(read(fd, &byte, 1) == 1);
		if (byte == END)
			break;
		do {
			store_and_read(client, &epoch);
		} while (!poll(&word, 1, (int)random_below(10)));
	} while (read(fd, &byte, 1) == 1);
	read_all(client, epoch);
	ck_assert_msg(!client_close(client, false, &err), "%s", err.text);
}

/* ---- in the process that tests ---- */

static void wait_paused(struct honest *honest)
{
	struct pollfd answer = {honest->fd, POLLIN, 0};

	ck_assert_msg(poll(&answer, 1, PAUSE_MS) == 1, "an honest rank does not come to an end of what it does");
	ck_assert_msg(read(honest->fd, &honest->epoch, sizeof(honest->epoch)) == sizeof(honest->epoch),
		      "an honest rank has failed");
}

void honest_start(struct honest *honest, unsigned number, enum region_mode mode)
{
	int fds[2];

	ck_assert(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
	honest->pid = fork();
	ck_assert_int_ge(honest->pid, 0);
	if (!honest->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fds[0]);
		live(fds[1], number, mode);
		_exit(0);
	}
	close(fds[1]);
	honest->fd = fds[0];
	wait_paused(honest);
}

static void tell(struct honest *honest, char word)
{
	ck_assert_msg(send(honest->fd, &word, 1, MSG_NOSIGNAL) == 1, "an honest rank has failed");
}

void honest_pause(struct honest *honest)
{
	tell(honest, PAUSE);
	wait_paused(honest);
}

void honest_go(struct honest *honest)
{
	tell(honest, GO);
}

void honest_end(struct honest *honest)
{
	int status = -1;

	tell(honest, END);
	ck_assert(waitpid(honest->pid, &status, 0) == honest->pid);
	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "an honest rank has failed");
	close(honest->fd);
}
