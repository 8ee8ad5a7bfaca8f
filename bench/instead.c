/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * instead.c - instead-*: a full checkpoint by ranks on the server's own node, until it is durable, beside what they would use
 * without Holdfast to make the same bytes durable in the same directory, in turns: write() and fsync() to a file of each rank's,
 * MPI-IO to a shared one, a stream as dd writes it.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "child.h"
#include "client/client.h"
#include "common/clock.h"
#include "common/size.h"
#include "crew.h"
#include "report.h"
#include "server.h"
#include "state.h"

#define RUNS	  9
#define WARM_RUNS 2 /* a region has two slots, and a file is written over */
#define RANKS_DEFAULT 2
#define BYTES	  (256ull << 20)
#define PIECE	  (1u << 20)
#define SECTOR	  4096u /* what O_DIRECT needs a multiple of */
#define ROUND_MS  300000

static crew_task do_write, do_stream;

static const struct way {
	const char *name;
	crew_task *task; /* NULL: the MPI program does it */
	bool direct;	 /* past the page cache, where the file system can do that */
} ways[] = {
	{"instead-write", do_write, false},
	{"instead-mpiio", NULL, false},
	{"instead-dd", do_stream, true},
};

struct instead {
	const struct plan *plan;
	const struct way *way;
	unsigned ranks;
	uint64_t bytes; /* a rank */
	struct server *server;
	struct crew *crew;
	pid_t mpirun;
	int to_mpirun, from_mpirun; /* -1: there is none */
};

/* ---- in a rank's process ---- */

struct member {
	uint64_t bytes;
	uint8_t *buffer;
	int file;
	bool direct;
	struct client *client;
	struct client_segment segment;
};

static int file_open(const struct instead *in, unsigned rank, struct member *m, struct error *err)
{
	const int flags = O_WRONLY | O_CREAT | O_CLOEXEC;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/instead.%u", in->plan->scratch, rank);
	m->direct = in->way->direct;
	m->file = open(path, flags | (m->direct ? O_DIRECT : 0), 0600);
	if (m->file < 0 && m->direct && errno == EINVAL) {
		m->direct = false;
		m->file = open(path, flags, 0600);
	}
	return m->file < 0 ? error_set(err, -errno, "cannot make %s: %s", path, strerror(errno)) : 0;
}

static int member_begin(void *arg, unsigned rank, void **state, struct error *err)
{
	const struct instead *in = arg;
	const struct client_options options = {.server = server_address(in->server),
					       .net = "local",
					       .auth = "none",
					       .chunk_bytes = in->plan->chunk,
					       .window = in->plan->window};
	const struct client_identity identity = {.job = "instead",
						 .rank = rank,
						 .ranks = in->ranks,
						 .mode = REGION_OVERWRITE,
						 .launch = "hf-bench"};
	struct member *m = calloc(1, sizeof(*m));
	int rc;

	if (!m)
		return error_nomem(err, "a rank");
	m->bytes = in->bytes;
	rc = state_memory(m->bytes, rank + 1, &m->buffer, err);
	if (!rc && in->way->task)
		rc = file_open(in, rank, m, err);
	if (!rc)
		rc = client_open(&options, &identity, &m->client, err);
	m->segment = (struct client_segment){.segment = {"data", ELEMENT_BYTE, 1, m->bytes}, .at = m->buffer};
	*state = m;
	return rc;
}

static void member_end(void *state)
{
	struct member *m = state;

	client_close(m->client, true, NULL);
}

static int do_put(void *state, uint64_t epoch, double *value, struct error *err)
{
	struct member *m = state;

	(void)value;
	return client_put(m->client, epoch, epoch - 1, NULL, &m->segment, 1, err);
}

static void set_direct(int file, bool direct)
{
	int flags = fcntl(file, F_GETFL);

	fcntl(file, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT);
}

/* All of the buffer over what is in the file. As dd does, a last piece that is no whole sectors goes through the page cache. */
static int write_over(struct member *m, struct error *err)
{
	uint64_t at = 0;

	while (at < m->bytes) {
		size_t piece = m->bytes - at < PIECE ? (size_t)(m->bytes - at) : PIECE;
		bool odd = m->direct && piece % SECTOR;
		ssize_t n;

		if (odd)
			set_direct(m->file, false);
		n = pwrite(m->file, m->buffer + at, piece, (off_t)at);
		if (odd)
			set_direct(m->file, true);
		if (n < 0 && errno == EINVAL && m->direct && !odd) { /* it could be opened so, and cannot be written so */
			set_direct(m->file, false);
			m->direct = false;
		} else if (n <= 0 && errno != EINTR) {
			return error_set(err, -errno, "a file of this rank's cannot be written: %s", strerror(errno));
		}
		at += n > 0 ? (uint64_t)n : 0;
	}
	return 0;
}

