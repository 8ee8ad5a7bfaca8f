/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * particles.c - a program that changes a small part of its state in each step: a shower of particles wanders through a
 * detector, and only the cells that it passes count hits. Its checkpoints are increments in mode incremental:
 *
 *   particles [--cells N] [--shower N] [--steps N] [--every K]
 *
 * --cells is the number of cells a rank; --shower how many particles a rank has; a checkpoint is made every K steps.
 * It ends with one line on stdout, "particles: steps=N checksum=HEX", which is the same however often it failed.
 */
#include <argp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <holdfast.h>

struct run {
	uint64_t cell_count, shower, steps, every, delay_ms;
	uint64_t *cells; /* hits */
	uint64_t *at;	 /* where each particle is */
	int64_t step;	 /* done so far */
	int rank, ranks;
	hf_job_t job;
};

enum { KEY_CELLS = 256, KEY_SHOWER, KEY_STEPS, KEY_EVERY, KEY_DELAY };

static const struct argp_option options[] = {
	{"cells", KEY_CELLS, "N", 0, "cells a rank (default: 1048576, which are 8 MiB)", 0},
	{"shower", KEY_SHOWER, "N", 0, "particles a rank (default: 8)", 0},
	{"steps", KEY_STEPS, "N", 0, "(default: 100)", 0},
	{"every", KEY_EVERY, "K", 0, "steps between checkpoints (default: 10)", 0},
	{"delay-ms", KEY_DELAY, "MS", 0, "to sleep in each step (default: 0)", 0},
	{0},
};

static error_t option_parse(int key, char *text, struct argp_state *state)
{
	struct run *run = state->input;
	uint64_t *const values[] = {&run->cell_count, &run->shower, &run->steps, &run->every, &run->delay_ms};
	char *end;

	if (key < KEY_CELLS || key > KEY_DELAY)
		return ARGP_ERR_UNKNOWN;
	*values[key - KEY_CELLS] = strtoull(text, &end, 10);
	if (end == text || *end || (!*values[key - KEY_CELLS] && key != KEY_DELAY))
		argp_error(state, "'%s' is no number above 0", text);
	return 0;
}

static void must(const struct run *run, const char *what, int code)
{
	if (code == HF_OK)
		return;
	fprintf(stderr, "particles: rank %d: %s: %s\n", run->rank, what, hf_message(run->job));
	MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
}

/* splitmix64 (Steele, Lea, Flood 2014): a number that looks random, from any other. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* Each particle drifts by a few cells, which it hits, and now and then is scattered to anywhere. */
static void step(struct run *run)
{
	for (uint64_t i = 0; i < run->shower; i++) {
		uint64_t chance = mix(run->at[i] ^ mix((uint64_t)run->step << 20 | i));

		run->at[i] = chance % 64 ? run->at[i] + chance % 7 : chance;
		run->at[i] %= run->cell_count;
		run->cells[run->at[i]] += 1 + chance % 3;
	}
	run->step++;
}

static uint64_t checksum(const struct run *run)
{
	uint64_t mine = 0, all = 0;

	for (uint64_t i = 0; i < run->cell_count; i++)
		mine += mix(run->cells[i] + i * 3 + (uint64_t)run->rank);
	for (uint64_t i = 0; i < run->shower; i++)
		mine ^= mix(run->at[i] + i);
	MPI_Reduce(&mine, &all, 1, MPI_UINT64_T, MPI_BXOR, 0, MPI_COMM_WORLD);
	return all;
}

static void state_protect(struct run *run)
{
	run->job = hf_world(); /* from the plug-in; without it we attach ourselves */
	if (!run->job)
		must(run, "attach", hf_attach(MPI_COMM_WORLD, NULL, &run->job));
	must(run, "protect", hf_protect(run->job, "cells", run->cells, run->cell_count, MPI_UINT64_T));
	must(run, "protect", hf_protect(run->job, "particles", run->at, run->shower, MPI_UINT64_T));
	must(run, "protect", hf_protect(run->job, "step", &run->step, 1, MPI_INT64_T));
	/* It is small, and changes in each step: there is nothing to look for. */
	must(run, "hint", hf_hint(run->job, "particles", HF_HINT_VOLATILE));
}

static void state_begin(struct run *run)
{
	uint64_t epoch;
	int code;

	run->cells = calloc(run->cell_count, sizeof(*run->cells));
	run->at = calloc(run->shower, sizeof(*run->at));
	if (!run->cells || !run->at) {
		fprintf(stderr, "particles: rank %d: no memory for %llu cells\n", run->rank,
			(unsigned long long)run->cell_count);
		MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
	}
	for (uint64_t i = 0; i < run->shower; i++)
		run->at[i] = mix((uint64_t)run->rank << 32 | i) % run->cell_count;
	state_protect(run);
	code = hf_restore(run->job, &epoch);
	if (code == HF_ENOCKPT)
		return;
	must(run, "restore", code);
	if (!run->rank)
		fprintf(stderr, "particles: resumed from epoch %llu at step %lld\n", (unsigned long long)epoch,
			(long long)run->step);
}

int main(int argc, char **argv)
{
	static const struct argp argp = {options, option_parse, NULL, "A shower of particles.", NULL, NULL, NULL};
	struct run run = {.cell_count = 1 << 20, .shower = 8, .steps = 100, .every = 10};
	uint64_t sum;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &run.rank);
	MPI_Comm_size(MPI_COMM_WORLD, &run.ranks);
	argp_parse(&argp, argc, argv, run.rank ? ARGP_SILENT : 0, NULL, &run);
	state_begin(&run);
	while ((uint64_t)run.step < run.steps) {
		step(&run);
		usleep((useconds_t)(run.delay_ms * 1000));
		if ((uint64_t)run.step % run.every == 0)
			must(&run, "checkpoint", hf_checkpoint(run.job, HF_AUTO));
	}
	sum = checksum(&run);
	if (!run.rank) {
		printf("particles: steps=%lld checksum=%016llx\n", (long long)run.step, (unsigned long long)sum);
		fflush(stdout); /* before the checkpoints are given up */
	}
	must(&run, "detach", hf_detach(run.job, 1));
	free(run.cells);
	free(run.at);
	MPI_Finalize();
	return EXIT_SUCCESS;
}
