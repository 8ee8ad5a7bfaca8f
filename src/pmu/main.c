/* SPDX-License-Identifier: BSD-3-Clause */
/* main.c - pmu-server: the PMM, and, started by it, the NI. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <sodium.h>
#include "common/log.h"
#include "ni/ni.h"
#include "pmu/server.h"

#define NI_SOCKET 3 /* what ni_process.c leaves open; 4 is the pool's lock, and just held */

static int ready_pipe = -1; /* to the parent that waits in the foreground */

/* Writes the addresses, whole or not at all. */
static int ready_file_write(const struct conf *conf, struct error *err)
{
	char temporary[4096];
	FILE *file;
	int rc = 0;

	snprintf(temporary, sizeof(temporary), "%s.new", conf->ready_file);
	file = fopen(temporary, "we");
	if (!file)
		return error_set(err, -errno, "--ready-file %s: %s", temporary, strerror(errno));
	for (unsigned i = 0; i < conf->listen_count; i++)
		fprintf(file, "%s\n", conf->listen[i]);
	if (fflush(file) || fsync(fileno(file)))
		rc = -errno;
	if (fclose(file) && !rc)
		rc = -errno;
	if (!rc && rename(temporary, conf->ready_file))
		rc = -errno;
	if (rc) {
		unlink(temporary);
		return error_set(err, rc, "--ready-file %s: %s", conf->ready_file, strerror(-rc));
	}
	return 0;
}

static int ready(struct server *server, struct error *err)
{
	int null;

	if (server->conf.ready_file) {
		int rc = ready_file_write(&server->conf, err);

		if (rc)
			return rc;
	}
	log_info("ready");
	if (ready_pipe < 0)
		return 0;
	/* In the background: the parent may leave, the terminal is not ours any more. */
	if (write(ready_pipe, "", 1) != 1)
		return error_set(err, -EPIPE, "the parent process is gone");
	close(ready_pipe);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; null >= 0 && fd < 3; fd++)
		dup2(null, fd);
	server->conf.syslog = true;
	log_open("pmu-server", server->conf.log_level, true);
	return 0;
}

/* Goes on in a child; the parent stays until the child is ready, and leaves with its fate. */
static int background(struct error *err)
{
	int fds[2];
	char byte;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return error_set(err, -errno, "pipe: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		return error_set(err, -errno, "cannot go to the background: %s", strerror(errno));
	if (pid) {
		close(fds[1]);
		_exit(read(fds[0], &byte, 1) == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	close(fds[0]);
	setsid();
	ready_pipe = fds[1];
	return 0;
}

static int ni_run(char **argv)
{
	const struct ni_owner owner = {(uint32_t)strtoul(argv[4], NULL, 10), strtoull(argv[5], NULL, 10)};

	prctl(PR_SET_NAME, "pmu-ni");
	log_open("pmu-ni", (enum log_level)atoi(argv[2]), atoi(argv[3]));
	/* The PMM decides when a NI ends. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	return ni_main(NI_SOCKET, &owner);
}

/* A session takes some ten descriptors; the NI inherits what we may have. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
	struct server server = {.argc = argc, .argv = argv};
	struct error err;
	int rc;

	if (sodium_init() < 0)
		return EXIT_FAILURE;
	if (argc == 6 && !strcmp(argv[1], "--ni-process"))
		return ni_run(argv);
	log_open("pmu-server", LOG_LEVEL_INFO, false);
	signal(SIGPIPE, SIG_IGN);
	raise_descriptor_limit();
	rc = conf_read(argc, argv, &server.conf, &err);
	if (!rc) {
		log_open("pmu-server", server.conf.log_level, server.conf.syslog);
		if (!server.conf.foreground)
			rc = background(&err);
	}
	if (!rc)
		rc = server_run(&server, ready, &err);
	if (rc)
		log_error("%s", err.text);
	conf_free(&server.conf);
	sodium_memzero(server.keys, sizeof(server.keys));
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