static int do_write(void *state, uint64_t unused, double *value, struct error *err)
{
	struct member *m = state;
	int rc = write_over(m, err);

	(void)unused;
	(void)value;
	if (!rc && fsync(m->file))
		rc = error_set(err, -errno, "fsync: %s", strerror(errno));
	return rc;
}

/* dd bs=1M oflag=direct conv=fdatasync,notrunc */
static int do_stream(void *state, uint64_t unused, double *value, struct error *err)
{
	struct member *m = state;
	int rc = write_over(m, err);

	(void)unused;
	if (!rc && fdatasync(m->file))
		rc = error_set(err, -errno, "fdatasync: %s", strerror(errno));
	*value = m->direct;
	return rc;
}

/* ---- the MPI program ---- */

/* Beside us, or above bench/.libs. */
static bool find_rank_program(char *path, size_t capacity)
{
	static const char *const places[] = {"mpiio_rank", "../mpiio_rank"};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		return false;
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (snprintf(path, capacity, "%s/%s", self, places[i]) < (int)capacity && !access(path, X_OK))
			return true;
	return false;
}

static void mpirun_run(const struct instead *in, const char *program, int input, int output)
{
	char ranks[16], bytes[32];
	int log;

	snprintf(ranks, sizeof(ranks), "%u", in->ranks);
	snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)in->bytes);
	setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
	setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
	setenv("TMPDIR", in->plan->scratch, 1);
	if (chdir(in->plan->scratch))
		_exit(126);
	log = open("mpiio.log", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
		_exit(126);
	execlp("mpirun", "mpirun", "--mca", "btl", "self,vader", "--oversubscribe", "--bind-to", "none", "-n", ranks,
	       program, bytes, "instead.shared", (char *)NULL);
	_exit(127);
}

/* One line of what rank 0 prints. */
static int mpirun_line(const struct instead *in, char *line, size_t capacity, struct error *err)
{
	uint64_t deadline = deadline_in_ms(ROUND_MS);
	char log[PATH_MAX];
	size_t used = 0;
	int rc = 0;

	do {
		rc = child_wait_input(in->from_mpirun, deadline, err);
		if (!rc && read(in->from_mpirun, line + used, 1) != 1)
			rc = error_set(err, -ECHILD, "the MPI program ended early");
	} while (!rc && line[used] != '\n' && ++used < capacity - 1);
	line[used] = '\0';
	if (rc && rc != -EINTR) {
		snprintf(log, sizeof(log), "%s/mpiio.log", in->plan->scratch);
		child_explain(log, "mpirun", err);
	}
	return rc;
}

/* Once all others that are to run have been forked: our end of its input must be the only one. */
static int mpirun_start(struct instead *in, struct error *err)
{
	int input[2], output[2], rc = 0;
	char program[PATH_MAX], line[64];

	if (!find_rank_program(program, sizeof(program)))
		return error_set(err, -ENOENT, "mpiio_rank is not beside hf-bench");
	if (pipe2(input, O_CLOEXEC))
		return error_set(err, -errno, "pipe: %s", strerror(errno));
	if (pipe2(output, O_CLOEXEC)) {
		close(input[0]);
		close(input[1]);
		return error_set(err, -errno, "pipe: %s", strerror(errno));
	}
	in->mpirun = child_fork(SIGTERM, err);
	if (!in->mpirun)
		mpirun_run(in, program, input[0], output[1]);
	close(input[0]);
	close(output[1]);
	in->to_mpirun = input[1];
	in->from_mpirun = output[0];
	if (in->mpirun < 0) {
		rc = in->mpirun;
		in->mpirun = 0;
	}
	if (!rc)
		rc = mpirun_line(in, line, sizeof(line), err);
	if (!rc && strcmp(line, "ready"))
		rc = error_set(err, -EPROTO, "the MPI program said '%s' in place of 'ready'", line);
	return rc;
}

static int mpirun_round(const struct instead *in, double *seconds, struct error *err)
{
	char line[64], *end;
	int rc;

	if (write(in->to_mpirun, "\n", 1) != 1)
		return error_set(err, -ECHILD, "the MPI program ended early");
	rc = mpirun_line(in, line, sizeof(line), err);
	if (rc)
		return rc;
	*seconds = strtod(line, &end);
	if (*end || *seconds <= 0)
		return error_set(err, -EPROTO, "the MPI program said '%s', which is no time", line);
	return 0;
}

static void mpirun_end(struct instead *in)
{
	uint64_t deadline = deadline_in_ms(10000);

	if (in->to_mpirun >= 0)
		close(in->to_mpirun);
	while (in->mpirun && !child_gone(in->mpirun) && deadline_left_ms(deadline))
		deadline_sleep_ms(deadline, 5);
	child_end(in->mpirun, SIGTERM);
	if (in->from_mpirun >= 0)
		close(in->from_mpirun);
}

/* ---- in the parent ---- */

