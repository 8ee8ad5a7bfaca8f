/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * transfer.c - full sets through Holdfast, beside memcpy and what the network can do, in turns: checkpoint-ofi and
 * restore-ofi beside libfabric RMA alone, by the same processes from the same buffers; checkpoint-verbs and
 * restore-verbs beside perftest over the same device; checkpoint-local and restore-local beside memcpy to and from
 * memory of the same kind.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include "child.h"
#include "client/client.h"
#include "common/clock.h"
#include "common/size.h"
#include "common/thread.h"
#include "crew.h"
#include "perftest.h"
#include "report.h"
#include "rma.h"
#include "server.h"
#include "state.h"

#define WARM_RUNS 2 /* a region has two slots */
#define RUNS	  9
#define VERBS_BYTES (64u << 20) /* perftest has one pair of processes only, and so have we */

struct family {
	const char *net, *checkpoint, *restore;
};

static const struct family ofi = {"ofi", "checkpoint-ofi", "restore-ofi"};
static const struct family verbs = {"verbs", "checkpoint-verbs", "restore-verbs"};
static const struct family local = {"local", "checkpoint-local", "restore-local"};

/* One number of ranks with one size. Set up by the parent, inherited by its children. */
struct transfer {
	const struct family *family;
	const struct plan *plan;
	unsigned ranks;
	uint64_t bytes; /* a rank */
	struct server *server;
	struct crew *crew;
	pid_t target;
	uint16_t port; /* the target's; 0: it has none */
	void *files[RMA_CLIENTS_MAX];
	bool checkpoint, restore;
};

/* ---- in a rank's process ---- */

struct member {
	unsigned rank;
	uint64_t bytes;
	uint8_t *buffer; /* what the application would checkpoint */
	void *file;   /* what the raw target exposes */
	struct client *client;
	struct rma_conn *rma;
	struct client_segment segment;
};

static int member_begin(void *arg, unsigned rank, void **state, struct error *err)
{
	const struct transfer *t = arg;
	struct client_options options = {.server = server_address(t->server),
					 .net = t->family->net,
					 .provider = t->family == &ofi ? PROVIDER : NULL,
					 .auth = "none",
					 .chunk_bytes = t->plan->chunk,
					 .window = t->plan->window,
					 .threads = t->plan->threads};
	struct client_identity identity = {.job = "transfer",
					   .rank = rank,
					   .ranks = t->ranks,
					   .mode = REGION_OVERWRITE,
					   .launch = "hf-bench"};
	struct member *m = calloc(1, sizeof(*m));
	int rc;

	if (!m)
		return error_nomem(err, "a rank");
	if (t->family != &local && !options.threads)
		options.threads = thread_processors(t->ranks); /* as a rank would have them */
	m->rank = rank;
	m->bytes = t->bytes;
	m->file = t->files[rank];
	rc = state_memory(m->bytes, rank + 1, &m->buffer, err);
	if (rc)
		return rc;
	madvise(m->file, m->bytes, MADV_POPULATE_WRITE); /* page tables are not inherited */
	rc = t->port ? rma_connect(PROVIDER, t->port, rank, &m->rma, err) : 0;
	if (rc)
		return rc;
	rc = client_open(&options, &identity, &m->client, err);
	if (rc)
		return rc;
	m->segment = (struct client_segment){.segment = {"data", ELEMENT_BYTE, 1, m->bytes}, .at = m->buffer};
	*state = m;
	return 0;
}

static void member_end(void *state)
{
	struct member *m = state;

	client_close(m->client, true, NULL);
	if (m->rma)
		rma_close(m->rma);
}

static int do_put(void *state, uint64_t epoch, double *value, struct error *err)
{
	struct member *m = state;

	(void)value;
	return client_put(m->client, epoch, epoch - 1, NULL, &m->segment, 1, err);
}

static int do_get(void *state, uint64_t epoch, double *value, struct error *err)
{
	struct member *m = state;

	(void)value;
	return client_get(m->client, m->rank, epoch, &m->segment, 1, err);
}

static int do_write(void *state, uint64_t unused, double *value, struct error *err)
{
	struct member *m = state;

	(void)unused;
	(void)value;
	return rma_transfer(m->rma, true, m->buffer, m->bytes, err);
}

