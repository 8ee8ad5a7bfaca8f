/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * relaunch.c - relaunch: from the kill -9 of a rank to the first time step of the job that mpirun has started
 * again, with its state restored; beside the same for a program without any.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "child.h"
#include "common/clock.h"
#include "report.h"
#include "server.h"

#define RUNS	    10
#define WARM_RUNS   1
#define RANKS	    2
#define BYTES	    (64u << 20)
#define RUN_MS	    120000
#define POOL_SPARE  (64u << 20)

struct relaunch {
	unsigned ranks;
	uint64_t bytes;
	const char *scratch;
	struct server *server;
	char build[PATH_MAX - 256]; /* the top of the build tree */
};

/* We are bench/hf-bench, or bench/.libs/hf-bench. */
static bool build_find(struct relaunch *r)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *at;

	if (n <= 0)
		return false;
	path[n] = '\0';
	at = dirname(path);
	if (!strcmp(basename(strdupa(at)), ".libs"))
		at = dirname(at);
	if (snprintf(r->build, sizeof(r->build), "%s", dirname(at)) >= (int)sizeof(r->build))
		return false;
	snprintf(path, sizeof(path), "%s/.libs/mca_errmgr_holdfast.so", r->build);
	return !access(path, R_OK);
}

static void job_run(const struct relaunch *r, bool with_state, const char *file)
{
	char tune[PATH_MAX], rank[PATH_MAX], libraries[PATH_MAX], ranks[16], bytes[32];
	const char *log = "relaunch.log";

	snprintf(tune, sizeof(tune), "%s/mca/hook/holdfast/holdfast.tune", r->build);
	snprintf(rank, sizeof(rank), "%s/bench/.libs/relaunch_rank", r->build);
	snprintf(libraries, sizeof(libraries), "%s/.libs", r->build);
	snprintf(ranks, sizeof(ranks), "%u", r->ranks);
	snprintf(bytes, sizeof(bytes), "%llu", with_state ? (unsigned long long)r->bytes : 0);
	setenv("LD_LIBRARY_PATH", libraries, 1);
	setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
	setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
	setenv("TMPDIR", r->scratch, 1);
	if (chdir(r->scratch) || dup2(open("/dev/null", O_RDONLY), 0) < 0 ||
	    dup2(open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600), 2) < 0)
		_exit(127);
	execlp("mpirun", "mpirun", "--tune", tune, "--mca", "btl", "self,vader", "--oversubscribe", "--bind-to",
	       "none", "--mca", "hook_holdfast_enable", with_state ? "1" : "0", "--mca", "hook_holdfast_server",
	       server_address(r->server), "-n", ranks, rank, bytes, file, (char *)NULL);
	_exit(127);
}

static int moment_read(const char *file, const char *what, uint64_t *ns, struct error *err)
{
	unsigned long long value;
	char path[PATH_MAX];
	FILE *in;
	int n;

	snprintf(path, sizeof(path), "%s.%s", file, what);
	in = fopen(path, "r");
	n = in ? fscanf(in, "%llu", &value) : 0;
	if (in)
		fclose(in);
	unlink(path);
	if (n != 1)
		return error_set(err, -ENOENT, "the job was not started again, or was not killed (no %s)", path);
	*ns = value;
	return 0;
}

/* One mpirun, from a rank's death to the first step after it, in ms. */
static int job_time(const struct relaunch *r, bool with_state, double *ms, struct error *err)
{
	uint64_t deadline = deadline_in_ms(RUN_MS), killed, stepped;
	char file[PATH_MAX];
	pid_t pid;
	int rc;

	snprintf(file, sizeof(file), "%s/moment", r->scratch);
	pid = child_fork(SIGTERM, err);
	if (!pid)
		job_run(r, with_state, file);
	if (pid < 0)
		return pid;
	while (!child_gone(pid)) {
		rc = child_interrupted(err);
		if (!rc && !deadline_left_ms(deadline))
			rc = error_set(err, -ETIMEDOUT, "mpirun does not end");
		if (rc) {
			child_end(pid, SIGTERM);
			return rc;
		}
		deadline_sleep_ms(deadline, 20);
	}
	child_end(pid, SIGTERM);
	rc = moment_read(file, "killed", &killed, err);
	if (!rc)
		rc = moment_read(file, "stepped", &stepped, err);
	if (!rc)
		*ms = (double)(stepped - killed) / 1e6;
	return rc;
}

static int measure(const struct relaunch *r, const struct plan *plan, struct error *err)
{
	unsigned runs = plan->runs ? plan->runs : RUNS;
	struct samples samples = {0};
	double value, limit;
	int rc = 0;

	for (unsigned i = 0; !rc && i < WARM_RUNS + runs; i++) {
		if (i % 2)
			rc = job_time(r, true, &value, err);
		if (!rc)
			rc = job_time(r, false, &limit, err);
		if (!rc && !(i % 2))
			rc = job_time(r, true, &value, err);
		if (!rc && i >= WARM_RUNS)
			samples_add(&samples, value, limit, 0);
	}
	return rc ? rc : report_row(plan->report, &(struct row){"relaunch", r->ranks, r->bytes, .unit = "ms"}, &samples, err);
}

int relaunch_bench(const struct plan *plan, struct error *err)
{
	struct relaunch r = {
		.ranks = plan->ranks ? plan->ranks : RANKS,
		.bytes = plan->bytes ? plan->bytes : BYTES,
		.scratch = plan->scratch,
	};
	int rc;

	if (!build_find(&r)) {
		report_note("relaunch is left out: there is no launcher's component for this Open MPI in the build "
			    "tree");
		return 0;
	}
	rc = server_start(plan->server, plan->scratch, 3 * r.ranks * r.bytes + POOL_SPARE, NULL, &r.server, err);
	if (!rc)
		rc = measure(&r, plan, err);
	server_stop(r.server);
	return rc ? error_context(err, "relaunch") : 0;
}
