/* SPDX-License-Identifier: BSD-3-Clause */
/* child.c - the processes that a benchmark starts: none of them, nor theirs, outlives it. */
#include "child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "common/clock.h"

#define CHILDREN_MAX 256
#define END_MS	     10000

static pid_t children[CHILDREN_MAX];
static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
	interrupted = signal;
}

int child_init(struct error *err)
{
	struct sigaction action = {.sa_handler = on_signal};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		return error_set(err, -errno, "cannot adopt orphans: %s", strerror(errno));
	return 0;
}

int child_interrupted(struct error *err)
{
	if (!interrupted)
		return 0;
	return error_set(err, -EINTR, "interrupted (%s)", strsignal(interrupted));
}

pid_t child_fork(int signal_at_our_death, struct error *err)
{
	pid_t parent = getpid(), pid;
	unsigned free_place = 0;

	while (free_place < CHILDREN_MAX && children[free_place])
		free_place++;
	if (free_place == CHILDREN_MAX)
		return error_set(err, -EAGAIN, "more than %d processes", CHILDREN_MAX);
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return error_set(err, -errno, "cannot start a process: %s", strerror(errno));
	if (pid) {
		children[free_place] = pid;
		return pid;
	}
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	setpgid(0, 0); /* out of the terminal's foreground */
	prctl(PR_SET_PDEATHSIG, signal_at_our_death);
	if (getppid() != parent)
		_exit(1);
	return 0;
}

bool child_gone(pid_t pid)
{
	siginfo_t info = {0};

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid;
}

void child_end(pid_t pid, int signal)
{
	uint64_t deadline = deadline_in_ms(END_MS);

	if (!pid)
		return;
	kill(pid, signal);
	while (!child_gone(pid) && deadline_left_ms(deadline))
		deadline_sleep_ms(deadline, 5);
	kill(pid, SIGKILL); /* at worst a zombie, which is still ours */
	waitpid(pid, NULL, 0);
	for (unsigned i = 0; i < CHILDREN_MAX; i++) {
		if (children[i] == pid)
			children[i] = 0;
	}
}

/* What a child of ours left behind became our child: end that as well. */
static void end_orphans(void)
{
	char path[64];
	FILE *in;
	int pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	in = fopen(path, "r");
	if (!in)
		return;
	while (fscanf(in, "%d", &pid) == 1)
		kill(pid, SIGKILL);
	fclose(in);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

void child_end_all(void)
{
	for (unsigned i = 0; i < CHILDREN_MAX; i++)
		child_end(children[i], SIGTERM);
	end_orphans();
}

void child_explain(const char *log, const char *program, struct error *err)
{
	size_t used = strlen(err->text), n;
	FILE *in = fopen(log, "r");
	char tail[384];

	if (!in)
		return;
	if (fseek(in, -(long)sizeof(tail) + 1, SEEK_END))
		rewind(in);
	n = fread(tail, 1, sizeof(tail) - 1, in);
	fclose(in);
	while (n && tail[n - 1] == '\n')
		n--;
	tail[n] = '\0';
	if (n)
		snprintf(err->text + used, sizeof(err->text) - used, "\n%s said: %s", program, tail);
}

int child_wait_input(int fd, uint64_t deadline, struct error *err)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	int left, rc;

	/* In slices, since a signal may come just before the poll. */
	for (;;) {
		rc = child_interrupted(err);
		if (rc)
			return rc;
		left = deadline_left_ms(deadline);
		rc = poll(&poll_fd, 1, left < 200 ? left : 200);
		if (rc > 0)
			return 0;
		if (rc < 0 && errno != EINTR)
			return error_set(err, -errno, "poll: %s", strerror(errno));
		if (!left)
			return error_set(err, -ETIMEDOUT, "a process does not answer");
	}
}
