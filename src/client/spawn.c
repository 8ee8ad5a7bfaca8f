/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * spawn.c - starting a program that shares nothing with us.
 *
 * By posix_spawn(3): a rank may be large, and its pages registered with a fabric, so that nothing of its
 * address space must be copied, and no handler of pthread_atfork() run.
 */
#include "client/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/clock.h"

extern char **environ;

/* What the program finds instead of our descriptors: `err_fd` as its standard error. */
static int files_set_up(posix_spawn_file_actions_t *files, int err_fd)
{
	int code = posix_spawn_file_actions_adddup2(files, err_fd, STDERR_FILENO);

	if (!code)
		code = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (!code)
		code = posix_spawn_file_actions_addopen(files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	if (!code)
		code = posix_spawn_file_actions_addclosefrom_np(files, STDERR_FILENO + 1);
	if (!code)
		code = posix_spawn_file_actions_addchdir_np(files, "/");
	return code;
}

static int attributes_set_up(posix_spawnattr_t *attributes)
{
	sigset_t none, all;
	int code;

	sigemptyset(&none);
	sigfillset(&all);
	code = posix_spawnattr_setsigmask(attributes, &none);
	if (!code)
		code = posix_spawnattr_setsigdefault(attributes, &all);
	if (!code)
		code = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
								    POSIX_SPAWN_SETSIGDEF);
	return code;
}

/* The launcher binds a rank to its cores, which the program must not be bound to. */
static int spawn_unbound(char *const argv[], const posix_spawn_file_actions_t *files,
			 const posix_spawnattr_t *attributes, pid_t *pid)
{
	cpu_set_t ours, all;
	bool bound = !sched_getaffinity(0, sizeof(ours), &ours);
	int code;

	memset(&all, 0xff, sizeof(all));
	if (bound)
		sched_setaffinity(0, sizeof(all), &all);
	code = posix_spawnp(pid, argv[0], files, attributes, argv, environ);
	if (bound)
		sched_setaffinity(0, sizeof(ours), &ours);
	return code;
}

static int spawn(char *const argv[], int err_fd, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	int code = posix_spawn_file_actions_init(&files);

	if (code)
		return -code;
	code = posix_spawnattr_init(&attributes);
	if (code)
		goto err_files;
	code = files_set_up(&files, err_fd);
	if (!code)
		code = attributes_set_up(&attributes);
	if (!code)
		code = spawn_unbound(argv, &files, &attributes, pid);
	posix_spawnattr_destroy(&attributes);
err_files:
	posix_spawn_file_actions_destroy(&files);
	return -code;
}

/* Reads to the end, and keeps what came last. */
static int listen_to(int fd, uint64_t deadline, char *said, size_t capacity)
{
	struct pollfd pfd = {fd, POLLIN, 0};
	size_t used = 0;
	char part[256];
	ssize_t n;

	said[0] = '\0';
	for (;;) {
		if (poll(&pfd, 1, deadline_left_ms(deadline)) < 0 && errno == EINTR)
			continue;
		if (!pfd.revents)
			return -ETIMEDOUT;
		n = read(fd, part, sizeof(part) < capacity ? sizeof(part) : capacity - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return 0;
		if ((size_t)n > capacity - 1 - used) {
			size_t over = (size_t)n - (capacity - 1 - used);

			memmove(said, said + over, used - over);
			used -= over;
		}
		memcpy(said + used, part, (size_t)n);
		used += (size_t)n;
		said[used] = '\0';
	}
}

/* The application may have waited for it instead, or told the kernel to. */
static void reap(pid_t pid, uint64_t deadline)
{
	pid_t done;

	do {
		done = waitpid(pid, NULL, WNOHANG);
		if (!done)
			deadline_sleep_ms(deadline, 1);
	} while ((!done && deadline_left_ms(deadline)) || (done < 0 && errno == EINTR));
}

int spawn_background(char *const argv[], uint64_t deadline, char *said, size_t capacity,
		     struct error *err)
{
	int fds[2], rc;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return error_set(err, -errno, "pipe: %s", strerror(errno));
	rc = spawn(argv, fds[1], &pid);
	close(fds[1]);
	if (rc) {
		close(fds[0]);
		return error_set(err, rc, "%s cannot be run: %s", argv[0], strerror(-rc));
	}
	rc = listen_to(fds[0], deadline, said, capacity);
	close(fds[0]);
	if (rc) {
		/* What it forked sees that it is gone when it is ready, and ends. */
		kill(pid, SIGKILL);
		error_set(err, rc, "%s is not ready in time", argv[0]);
		deadline = deadline_in_ms(1000);
	}
	reap(pid, deadline);
	return rc;
}
