/* SPDX-License-Identifier: BSD-3-Clause */
/* input.c - the thread between standard input and the launcher. */
#include "launch/input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/thread.h"

#define PIECE_BYTES 65536

struct input {
	int source; /* what descriptor 0 was */
	int kept;   /* the file */
	int out;    /* the writing end of the pipe; -1: stopped */
	int wake;   /* ends the thread */
	pthread_t thread;
	bool running;
	uint64_t max_bytes;
	/* the thread's, while it runs */
	uint64_t kept_bytes, passed_bytes;
	bool overflow, ended;
};

/* Waits until `fd` is ready; false: the thread is to end. */
static bool wait_for(const struct input *input, int fd, short events)
{
	struct pollfd fds[] = {{fd, events, 0}, {input->wake, POLLIN, 0}};

	while (poll(fds, 2, -1) < 0 && errno == EINTR)
		continue;
	return !(fds[1].revents & POLLIN);
}

static bool pass(struct input *input, const char *at, size_t bytes)
{
	ssize_t n;

	while (bytes) {
		if (!wait_for(input, input->out, POLLOUT))
			return false;
		n = write(input->out, at, bytes);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false; /* nobody reads it */
		if (n > 0) {
			at += n;
			bytes -= (size_t)n;
			input->passed_bytes += (uint64_t)n;
		}
	}
	return true;
}

/* What is kept, then what comes. */
static ssize_t next_piece(struct input *input, char *piece)
{
	ssize_t n;

	if (input->passed_bytes < input->kept_bytes)
		return pread(input->kept, piece, PIECE_BYTES, (off_t)input->passed_bytes);
	if (input->ended)
		return 0;
	if (!wait_for(input, input->source, POLLIN))
		return -1;
	n = read(input->source, piece, PIECE_BYTES);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return next_piece(input, piece);
	if (n <= 0) {
		input->ended = true;
		return 0;
	}
	if (!input->overflow && (input->kept_bytes + (uint64_t)n > input->max_bytes ||
				 pwrite(input->kept, piece, (size_t)n, (off_t)input->kept_bytes) != n))
		input->overflow = true;
	input->kept_bytes += (uint64_t)n;
	return n;
}

static void *input_run(void *arg)
{
	struct input *input = arg;
	char *piece = malloc(PIECE_BYTES);
	ssize_t n;

	while (piece && (n = next_piece(input, piece)) > 0) {
		if (!pass(input, piece, (size_t)n))
			break;
	}
	free(piece);
	close(input->out);
	return NULL;
}

static int input_start(struct input *input, struct error *err)
{
	int fds[2], rc;

	if (pipe2(fds, O_CLOEXEC))
		return error_set(err, -errno, "standard input cannot be kept: %s", strerror(errno));
	if (dup2(fds[0], STDIN_FILENO) < 0 || fcntl(fds[1], F_SETFL, O_NONBLOCK)) {
		rc = -errno;
		close(fds[0]);
		close(fds[1]);
		return error_set(err, rc, "standard input cannot be kept: %s", strerror(-rc));
	}
	close(fds[0]);
	input->out = fds[1];
	input->passed_bytes = 0;
	rc = thread_begin(&input->thread, input_run, input);
	if (rc) {
		close(input->out);
		return error_set(err, rc, "standard input cannot be kept: %s", strerror(-rc));
	}
	input->running = true;
	return 0;
}

static int file_open(void)
{
	const char *directory = getenv("TMPDIR");
	FILE *file = NULL;
	int fd;

	fd = open(directory && *directory ? directory : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	file = tmpfile(); /* file systems without O_TMPFILE */
	if (!file)
		return -1;
	fd = fcntl(fileno(file), F_DUPFD_CLOEXEC, 0);
	fclose(file);
	return fd;
}

int input_open(uint64_t max_bytes, struct input **out, struct error *err)
{
	struct input *input;
	struct stat status;
	int rc;

	*out = NULL;
	if (fstat(STDIN_FILENO, &status) ||
	    !(S_ISREG(status.st_mode) || S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)))
		return 0;
	input = calloc(1, sizeof(*input));
	if (!input)
		return error_nomem(err, "standard input");
	input->max_bytes = max_bytes;
	input->kept = file_open();
	input->source = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	input->wake = eventfd(0, EFD_CLOEXEC);
	if (input->kept < 0 || input->source < 0 || input->wake < 0)
		rc = error_set(err, -errno, "standard input cannot be kept: %s", strerror(errno));
	else
		rc = input_start(input, err);
	if (rc) {
		input_close(input);
		return rc;
	}
	*out = input;
	return 0;
}

void input_close(struct input *input)
{
	if (!input)
		return;
	input_stop(input);
	if (input->kept >= 0)
		close(input->kept);
	if (input->source >= 0)
		close(input->source);
	if (input->wake >= 0)
		close(input->wake);
	free(input);
}

void input_stop(struct input *input)
{
	uint64_t one = 1;

	if (!input || !input->running)
		return;
	if (write(input->wake, &one, sizeof(one)) < 0)
		return;
	pthread_join(input->thread, NULL);
	if (read(input->wake, &one, sizeof(one)) < 0)
		return;
	input->running = false;
}

int input_again(struct input *input, struct error *err)
{
	if (!input)
		return 0;
	input_stop(input);
	if (input->overflow)
		return error_set(err, -EFBIG,
				 "its standard input is longer than the %llu bytes that are kept (stdin_max)",
				 (unsigned long long)input->max_bytes);
	return input_start(input, err);
}
