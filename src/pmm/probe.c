/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * probe.c - opens the metadata in a child process first, on a private copy of its pages.
 *
 * Our records have checksums; libpmemobj's heap and logs have not all of them, and a flipped bit there can
 * make it crash or run in circles. So a child goes first, and what happens to it happens to nobody else.
 * It changes no byte of the file.
 */
#include "pmm/index.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define CPU_SECONDS	  20
#define CPU_SECONDS_A_GIB 60

struct verdict {
	bool reached;
	int rc;
	struct error err;
};

/* Both an upper limit of the time that a damaged heap may take, and no core file for it. */
static void child_limits(uint64_t metadata_bytes)
{
	rlim_t seconds = CPU_SECONDS + (rlim_t)(metadata_bytes >> 30) * CPU_SECONDS_A_GIB;
	const struct rlimit cpu = {seconds, seconds + 1}, core = {0, 0};
	static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGXCPU, SIGTERM, SIGINT};
	sigset_t none;

	setrlimit(RLIMIT_CPU, &cpu);
	setrlimit(RLIMIT_CORE, &core);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		signal(fatal[i], SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void child_silence(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
	}
}

/* The heap as later work will use it: objects of all kinds of sizes taken, and then given back. */
static int child_exercise(struct pool *pool, void *arg)
{
	static const size_t sizes[] = {16, 64, 128, 256, 384, 512, 1024, 4096, 65536, 524288};

	(void)arg;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		if (!change_allocate(pool, sizes[i], FORMAT_LAYOUT_OF_SET))
			return -ENOMEM; /* full is not damaged */
	}
	return -ECANCELED;
}

static void child_run(struct pool *pool, int (*load)(struct pool *pool, struct error *err),
		      void (*unload)(struct pool *pool), struct verdict *verdict)
{
	int on = 1;

	child_limits(pool->metadata_bytes);
	child_silence();
	pmemobj_ctl_set(NULL, "copy_on_write.at_open", &on);
	verdict->rc = load(pool, &verdict->err);
	if (!verdict->rc)
		transaction(pool, child_exercise, NULL, NULL, "try the heap");
	unload(pool);
	verdict->reached = true;
	_exit(0);
}

int probe(struct pool *pool, int (*load)(struct pool *pool, struct error *err),
	  void (*unload)(struct pool *pool), struct error *err)
{
	struct verdict *verdict;
	int status = 0, rc = 0;
	pid_t pid;

	verdict = mmap(NULL, sizeof(*verdict), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (verdict == MAP_FAILED)
		return error_nomem(err, "a probe of the metadata");
	pid = fork();
	if (pid < 0) {
		rc = error_set(err, -errno, "cannot start a probe of the metadata: %s", strerror(errno));
		goto out;
	}
	if (!pid)
		child_run(pool, load, unload, verdict);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!verdict->reached)
		rc = damaged(pool, err, "libpmemobj's heap in %s is damaged: a process that tried it died (%s)",
			     pool->metadata_path,
			     WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "by itself");
	else if (verdict->rc) {
		rc = verdict->rc;
		if (err)
			*err = verdict->err;
	}
out:
	munmap(verdict, sizeof(*verdict));
	return rc;
}
