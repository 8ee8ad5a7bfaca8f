/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * holdfast_mpirun.c - runs mpirun so that the job is protected and started again when it fails: by Open MPI's
 * components where this is Open MPI 4.1 or 5.0, else by a loop around mpiexec. All arguments are theirs.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/clock.h"
#include "launch/restart.h"

#define VERSION_MS    20000 /* for mpirun to say its version */
#define VERSION_BYTES 256
#define STDIN_MAX     ((uint64_t)64 << 20)
#define EXIT_USAGE    2
#define EXIT_MISSING  127

/* Where the components are: installed, or in the build tree that this program is in. */
struct places {
	char hook[PATH_MAX], errmgr[PATH_MAX], tune[PATH_MAX];
};

static void places_find(struct places *places)
{
	char self[PATH_MAX / 2] = "", *directory;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	snprintf(places->hook, sizeof(places->hook), "%s", HOOK_DIR);
	snprintf(places->errmgr, sizeof(places->errmgr), "%s%s%s", ERRMGR_DIR, *PMIX_DIR ? ":" : "", PMIX_DIR);
	snprintf(places->tune, sizeof(places->tune), "%s", TUNE_FILE);
	if (n <= 0)
		return;
	directory = dirname(self);
	snprintf(places->tune, sizeof(places->tune), "%s/mca/hook/holdfast/holdfast.tune", directory);
	if (access(places->tune, R_OK)) {
		snprintf(places->tune, sizeof(places->tune), "%s", TUNE_FILE);
		return;
	}
	snprintf(places->hook, sizeof(places->hook), "%s/.libs", directory);
	snprintf(places->errmgr, sizeof(places->errmgr), "%s/mca/errmgr/holdfast/prte/components%s%s", directory,
		 *PMIX_DIR ? ":" : "", PMIX_DIR);
}

/* ---- which MPI ---- */

