/* SPDX-License-Identifier: BSD-3-Clause */
/* report.c - the statistics, the table, the JSON file. */
#include "report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <jansson.h>
#include <rdma/fabric.h>
#include "common/size.h"

struct report {
	json_t *root;
	json_t *rows;
};

void samples_add(struct samples *samples, double value, double limit, double copy)
{
	if (samples->count == SAMPLES_MAX)
		return;
	samples->value[samples->count] = value;
	samples->limit[samples->count] = limit;
	samples->copy[samples->count++] = copy;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of sorted values, `share` of the way up. */
static double quantile(const double *values, unsigned count, double share)
{
	double place = share * (count - 1);
	unsigned below = (unsigned)place;

	if (below + 1 >= count)
		return values[count - 1];
	return values[below] + (place - below) * (values[below + 1] - values[below]);
}

double median(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), compare);
	return quantile(values, count, 0.5);
}

/* ---- the machine ---- */

/* The value of the first line "KEY : VALUE" of a file in /proc. */
static void proc_value(const char *file, const char *key, char *value, size_t capacity)
{
	FILE *in = fopen(file, "r");
	char line[512], *at;

	snprintf(value, capacity, "unknown");
	if (!in)
		return;
	while (fgets(line, sizeof(line), in)) {
		at = strchr(line, ':');
		if (strncmp(line, key, strlen(key)) || !at)
			continue;
		at += 1 + strspn(at + 1, " \t");
		at[strcspn(at, "\n")] = '\0';
		snprintf(value, capacity, "%s", at);
		break;
	}
	fclose(in);
}

/* What mpirun in PATH calls itself: "mpirun (Open MPI) 4.1.4". */
static void mpirun_version(char *version, size_t capacity)
{
	FILE *in = popen("mpirun --version 2>/dev/null", "re");

	if (!in || !fgets(version, (int)capacity, in))
		snprintf(version, capacity, "none");
	version[strcspn(version, "\n")] = '\0';
	while (in && fgetc(in) != EOF) /* or it dies of a pipe that nobody reads */
		continue;
	if (in)
		pclose(in);
}

static json_t *machine(void)
{
	char cpu[256], mpirun[128];
	struct utsname uts = {0};
	uint32_t fabric = fi_version();
	char libfabric[32];

	uname(&uts);
	snprintf(libfabric, sizeof(libfabric), "%u.%u", FI_MAJOR(fabric), FI_MINOR(fabric));
	proc_value("/proc/cpuinfo", "model name", cpu, sizeof(cpu));
	mpirun_version(mpirun, sizeof(mpirun));
	return json_pack("{s:s, s:I, s:I, s:s, s:s, s:s, s:s, s:s}",
			 "cpu", cpu,
			 "cores", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN),
			 "memory_bytes", (json_int_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE),
			 "arch", uts.machine,
			 "kernel", uts.release,
			 "libfabric", libfabric,
			 "mpi", mpirun,
			 "compiler", __VERSION__);
}

/* ---- rows ---- */

int report_open(struct report **report, struct error *err)
{
	struct report *r = calloc(1, sizeof(*r));

	if (!r)
		return error_nomem(err, "the report");
	r->rows = json_array();
	r->root = json_pack("{s:o, s:O}", "machine", machine(), "rows", r->rows);
	if (!r->root) {
		report_close(r);
		return error_nomem(err, "the report");
	}
	printf("%-17s %5s %8s %9s %9s %-5s %6s %7s %5s %9s\n", "name", "ranks", "bytes", "value",
	       "limit", "unit", "ratio", "spread", "runs", "memcpy");
	*report = r;
	return 0;
}

static json_t *detail_value(const struct detail *detail)
{
	json_int_t whole = (json_int_t)detail->number;

	if (detail->text)
		return json_string(detail->text);
	return (double)whole == detail->number ? json_integer(whole) : json_real(detail->number);
}

/* Under the row, and in its object. */
static int add_details(json_t *row, const struct detail *detail, struct error *err)
{
	int rc = 0;

	if (!detail)
		return 0;
	printf("%-17s", "");
	for (; detail->name && !rc; detail++) {
		if (detail->text)
			printf(" %s=%s", detail->name, detail->text);
		else
			printf(" %s=%.10g", detail->name, detail->number);
		rc = json_object_set_new(row, detail->name, detail_value(detail));
	}
	putchar('\n');
	return rc ? error_nomem(err, "a row of the report") : 0;
}

/* What the table and the file both have. */
struct figures {
	double value, limit, copy, ratio, spread;
};

static struct figures figures_of(const struct row *row, const struct samples *samples)
{
	struct samples sorted = *samples;
	double ratios[SAMPLES_MAX];
	struct figures f;

	for (unsigned i = 0; i < samples->count; i++)
		ratios[i] = row->inverse ? samples->limit[i] / samples->value[i]
					 : samples->value[i] / samples->limit[i];
	f.value = median(sorted.value, sorted.count);
	f.limit = median(sorted.limit, sorted.count);
	f.copy = median(sorted.copy, sorted.count);
	f.ratio = median(ratios, sorted.count);
	f.spread = (quantile(ratios, sorted.count, 0.75) - quantile(ratios, sorted.count, 0.25)) / f.ratio;
	return f;
}

int report_row(struct report *report, const struct row *row, const struct samples *samples, struct error *err)
{
	struct figures f;
	char size[32];
	json_t *object;
	int rc;

	if (!samples->count)
		return error_set(err, -EINVAL, "%s: no run was measured", row->name);
	f = figures_of(row, samples);
	printf("%-17s %5u %8s %9.2f %9.2f %-5s %6.2f %6.0f%% %5u ", row->name, row->ranks,
	       size_format(row->bytes, size, sizeof(size)), f.value, f.limit, row->unit, f.ratio, f.spread * 100,
	       samples->count);
	printf(f.copy > 0 ? "%9.2f\n" : "        -\n", f.copy);

	object = json_pack("{s:s, s:i, s:I, s:f, s:s, s:f, s:f, s:i, s:f}",
			   "name", row->name,
			   "ranks", (int)row->ranks,
			   "bytes", (json_int_t)row->bytes,
			   "value", f.value,
			   "unit", row->unit,
			   "limit", f.limit,
			   "ratio", f.ratio,
			   "runs", (int)samples->count,
			   "spread", f.spread);
	if (object && f.copy > 0)
		json_object_set_new(object, "memcpy", json_real(f.copy));
	if (!object || json_array_append_new(report->rows, object))
		return error_nomem(err, "a row of the report");
	rc = add_details(object, row->details, err);
	fflush(stdout);
	return rc;
}

void report_note(const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	va_start(args, fmt);
	fputs("hf-bench: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
}

int report_write(const struct report *report, const char *file, struct error *err)
{
	FILE *out = fopen(file, "w");
	bool written;

	if (!out)
		return error_set(err, -errno, "cannot write %s: %s", file, strerror(errno));
	written = !json_dumpf(report->root, out, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) &&
		  fputc('\n', out) != EOF;
	if (fclose(out) || !written)
		return error_set(err, -EIO, "cannot write %s: %s", file, strerror(errno));
	return 0;
}

void report_close(struct report *report)
{
	if (!report)
		return;
	json_decref(report->root);
	json_decref(report->rows);
	free(report);
}