static int run(struct instead *in, bool ours, uint64_t epoch, double *speed, double *direct, struct error *err)
{
	double seconds;
	int rc;

	if (ours)
		rc = crew_do(in->crew, do_put, epoch, &seconds, NULL, err);
	else if (in->way->task)
		rc = crew_do(in->crew, in->way->task, 0, &seconds, direct, err);
	else
		rc = mpirun_round(in, &seconds, err);
	if (!rc)
		*speed = (double)in->ranks * (double)in->bytes / seconds / 1e9;
	return rc;
}

/* The kind of file system of a directory, as /proc names it. */
static const char *filesystem(const char *directory, char *kind, size_t capacity)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "r");
	char line[4096], *at;
	unsigned major_number, minor_number;
	struct stat status;

	snprintf(kind, capacity, "unknown");
	while (mounts && !stat(directory, &status) && fgets(line, sizeof(line), mounts)) {
		at = strstr(line, " - ");
		if (!at || sscanf(line, "%*d %*d %u:%u", &major_number, &minor_number) != 2 ||
		    makedev(major_number, minor_number) != status.st_dev)
			continue;
		snprintf(kind, capacity, "%.*s", (int)strcspn(at + 3, " \n"), at + 3);
		break;
	}
	if (mounts)
		fclose(mounts);
	return kind;
}

static int measure(struct instead *in, struct error *err)
{
	unsigned runs = in->plan->runs ? in->plan->runs : RUNS;
	struct samples samples = {0};
	double speed[2] = {0}, direct = 0; /* of the alternative, and ours */
	char kind[64];
	int rc = 0;

	for (unsigned i = 0; !rc && i < WARM_RUNS + runs; i++) {
		rc = run(in, i % 2, i + 1, &speed[i % 2], &direct, err);
		if (!rc)
			rc = run(in, !(i % 2), i + 1, &speed[!(i % 2)], &direct, err);
		if (!rc && i >= WARM_RUNS)
			samples_add(&samples, speed[1], speed[0], 0);
	}
	if (rc)
		return rc;
	const struct detail details[] = {
		{.name = "filesystem", .text = filesystem(in->plan->scratch, kind, sizeof(kind))},
		{.name = in->way->direct ? "io" : NULL, .text = direct > 0 ? "direct" : "buffered"},
		{.name = NULL},
	};
	const struct row row = {in->way->name, in->ranks, in->bytes, "GB/s", .details = details};

	return report_row(in->plan->report, &row, &samples, err);
}

static void files_remove(const struct instead *in)
{
	char path[PATH_MAX];

	for (unsigned i = 0; i < in->ranks; i++) {
		snprintf(path, sizeof(path), "%s/instead.%u", in->plan->scratch, i);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/instead.shared", in->plan->scratch);
	unlink(path);
}

static int measure_way(const struct plan *plan, const struct way *way, unsigned ranks, struct error *err)
{
	static const struct crew_work work = {member_begin, member_end};
	struct instead in = {
		.plan = plan,
		.way = way,
		.ranks = ranks,
		.bytes = plan->bytes ? plan->bytes : BYTES,
		.to_mpirun = -1,
		.from_mpirun = -1,
	};
	uint64_t pool = 2 * in.ranks * (in.bytes + in.bytes / 64) + POOL_OVERHEAD;
	int rc;

	/* Two buffers, two slots, a file. */
	if (state_leaves_out(plan, way->name, ranks, in.bytes + in.bytes / 4))
		return 0;
	rc = state_check_fits(ranks, in.bytes + in.bytes / 4, err);
	if (!rc)
		rc = server_start(plan->server, plan->scratch, pool, NULL, &in.server, err);
	if (!rc)
		rc = crew_start(&work, &in, ranks, &in.crew, err);
	if (!rc && !way->task)
		rc = mpirun_start(&in, err);
	if (!rc)
		rc = measure(&in, err);
	if (rc && in.server)
		server_explain(in.server, err);
	mpirun_end(&in);
	crew_dismiss(in.crew);
	server_stop(in.server);
	files_remove(&in);
	return rc ? error_context(err, "%s, %u rank(s)", way->name, ranks) : 0;
}

static bool have_mpirun(void)
{
	char path[PATH_MAX];
	const char *at = getenv("PATH");

	for (size_t n; at && *at; at += n + (at[n] == ':')) {
		n = strcspn(at, ":");
		if (snprintf(path, sizeof(path), "%.*s/mpirun", (int)n, at) < (int)sizeof(path) && !access(path, X_OK))
			return true;
	}
	return false;
}

int instead_bench(const struct plan *plan, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (!plan->wants(ways[i].name))
			continue;
		if (!ways[i].task && !have_mpirun()) {
			report_note("%s is left out: there is no mpirun in PATH", ways[i].name);
			continue;
		}
		for (unsigned ranks = 1; !rc && ranks <= (plan->ranks ? plan->ranks : RANKS_DEFAULT); ranks++)
			if (!plan->ranks || ranks == plan->ranks)
				rc = measure_way(plan, &ways[i], ranks, err);
	}
	return rc;
}