/* What `mpirun --version` says, or as much of it as is there in time; empty where there is no mpirun. */
static void version_read(char *text, size_t capacity)
{
	uint64_t deadline = deadline_in_ms(VERSION_MS);
	struct pollfd pfd = {.events = POLLIN};
	size_t length = 0;
	ssize_t n = 1;
	int fds[2];
	pid_t child;

	*text = 0;
	if (pipe2(fds, O_CLOEXEC))
		return;
	child = fork();
	if (!child) {
		dup2(fds[1], STDOUT_FILENO);
		freopen("/dev/null", "r+", stdin);
		freopen("/dev/null", "r+", stderr);
		execlp("mpirun", "mpirun", "--version", (char *)NULL);
		_exit(EXIT_MISSING);
	}
	close(fds[1]);
	pfd.fd = fds[0];
	while (child > 0 && n > 0 && length < capacity - 1 && poll(&pfd, 1, deadline_left_ms(deadline)) > 0) {
		n = read(fds[0], text + length, capacity - 1 - length);
		if (n > 0)
			length += (size_t)n;
	}
	text[length] = 0;
	close(fds[0]);
	if (child <= 0)
		return;
	if (n)
		kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* ---- Open MPI ---- */

static void prepend(const char *name, const char *directory)
{
	const char *others = getenv(name);
	char *value;

	if (!others || !*others) {
		setenv(name, directory, 1);
	} else if (asprintf(&value, "%s:%s", directory, others) > 0) {
		setenv(name, value, 1);
		free(value);
	}
}

/* Found by the environment only: what mpirun's command line says of places comes too late. Whatever the user has
 * set himself stays. */
static int run_open_mpi_5(const struct places *places, char **argv)
{
	prepend("OMPI_MCA_mca_base_component_path", places->hook);
	prepend("PMIX_MCA_mca_base_component_path", places->errmgr);
	setenv("OMPI_MCA_hook_holdfast_enable", "1", 0);
	setenv("PRTE_MCA_errmgr_holdfast_enable", "1", 0);
	/* a link that goes down silently is noticed within seconds, not minutes */
	setenv("PRTE_MCA_oob_tcp_keepalive_time", "2", 0);
	setenv("PRTE_MCA_oob_tcp_keepalive_intvl", "1", 0);
	setenv("PRTE_MCA_oob_tcp_keepalive_probes", "2", 0);
	setenv("HOLDFAST_MPIRUN", argv[0], 1); /* for the recorded command line */
	argv[0] = "mpirun";
	execvp("mpirun", argv);
	fprintf(stderr, "holdfast-mpirun: mpirun: %s\n", strerror(errno));
	return EXIT_MISSING;
}

static int run_open_mpi_4(struct places *places, int argc, char **argv)
{
	char **args = calloc((size_t)argc + 3, sizeof(*args));

	if (!args) {
		fprintf(stderr, "holdfast-mpirun: there is no memory\n");
		return EXIT_FAILURE;
	}
	args[0] = "mpirun";
	args[1] = "--tune";
	args[2] = places->tune;
	memcpy(args + 3, argv + 1, (size_t)argc * sizeof(*args)); /* with the NULL */
	execvp("mpirun", args);
	fprintf(stderr, "holdfast-mpirun: mpirun: %s\n", strerror(errno));
	free(args);
	return EXIT_MISSING;
}

/* ---- any other: the loop ---- */

static volatile sig_atomic_t job_pid, stopped;

static void on_signal(int number)
{
	if (number == SIGINT || number == SIGTERM || number == SIGHUP)
		stopped = 1;
	if (job_pid > 0)
		kill(job_pid, number);
}

static void signals_forward(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
	struct sigaction action = {.sa_handler = on_signal};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaction(numbers[i], &action, NULL);
}

static void variable_set(void *arg, const char *name, const char *value)
{
	(void)arg;
	setenv(name, value, 1);
}

/* One incarnation; its exit code, as a shell has it. */
static int job_run(char **argv)
{
	int status = 0;
	pid_t child = fork();

	if (child < 0) {
		fprintf(stderr, "holdfast-mpirun: no process for mpiexec: %s\n", strerror(errno));
		return EXIT_MISSING;
	}
	if (!child) {
		argv[0] = "mpiexec";
		execvp("mpiexec", argv);
		fprintf(stderr, "holdfast-mpirun: mpiexec: %s\n", strerror(errno));
		_exit(EXIT_MISSING);
	}
	job_pid = child;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	job_pid = 0;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int loop(char **argv)
{
	const struct restart_settings settings = {
		.policy = {.max_restarts = 5, .window_s = 3600, .final_codes = "70,75,78"},
		.stdin_max_bytes = STDIN_MAX,
	};
	struct policy_failure failure = {.cause = POLICY_JOB};
	struct restart *restart;
	struct error err;
	int code;

	if (restart_open(&settings, argv, &restart, &err)) {
		fprintf(stderr, "holdfast-mpirun: %s\n", err.text);
		return EXIT_FAILURE;
	}
	signals_forward();
	do {
		restart_environment(restart, variable_set, NULL);
		code = job_run(argv);
		failure.code = code;
		if (stopped || code == EXIT_MISSING || restart_finished(restart))
			break;
		if (!code) /* proves nothing: a launcher that lost a node may say so */
			code = EXIT_FAILURE;
	} while (restart_failed(restart, &failure) && restart_begin(restart));
	restart_close(restart);
	return code;
}

static int usage(void)
{
	puts("Usage: holdfast-mpirun [--loop] ARGUMENT...\n"
	     "Runs a job as mpirun does, protected by Holdfast, and starts it again when it fails.\n"
	     "\n"
	     "  --loop   with a loop around mpiexec, whichever MPI this is\n"
	     "  --help   this text; that of mpirun is mpirun's\n"
	     "\n"
	     "All other arguments are mpirun's. See holdfast-mpirun(1) and holdfast(7).");
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	char version[VERSION_BYTES];
	struct places places;

	if (argc < 2 || !strcmp(argv[1], "--help")) {
		usage();
		return argc < 2 ? EXIT_USAGE : EXIT_SUCCESS;
	}
	if (!strcmp(argv[1], "--loop")) {
		argv[1] = argv[0];
		return loop(argv + 1);
	}
	version_read(version, sizeof(version));
	places_find(&places);
	if (strstr(version, "(Open MPI) 5.0."))
		return run_open_mpi_5(&places, argv);
	if (strstr(version, "(Open MPI) 4.1."))
		return run_open_mpi_4(&places, argc, argv);
	return loop(argv);
}
