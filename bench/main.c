/* SPDX-License-Identifier: BSD-3-Clause */
/* main.c - hf-bench: measures Holdfast beside the limits that the machine sets. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "bench.h"
#include "child.h"
#include "common/size.h"
#include "report.h"
#include "rma.h"
#include "server.h"

typedef int bench_function(const struct plan *plan, struct error *err);

static struct capability {
	const char *name;
	bench_function *function;
	bool wanted;
} capabilities[] = {
	{"checkpoint-ofi", transfer_bench, true},
	{"restore-ofi", transfer_bench, true},
	{"checkpoint-local", local_bench, true},
	{"restore-local", local_bench, true},
	{"checkpoint-verbs", verbs_bench, true},
	{"restore-verbs", verbs_bench, true},
	{"checkpoint-crowd", crowd_bench, true},
	{"commit-4k", commit_bench, true},
	{"increment-0.1pct", increment_bench, true},
	{"increment-1pct", increment_bench, true},
	{"increment-10pct", increment_bench, true},
	{"increment-50pct", increment_bench, true},
	{"increment-100pct", increment_bench, true},
	{"restore-chain-1", chain_bench, true},
	{"restore-chain-10", chain_bench, true},
	{"restore-chain-100", chain_bench, true},
	{"sessions-1", sessions_bench, true},
	{"sessions-16", sessions_bench, true},
	{"sessions-256", sessions_bench, true},
	{"sessions-1024", sessions_bench, true},
	{"async-stage-stop", async_bench, true},
	{"async-cow-stop", async_bench, true},
	{"async-cow-stop-huge", async_bench, true},
	{"async-cow-stop-part", async_bench, true},
	{"async-overhead", overhead_bench, true},
	{"async-overhead-huge", overhead_bench, true},
	{"async-overhead-local", overhead_bench, true},
	{"instead-write", instead_bench, true},
	{"instead-mpiio", instead_bench, true},
	{"instead-dd", instead_bench, true},
	{"relaunch", relaunch_bench, true},
};

#define CHUNK_MAX    (1u << 30)
#define WINDOW_MAX   4096
#define THREADS_MAX  64
#define CAPABILITIES (sizeof(capabilities) / sizeof(capabilities[0]))

static struct capability *find(const char *name)
{
	for (size_t i = 0; i < CAPABILITIES; i++) {
		if (!strcmp(capabilities[i].name, name))
			return &capabilities[i];
	}
	return NULL;
}

static bool wants(const char *name)
{
	return find(name)->wanted;
}

static const char usage[] =
	"usage: hf-bench [--only NAME]... [--ranks N] [--bytes N] [--runs N] [--json FILE]\n"
	"                [--tracker NAME] [--rdma ADDRESS] [--chunk N] [--window N] [--threads N]\n"
	"                [--dir DIRECTORY] [--server PROGRAM]\n"
	"  --only    measure just this: checkpoint-ofi, restore-ofi, checkpoint-local, restore-local, checkpoint-verbs, restore-verbs,\n"
	"            checkpoint-crowd, commit-4k, increment-0.1pct, increment-1pct, increment-10pct, increment-50pct, increment-100pct, restore-chain-1, restore-chain-10,\n"
	"            restore-chain-100, sessions-1, sessions-16, sessions-256, sessions-1024,\n"
	"            async-stage-stop, async-cow-stop, async-cow-stop-huge, async-cow-stop-part, async-overhead,\n"
	"            async-overhead-huge, async-overhead-local,\n"
	"            instead-write, instead-mpiio, instead-dd, relaunch\n"
	"  --ranks   processes; default 1 and 2 of the first four and of instead-*, 1 of the others, 2 of relaunch\n"
	"  --bytes   of each process, as 256M; default 64M, 256M and 1G of the first four, 64M of checkpoint-crowd, 256M of increments,\n"
	"            chains and instead-*, 1G of async-*, 64M of relaunch, 256K of sessions; commit-4k has its own\n"
	"  --runs    that count, each beside one of its limit; default 9; 15 of checkpoint-crowd and commit-4k, 3 of async-overhead*, 10 of relaunch\n"
	"  --tracker what finds the changes for increments: auto (the default), hash, uffd\n"
	"  --rdma    an address that an RDMA device has, for checkpoint-verbs and restore-verbs\n"
	"  --chunk   bytes of one transfer of checkpoints and restores, as 256K; default: what the library takes\n"
	"  --window  their transfers under way at a time; default: what the library takes\n"
	"  --threads of a rank: that copy at a time, of checkpoint-local and restore-local (default 1, as in their limit), or make\n"
	"            checksums besides the one that sends, of checkpoint-verbs (default: 2 where a rank has the processors)\n"
	"  --json    write the rows to this file, too\n"
	"  --dir     where the pools, the raw files and those of instead-* go; default /dev/shm\n"
	"  --server  the pmu-server to start; default: that of the build tree, else that in PATH\n";

static const struct option long_options[] = {
	{"only", required_argument, NULL, 'o'},	  {"ranks", required_argument, NULL, 'n'},
	{"bytes", required_argument, NULL, 'b'},  {"runs", required_argument, NULL, 'r'},
	{"json", required_argument, NULL, 'j'},	  {"dir", required_argument, NULL, 'd'},
	{"server", required_argument, NULL, 's'}, {"tracker", required_argument, NULL, 't'},
	{"rdma", required_argument, NULL, 'v'},	  {"chunk", required_argument, NULL, 'c'},
	{"window", required_argument, NULL, 'w'}, {"threads", required_argument, NULL, 'p'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

struct options {
	struct plan plan;
	const char *json, *directory;
	bool help;
};

static int number(const char *option, unsigned max, unsigned *value, struct error *err)
{
	char *end;
	unsigned long parsed;

	errno = 0;
	parsed = strtoul(optarg, &end, 10);
	if (errno || *optarg < '0' || *optarg > '9' || *end || parsed < 1 || parsed > max)
		return error_set(err, -EINVAL, "%s is a number from 1 to %u, not '%s'", option, max,
				 optarg);
	*value = (unsigned)parsed;
	return 0;
}

static int only(struct error *err)
{
	static bool first = true;

	if (!find(optarg))
		return error_set(err, -EINVAL, "--only: there is no '%s'; see hf-bench --help",
				 optarg);
	for (size_t i = 0; first && i < CAPABILITIES; i++)
		capabilities[i].wanted = false;
	first = false;
	find(optarg)->wanted = true;
	return 0;
}

static int parse(int argc, char **argv, struct options *o, struct error *err)
{
	int option, rc = 0;

	while (!rc && (option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case 'o':
			rc = only(err);
			o->plan.only = true;
			break;
		case 'n': rc = number("--ranks", RMA_CLIENTS_MAX, &o->plan.ranks, err); break;
		case 'r': rc = number("--runs", SAMPLES_MAX, &o->plan.runs, err); break;
		case 'b':
			if (size_parse(optarg, &o->plan.bytes) || o->plan.bytes < 4096)
				rc = error_set(err, -EINVAL,
					       "--bytes: '%s' is no size, as 64M, of 4096 or more",
					       optarg);
			break;
		case 'c':
			if (size_parse(optarg, &o->plan.chunk) || o->plan.chunk < 4096 || o->plan.chunk > CHUNK_MAX)
				rc = error_set(err, -EINVAL, "--chunk: '%s' is no size from 4096 to 1G", optarg);
			break;
		case 'w': rc = number("--window", WINDOW_MAX, &o->plan.window, err); break;
		case 'p': rc = number("--threads", THREADS_MAX, &o->plan.threads, err); break;
		case 'j': o->json = optarg; break;
		case 'd': o->directory = optarg; break;
		case 's': o->plan.server = optarg; break;
		case 't': o->plan.tracker = optarg; break;
		case 'v': o->plan.rdma = optarg; break;
		case 'h': o->help = true; break;
		default: rc = error_set(err, -EINVAL, "see hf-bench --help"); break;
		}
	}
	if (!rc && optind < argc)
		rc = error_set(err, -EINVAL, "'%s' is no option; see hf-bench --help",
			       argv[optind]);
	return rc;
}

/* Each function once, with all its rows. */
static int measure(const struct plan *plan, struct error *err)
{
	bench_function *done = NULL;
	int rc = 0;

	for (size_t i = 0; !rc && i < CAPABILITIES; i++) {
		if (!capabilities[i].wanted || capabilities[i].function == done)
			continue;
		done = capabilities[i].function;
		rc = done(plan, err);
	}
	return rc;
}

