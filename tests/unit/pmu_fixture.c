/* SPDX-License-Identifier: BSD-3-Clause */
/* pmu_fixture.c - a real pmu-server for tests. */
#include "pmu_fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/address.h"

void pmu_make(struct pmu *pmu)
{
	const char *base = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";

	memset(pmu, 0, sizeof(*pmu));
	snprintf(pmu->directory, sizeof(pmu->directory), "%s/holdfast-test.XXXXXX", base);
	if (!mkdtemp(pmu->directory)) {
		perror(pmu->directory);
		abort();
	}
	strcpy(pmu->address, "127.0.0.1:0");
}

static void child(const struct pmu *pmu, const char *const *extra, const char *environment)
{
	const char *top = getenv("top_builddir");
	char program[512], pool[160], ready[160], log[160];
	char *arguments[40] = {program, "--foreground", "--pool", pool, "--ready-file", ready, "--listen",
			       (char *)pmu->address, "--size", "64M", "--metadata-size", "16M"};
	int n = 12, fd;

	snprintf(program, sizeof(program), "%s/pmu-server", top ? top : ".");
	snprintf(pool, sizeof(pool), "%s/pool", pmu->directory);
	snprintf(ready, sizeof(ready), "%s/ready", pmu->directory);
	snprintf(log, sizeof(log), "%s/log", pmu->directory);
	if (!extra || strcmp(extra[0], "--auth")) {
		arguments[n++] = "--auth";
		arguments[n++] = "none";
	}
	while (extra && *extra && n < 39)
		arguments[n++] = (char *)*extra++;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (environment)
		putenv((char *)environment);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	dup2(fd, 2);
	closefrom(3);
	execv(program, arguments);
	_exit(127);
}

bool pmu_start(struct pmu *pmu, const char *const *extra, const char *environment)
{
	char ready[160];
	const char *slower = getenv("CK_TIMEOUT_MULTIPLIER"); /* Check's, who gives tests that much longer */
	int tries = 2000 * (slower ? MAX(atoi(slower), 1) : 1);
	FILE *file;
	int status;

	snprintf(ready, sizeof(ready), "%s/ready", pmu->directory);
	unlink(ready);
	pmu->pid = fork();
	if (!pmu->pid)
		child(pmu, extra, environment);
	for (int i = 0; i < tries; i++) {
		if (waitpid(pmu->pid, &status, WNOHANG) == pmu->pid) {
			pmu->pid = 0;
			return false;
		}
		file = fopen(ready, "re");
		if (file) {
			char address[sizeof(pmu->address)];
			bool ok = fscanf(file, "%63s", address) == 1;

			/* A client of the server before this one may be reading it. */
			if (ok && strcmp(address, pmu->address))
				strcpy(pmu->address, address);
			fclose(file);
			return ok;
		}
		usleep(5000);
	}
	return false;
}

bool pmu_stop(struct pmu *pmu)
{
	int status = -1;

	if (!pmu->pid)
		return false;
	kill(pmu->pid, SIGTERM);
	waitpid(pmu->pid, &status, 0);
	pmu->pid = 0;
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

void pmu_kill(struct pmu *pmu)
{
	if (!pmu->pid)
		return;
	kill(pmu->pid, SIGKILL);
	waitpid(pmu->pid, NULL, 0);
	pmu->pid = 0;
}

pid_t pmu_ni_pid(const struct pmu *pmu)
{
	char path[64];
	FILE *file;
	int pid = -1;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pmu->pid, (int)pmu->pid);
	file = fopen(path, "re");
	if (!file)
		return -1;
	if (fscanf(file, "%d", &pid) != 1)
		pid = -1;
	fclose(file);
	return pid;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int pmu_connect(const struct pmu *pmu)
{
	struct address address;
	struct error err;
	int fd = -1;

	if (!address_parse(pmu->address, false, &address, &err))
		fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address.storage, address.bytes))
		abort();
	return fd;
}

bool pmu_hangs_up(int fd, int ms)
{
	struct pollfd pfd = {fd, POLLIN, 0};
	char buffer[4096];

	while (poll(&pfd, 1, ms) == 1) {
		if (recv(fd, buffer, sizeof(buffer), 0) <= 0)
			return true;
	}
	return false;
}

unsigned pmu_log_lines(const struct pmu *pmu, const char *text)
{
	char path[sizeof(pmu->directory) + 8], *line = NULL;
	unsigned count = 0;
	size_t capacity = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/log", pmu->directory);
	file = fopen(path, "re");
	if (!file)
		abort();
	while (getline(&line, &capacity, file) >= 0)
		count += strstr(line, text) != NULL;
	free(line);
	fclose(file);
	return count;
}

uint64_t pmu_anonymous_bytes(pid_t pid)
{
	unsigned long long kib = 0;
	char path[64], line[128];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	if (!file)
		abort();
	while (fgets(line, sizeof(line), file) && sscanf(line, "RssAnon: %llu", &kib) != 1)
		continue;
	fclose(file);
	return kib << 10;
}

void pmu_remove(struct pmu *pmu)
{
	pmu_kill(pmu);
	if (*pmu->directory)
		nftw(pmu->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
