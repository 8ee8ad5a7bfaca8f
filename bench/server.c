/* SPDX-License-Identifier: BSD-3-Clause */
/* server.c - a pmu-server of the benchmark's own. */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include "child.h"
#include "common/clock.h"

#define READY_MS 60000

struct server {
	pid_t pid;
	char address[256];
	char directory[PATH_MAX - 32]; /* with pool/, ready and log in it */
};

static const char *const places[] = {"../pmu-server", "pmu-server", "../sbin/pmu-server"};

/* Else it is for execvp to look in PATH. */
static void find_program(char *program, size_t capacity)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0) {
		self[n] = '\0';
		*strrchr(self, '/') = '\0';
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			if (snprintf(program, capacity, "%s/%s", self, places[i]) < (int)capacity &&
			    !access(program, X_OK))
				return;
		}
	}
	snprintf(program, capacity, "pmu-server");
}

static void run(const struct server *server, const char *program, uint64_t pool_bytes, const char *rdma)
{
	char pool[PATH_MAX], ready[PATH_MAX], log[PATH_MAX], size[32];
	int fd;

	snprintf(pool, sizeof(pool), "%s/pool", server->directory);
	snprintf(ready, sizeof(ready), "%s/ready", server->directory);
	snprintf(log, sizeof(log), "%s/log", server->directory);
	snprintf(size, sizeof(size), "%llu", (unsigned long long)pool_bytes);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd >= 0) {
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
	}
	execlp(program, program, "--foreground", "--pool", pool, "--size", size, "--listen",
	       "127.0.0.1:0", "--auth", "none", "--ready-file", ready, "--log-level", "warning", "--merge-at", "0",
	       rdma ? "--net" : (char *)NULL, "verbs", "--fabric-listen", rdma, (char *)NULL);
	fprintf(stderr, "cannot run %s: %s; name it with --server\n", program, strerror(errno));
	_exit(127);
}

/* Whether the ready file is there, whole. */
static bool read_address(struct server *server)
{
	char ready[PATH_MAX];
	bool whole = false;
	FILE *in;

	snprintf(ready, sizeof(ready), "%s/ready", server->directory);
	in = fopen(ready, "r");
	if (!in)
		return false;
	if (fgets(server->address, sizeof(server->address), in)) {
		size_t end = strcspn(server->address, "\n");

		whole = server->address[end] == '\n';
		server->address[end] = '\0';
	}
	fclose(in);
	return whole;
}

static int wait_ready(struct server *server, struct error *err)
{
	uint64_t deadline = deadline_in_ms(READY_MS);
	int rc;

	while (!read_address(server)) {
		rc = child_interrupted(err);
		if (rc)
			return rc;
		if (child_gone(server->pid))
			return error_set(err, -ECHILD, "pmu-server ended at once");
		if (!deadline_left_ms(deadline))
			return error_set(err, -ETIMEDOUT, "pmu-server is not ready after %d s",
					 READY_MS / 1000);
		deadline_sleep_ms(deadline, 10);
	}
	return 0;
}

int server_start(const char *program, const char *scratch, uint64_t pool_bytes, const char *rdma,
		 struct server **server, struct error *err)
{
	struct server *s = calloc(1, sizeof(*s));
	char found[PATH_MAX];
	int rc = 0;

	if (!s)
		return error_nomem(err, "the server");
	if (!program)
		find_program(found, sizeof(found));
	snprintf(s->directory, sizeof(s->directory), "%s/server", scratch);
	if (mkdir(s->directory, 0700)) {
		rc = error_set(err, -errno, "cannot make %s: %s", s->directory, strerror(errno));
		free(s);
		return rc;
	}
	s->pid = child_fork(SIGTERM, err);
	if (!s->pid)
		run(s, program ? program : found, pool_bytes, rdma);
	if (s->pid < 0) {
		rc = s->pid;
		s->pid = 0;
	}
	if (!rc)
		rc = wait_ready(s, err);
	if (rc) {
		server_explain(s, err);
		server_stop(s);
		return rc;
	}
	*server = s;
	return 0;
}

const char *server_address(const struct server *server)
{
	return server->address;
}

/* The anonymous memory of a process: what is mapped of slots and metadata is the pool's. */
static uint64_t anonymous_bytes(pid_t pid)
{
	unsigned long long kib = 0;
	char path[64], line[128];
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	in = fopen(path, "r");
	while (in && fgets(line, sizeof(line), in) && sscanf(line, "Pss_Anon: %llu", &kib) != 1)
		continue;
	if (in)
		fclose(in);
	return kib << 10;
}

int server_memory(const struct server *server, uint64_t *bytes, struct error *err)
{
	char path[64];
	FILE *in;
	int pid;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)server->pid, (int)server->pid);
	in = fopen(path, "r");
	*bytes = anonymous_bytes(server->pid);
	if (!in || !*bytes) {
		if (in)
			fclose(in);
		return error_set(err, -ENOTSUP, "the server's memory is not told in /proc");
	}
	while (fscanf(in, "%d", &pid) == 1)
		*bytes += anonymous_bytes(pid);
	fclose(in);
	return 0;
}

void server_explain(const struct server *server, struct error *err)
{
	char log[PATH_MAX];

	snprintf(log, sizeof(log), "%s/log", server->directory);
	child_explain(log, "pmu-server", err);
}

void server_stop(struct server *server)
{
	if (!server)
		return;
	child_end(server->pid, SIGTERM);
	scratch_remove(server->directory);
	free(server);
}

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *ftw)
{
	(void)status;
	(void)flag;
	(void)ftw;
	return remove(path);
}

void scratch_remove(const char *directory)
{
	nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