static int do_read(void *state, uint64_t unused, double *value, struct error *err)
{
	struct member *m = state;

	(void)unused;
	(void)value;
	return rma_transfer(m->rma, false, m->buffer, m->bytes, err);
}

static int do_copy(void *state, uint64_t unused, double *value, struct error *err)
{
	struct member *m = state;

	(void)unused;
	(void)value;
	(void)err;
	memcpy(m->file, m->buffer, m->bytes);
	return 0;
}

static int do_copy_back(void *state, uint64_t unused, double *value, struct error *err)
{
	struct member *m = state;

	(void)unused;
	(void)value;
	(void)err;
	memcpy(m->buffer, m->file, m->bytes);
	return 0;
}

/* ---- in the parent ---- */

/* The memory that a pool on tmpfs gives: a file, mapped shared, with all its pages there. */
static int map_file(const struct transfer *t, unsigned rank, void **base, struct error *err)
{
	char path[PATH_MAX];
	int fd, rc;

	snprintf(path, sizeof(path), "%s/raw.%u", t->plan->scratch, rank);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set(err, -errno, "cannot make %s: %s", path, strerror(errno));
	unlink(path);
	rc = posix_fallocate(fd, 0, (off_t)t->bytes);
	if (!rc) {
		*base = mmap(NULL, t->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
			     0);
		rc = *base == MAP_FAILED ? errno : 0;
	}
	close(fd);
	if (rc) {
		*base = NULL;
		return error_set(err, -rc, "no room for %s: %s", path, strerror(rc));
	}
	return 0;
}

static void target_run(const struct transfer *t, int ready_fd)
{
	struct rma_target target = {PROVIDER, t->files, t->bytes, t->ranks, RMA_THREADS};
	struct error err = {0};

	for (unsigned i = 0; i < t->ranks; i++)
		madvise(t->files[i], t->bytes, MADV_POPULATE_WRITE);
	rma_serve(&target, ready_fd, &err);
	fprintf(stderr, "hf-bench: %s\n", err.text);
	_exit(1);
}

static int target_start(struct transfer *t, struct error *err)
{
	int ready[2], rc;

	if (pipe2(ready, O_CLOEXEC))
		return error_set(err, -errno, "pipe: %s", strerror(errno));
	t->target = child_fork(SIGKILL, err);
	if (!t->target) {
		close(ready[0]);
		target_run(t, ready[1]);
	}
	close(ready[1]);
	rc = t->target < 0 ? t->target : child_wait_input(ready[0], deadline_in_ms(60000), err);
	if (!rc && read(ready[0], &t->port, sizeof(t->port)) != sizeof(t->port))
		rc = error_set(err, -ECHILD, "the target of raw RMA did not start");
	close(ready[0]);
	if (t->target < 0)
		t->target = 0;
	return rc;
}

static int set_up(struct transfer *t, struct error *err)
{
	static const struct crew_work work = {member_begin, member_end};
	uint64_t pool = 2 * t->ranks * (t->bytes + t->bytes / 64) + POOL_OVERHEAD;
	int rc = 0;

	for (unsigned i = 0; !rc && i < t->ranks; i++)
		rc = map_file(t, i, &t->files[i], err);
	if (!rc && t->family == &ofi)
		rc = target_start(t, err);
	if (!rc)
		rc = server_start(t->plan->server, t->plan->scratch, pool, t->family == &verbs ? t->plan->rdma : NULL,
				  &t->server, err);
	if (!rc)
		rc = crew_start(&work, t, t->ranks, &t->crew, err);
	return rc;
}

static void tear_down(struct transfer *t)
{
	crew_dismiss(t->crew);
	server_stop(t->server);
	child_end(t->target, SIGKILL);
	for (unsigned i = 0; i < t->ranks; i++) {
		if (t->files[i])
			munmap(t->files[i], t->bytes);
	}
}

