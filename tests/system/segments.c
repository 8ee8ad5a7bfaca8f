/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * segments.c - an MPI program whose segments are others at each checkpoint and on each rank: they come and
 * go, grow and shrink, and change their types. `segments EPOCHS [HOLD]` goes on from what is stored, checks
 * every byte of it, and makes checkpoints until epoch EPOCHS is complete; it waits for ever after epoch HOLD.
 */
#include <inttypes.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "holdfast.h"

#define SEGMENTS 12
#define COUNT_MAX 60000 /* elements: several blocks of the table's */

struct shape {
	int present;
	size_t count;
	MPI_Datatype type;
	size_t bytes;
};

static int rank;
static uint64_t epoch;
static void *memory[SEGMENTS];
static int protected[SEGMENTS];

/* A good mixer of bits: that of splitmix64. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static uint64_t draw(uint64_t at, unsigned i, uint64_t what)
{
	return mix(mix(mix(mix((uint64_t)rank) + at) + i) + what);
}

/* What segment i of this rank is at an epoch. */
static struct shape shape_of(uint64_t at, unsigned i)
{
	const MPI_Datatype types[] = {MPI_BYTE, MPI_INT16_T, MPI_FLOAT, MPI_DOUBLE, MPI_C_DOUBLE_COMPLEX};
	struct shape shape = {.present = draw(at, i, 1) % 3 > 0};
	int bytes;

	shape.count = draw(at, i, 2) % 8 ? draw(at, i, 3) % COUNT_MAX : 0;
	shape.type = types[draw(at, i, 4) % (sizeof(types) / sizeof(types[0]))];
	MPI_Type_size(shape.type, &bytes);
	shape.bytes = shape.count * (size_t)bytes;
	return shape;
}

static void fail(const char *what, unsigned i, hf_job_t job)
{
	fprintf(stderr, "segments: rank %d: epoch %" PRIu64 ", segment %u: %s (%s)\n", rank, epoch, i, what,
		hf_message(job));
	MPI_Abort(MPI_COMM_WORLD, 1);
}

static const char *name_of(unsigned i)
{
	static char name[32];

	snprintf(name, sizeof(name), "segment-%u", i);
	return name;
}

static void protect(hf_job_t job, unsigned i, const struct shape *shape)
{
	free(memory[i]);
	memory[i] = malloc(shape->bytes + 1);
	if (!memory[i] || hf_protect(job, name_of(i), memory[i], shape->count, shape->type))
		fail("cannot be protected", i, job);
	protected[i] = 1;
}

static void fill(unsigned i, size_t bytes)
{
	unsigned char *to = memory[i];

	for (size_t at = 0; at < bytes; at++)
		to[at] = (unsigned char)(draw(epoch, i, 5 + at / 8) >> at % 8 * 8);
}

static void check(hf_job_t job, unsigned i, size_t bytes)
{
	unsigned char *is = memory[i], *should;

	memory[i] = should = malloc(bytes + 1);
	if (!should)
		fail("no memory", i, job);
	fill(i, bytes);
	if (memcmp(is, should, bytes))
		fail("has other bytes than were stored", i, job);
	memory[i] = is;
	free(should);
}

/* Makes the memory what hf_stored() tells. */
static int allocate(hf_job_t job)
{
	MPI_Datatype type;
	struct shape shape;
	int code, bytes;
	size_t count;

	for (unsigned i = 0; i < SEGMENTS; i++) {
		code = hf_stored(job, name_of(i), &count, &type);
		if (code && code != HF_ESEGMENT)
			return code;
		if (code) {
			if (protected[i])
				hf_unprotect(job, name_of(i));
			protected[i] = 0;
			continue;
		}
		MPI_Type_size(type, &bytes);
		shape = (struct shape){1, count, type, count * (size_t)bytes};
		protect(job, i, &shape);
	}
	return HF_OK;
}

/* Restores what is stored, and compares all of it with what it should be. */
static void resume(hf_job_t job)
{
	uint64_t restored = 0;
	MPI_Datatype type;
	struct shape shape;
	size_t count;
	int code;

	if (hf_stored(job, "epoch", NULL, NULL) == HF_ENOCKPT)
		return;
	do {
		code = allocate(job);
		if (code)
			fail("what is stored cannot be told", SEGMENTS, job);
		/* The epoch that it falls back to may have other segments: then they are asked for again. */
		code = hf_restore(job, &restored);
	} while (code == HF_ESEGMENT || code == HF_EPEER);
	if (code)
		fail("cannot be restored", SEGMENTS, job);
	if (restored != epoch)
		fail("the set is another epoch's", SEGMENTS, job);
	for (unsigned i = 0; i < SEGMENTS; i++) {
		shape = shape_of(epoch, i);
		code = hf_stored(job, name_of(i), &count, &type);
		if (shape.present ? code || count != shape.count || type != shape.type : code != HF_ESEGMENT)
			fail("is not what was stored", i, job);
		if (shape.present)
			check(job, i, shape.bytes);
	}
	MPI_Barrier(MPI_COMM_WORLD);
	if (!rank)
		printf("segments: epoch %" PRIu64 " is right\n", epoch);
}

static void checkpoint(hf_job_t job)
{
	struct shape shape;

	epoch++;
	for (unsigned i = 0; i < SEGMENTS; i++) {
		shape = shape_of(epoch, i);
		if (shape.present) {
			protect(job, i, &shape);
			fill(i, shape.bytes);
		} else if (protected[i]) {
			if (hf_unprotect(job, name_of(i)))
				fail("cannot be unprotected", i, job);
			protected[i] = 0;
		}
	}
	if (hf_checkpoint(job, HF_AUTO))
		fail("there is no checkpoint", SEGMENTS, job);
}

int main(int argc, char **argv)
{
	uint64_t last, hold;
	hf_job_t job;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	last = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
	hold = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	job = hf_world();
	if (!job || hf_protect(job, "epoch", &epoch, 1, MPI_UINT64_T))
		fail("the plug-in is off", SEGMENTS, job);
	resume(job);
	while (epoch < last) {
		checkpoint(job);
		while (epoch == hold)
			pause();
	}
	if (!rank)
		printf("segments: %" PRIu64 " epochs\n", epoch);
	for (unsigned i = 0; i < SEGMENTS; i++)
		free(memory[i]);
	MPI_Finalize();
	return 0;
}
