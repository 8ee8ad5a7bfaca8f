/* SPDX-License-Identifier: BSD-3-Clause */
/* report.h - paired runs, and what becomes of them: a row of the table and of the JSON file. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include "common/error.h"

#define SAMPLES_MAX 999

/* What was measured and its limit, in the same unit; value[i] and limit[i] were taken in turns. */
struct samples {
	unsigned count;
	double value[SAMPLES_MAX];
	double limit[SAMPLES_MAX];
	double copy[SAMPLES_MAX]; /* memcpy, of as many processes; all 0 where that says nothing */
};

/* Not more than SAMPLES_MAX. */
void samples_add(struct samples *samples, double value, double limit, double copy);

/* Sorts `values`. */
double median(double *values, unsigned count);

struct report;

/* What else there is to say of a row: a number, or a text. */
struct detail {
	const char *name; /* NULL: the end */
	double number;
	const char *text;
};

struct row {
	const char *name;
	unsigned ranks;
	uint64_t bytes;
	const char *unit;
	bool inverse; /* the ratio is limit over value */
	const struct detail *details; /* may be NULL */
};

int report_open(struct report **report, struct error *err);
/* Prints a row at once. */
int report_row(struct report *report, const struct row *row, const struct samples *samples, struct error *err);
/* Says beside the table that something is left out, and why. */
void report_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int report_write(const struct report *report, const char *file, struct error *err);
void report_close(struct report *report);

#endif