static int run(struct options *o, struct error *err)
{
	char scratch[PATH_MAX - 64];
	int rc, n;

	rc = child_init(err);
	if (rc)
		return rc;
	n = snprintf(scratch, sizeof(scratch), "%s/hf-bench.XXXXXX", o->directory);
	if (n >= (int)sizeof(scratch))
		return error_set(err, -ENAMETOOLONG, "--dir: the name is too long");
	if (!mkdtemp(scratch))
		return error_set(err, -errno, "cannot make %s: %s", scratch, strerror(errno));
	o->plan.scratch = scratch;
	rc = report_open(&o->plan.report, err);
	if (!rc)
		rc = measure(&o->plan, err);
	if (!rc && o->json)
		rc = report_write(o->plan.report, o->json, err);
	report_close(o->plan.report);
	child_end_all();
	scratch_remove(scratch);
	return rc;
}

int main(int argc, char **argv)
{
	struct options options = {.directory = "/dev/shm"};
	struct error err = {0};
	int rc;

	options.plan.wants = wants;
	rc = parse(argc, argv, &options, &err);
	if (!rc && options.help) {
		fputs(usage, stdout);
		return EXIT_SUCCESS;
	}
	if (!rc)
		rc = run(&options, &err);
	if (rc)
		fprintf(stderr, "hf-bench: %s\n", err.text);
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
