/* SPDX-License-Identifier: BSD-3-Clause */
/* perftest.c - ib_write_bw and ib_read_bw of perftest: the limit of what verbs can reach on this device. */
#include "perftest.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "child.h"
#include "common/clock.h"
#include "rma.h"

#define RUN_MS	      120000
#define TRY_MS	      10000 /* in which the listening one must be there */
#define MESSAGES_MIN  5     /* perftest takes no less */
#define GBIT_PER_GB   8.0

struct run {
	const char *program, *address;
	char port[16], messages[24], size[24];
};

/* A port that nobody has at the moment. */
static int find_port(char *port, size_t capacity, struct error *err)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
	socklen_t length = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc = 0;

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, length) || getsockname(fd, (struct sockaddr *)&at, &length))
		rc = error_set(err, -errno, "no free port for perftest: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	snprintf(port, capacity, "%u", ntohs(at.sin_port));
	return rc;
}

/* In a child. The one that listens names no peer. */
static void run_program(const struct run *run, bool listens, int out)
{
	const char *args[] = {run->program, "-R", "-F", "--report_gbits", "--output=bandwidth", "-p", run->port,
			      "-n", run->messages, "-s", run->size, listens ? NULL : run->address, NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	dup2(listens ? null : out, STDOUT_FILENO);
	dup2(listens ? null : out, STDERR_FILENO);
	execvp(run->program, (char *const *)args);
	_exit(errno == ENOENT ? 127 : 126);
}

static int run_start(const struct run *run, bool listens, int out, pid_t *pid, struct error *err)
{
	*pid = child_fork(SIGKILL, err);
	if (!*pid)
		run_program(run, listens, out);
	return *pid < 0 ? *pid : 0;
}

/* All that the program says, until it ends. */
static int read_all(int fd, char *text, size_t capacity, struct error *err)
{
	uint64_t deadline = deadline_in_ms(RUN_MS);
	size_t used = 0;
	ssize_t n;
	int rc;

	do {
		rc = child_wait_input(fd, deadline, err);
		if (rc)
			return rc;
		n = read(fd, text + used, capacity - 1 - used);
		used += n > 0 ? (size_t)n : 0;
	} while (n > 0 && used < capacity - 1);
	text[used] = '\0';
	return 0;
}

/* One try of the client; -EAGAIN: it did not reach the other one. */
static int client_run(const struct run *run, double *speed, struct error *err)
{
	char text[4096], *last, *end;
	int out[2], rc;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC))
		return error_set(err, -errno, "pipe: %s", strerror(errno));
	rc = run_start(run, false, out[1], &pid, err);
	close(out[1]);
	if (!rc) {
		rc = read_all(out[0], text, sizeof(text), err);
		child_end(pid, rc ? SIGKILL : SIGTERM);
	}
	close(out[0]);
	if (rc)
		return rc;
	last = text + strlen(text);
	while (last > text && last[-1] == '\n')
		*--last = '\0';
	last = strrchr(text, '\n') ? strrchr(text, '\n') + 1 : text;
	*speed = strtod(last, &end) / GBIT_PER_GB;
	if (end == last || *speed <= 0)
		return error_set(err, -EAGAIN, "%s gives no figure: %.300s", run->program, text);
	return 0;
}

int perftest_run(const char *address, bool write, uint64_t bytes, double *speed, struct error *err)
{
	uint64_t deadline = deadline_in_ms(TRY_MS), messages = bytes / RMA_CHUNK_BYTES;
	struct run run = {.program = write ? "ib_write_bw" : "ib_read_bw", .address = address};
	pid_t listener = 0;
	int rc;

	snprintf(run.messages, sizeof(run.messages), "%llu",
		 (unsigned long long)(messages < MESSAGES_MIN ? MESSAGES_MIN : messages));
	snprintf(run.size, sizeof(run.size), "%u", RMA_CHUNK_BYTES);
	rc = find_port(run.port, sizeof(run.port), err);
	if (!rc)
		rc = run_start(&run, true, -1, &listener, err);
	while (!rc) {
		deadline_sleep_ms(deadline, 200);
		if (child_gone(listener)) {
			rc = error_set(err, -ENOENT, "%s does not run; install the package perftest", run.program);
			break;
		}
		rc = client_run(&run, speed, err);
		if (rc != -EAGAIN || !deadline_left_ms(deadline))
			break;
		rc = 0;
	}
	child_end(listener > 0 ? listener : 0, SIGTERM);
	return rc;
}