/* Holdfast, its limit and memcpy, in an order that changes from turn to turn. GB/s each. */
static int turn(struct transfer *t, bool write, uint64_t epoch, bool backwards, double speed[3], struct error *err)
{
	crew_task *tasks[3] = {write ? do_put : do_get, write ? do_write : do_read, do_copy};
	double seconds;
	int rc = 0;

	if (t->family == &local)
		tasks[1] = write ? do_copy : do_copy_back;
	for (unsigned i = 0; !rc && i < 3; i++) {
		unsigned which = backwards ? 2 - i : i;

		if (which == 2 && t->family == &local) /* it is the limit */
			continue;
		if (which == 1 && t->family == &verbs) {
			rc = perftest_run(t->plan->rdma, write, t->bytes, &speed[which], err);
			continue;
		}
		rc = crew_do(t->crew, tasks[which], epoch, &seconds, NULL, err);
		speed[which] = (double)t->ranks * (double)t->bytes / seconds / 1e9;
	}
	return rc;
}

static int measure(struct transfer *t, struct error *err)
{
	struct report *report = t->plan->report;
	unsigned runs = t->plan->runs ? t->plan->runs : RUNS;
	struct samples put = {0}, get = {0};
	uint64_t epoch = 0;
	double speed[3] = {0};
	int rc = 0;

	for (unsigned i = 0; !rc && i < WARM_RUNS + runs; i++) {
		if (t->checkpoint || !epoch) {
			rc = turn(t, true, ++epoch, i % 2, speed, err);
			if (!rc && i >= WARM_RUNS)
				samples_add(&put, speed[0], speed[1], speed[2]);
		}
		if (!rc && t->restore) {
			rc = turn(t, false, epoch, i % 2, speed, err);
			if (!rc && i >= WARM_RUNS)
				samples_add(&get, speed[0], speed[1], speed[2]);
		}
	}
	if (!rc && t->checkpoint)
		rc = report_row(report, &(struct row){t->family->checkpoint, t->ranks, t->bytes, .unit = "GB/s"}, &put,
				err);
	if (!rc && t->restore)
		rc = report_row(report, &(struct row){t->family->restore, t->ranks, t->bytes, .unit = "GB/s"}, &get,
				err);
	return rc;
}

static int transfer(const struct plan *plan, const struct family *family, unsigned ranks, uint64_t bytes,
		    struct error *err)
{
	struct transfer t = {.family = family,
			     .plan = plan,
			     .ranks = ranks,
			     .bytes = bytes,
			     .checkpoint = plan->wants(family->checkpoint),
			     .restore = plan->wants(family->restore)};
	char size[32];
	int rc;

	size_format(bytes, size, sizeof(size));
	if (plan->bytes) {
		rc = state_check_fits(ranks, bytes, err);
		if (rc)
			return rc;
	} else if (!state_fits(ranks, bytes)) {
		report_note("leaving out %u rank(s) of %s: not enough free memory", ranks, size);
		return 0;
	}
	rc = set_up(&t, err);
	if (!rc)
		rc = measure(&t, err);
	if (rc && t.server)
		server_explain(t.server, err);
	tear_down(&t);
	return rc ? error_context(err, "%u rank(s) of %s", ranks, size) : 0;
}

static int transfer_all(const struct plan *plan, const struct family *family, struct error *err)
{
	static const uint64_t sizes[] = {64ull << 20, 256ull << 20, 1ull << 30};
	int rc = 0;

	for (unsigned ranks = 1; !rc && ranks <= RMA_CLIENTS_MAX; ranks++) {
		if (plan->ranks ? ranks != plan->ranks : ranks > 2)
			continue;
		if (plan->bytes) {
			rc = transfer(plan, family, ranks, plan->bytes, err);
			continue;
		}
		for (unsigned i = 0; !rc && i < sizeof(sizes) / sizeof(sizes[0]); i++)
			rc = transfer(plan, family, ranks, sizes[i], err);
	}
	return rc;
}

int transfer_bench(const struct plan *plan, struct error *err)
{
	return transfer_all(plan, &ofi, err);
}

int local_bench(const struct plan *plan, struct error *err)
{
	return transfer_all(plan, &local, err);
}

int verbs_bench(const struct plan *plan, struct error *err)
{
	if (plan->rdma)
		return transfer(plan, &verbs, 1, plan->bytes ? plan->bytes : VERBS_BYTES, err);
	if (plan->only)
		return error_set(err, -EINVAL, "%s and %s need an RDMA device: name an address that it has with --rdma",
				 verbs.checkpoint, verbs.restore);
	report_note("leaving out %s and %s: no RDMA device is named with --rdma", verbs.checkpoint, verbs.restore);
	return 0;
}
