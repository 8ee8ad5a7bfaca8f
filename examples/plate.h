/* SPDX-License-Identifier: BSD-3-Clause */
/* plate.h - a plate in which heat spreads: a 2-D grid of cells, cut into blocks over the ranks. */
#ifndef PLATE_H
#define PLATE_H

#include <stddef.h>
#include <stdint.h>
#include <mpi.h>
#include "pgm.h"

/* This rank's block, with a border of one cell that mirrors the neighbours'. */
struct plate {
	uint64_t shape[2]; /* columns and rows of the whole plate */
	uint64_t step;	   /* how many are done */
	double *now;	   /* temperatures; in each step `now` and `next` change places */
	double *next;
	size_t cells;	    /* in each of the two, with the border */
	long x, y;	    /* where our first cell is on the whole plate */
	long width, height; /* our cells, without the border */
	int north, south, west, east; /* ranks; MPI_PROC_NULL: the rim, 0 degrees beyond */
	MPI_Comm comm;
	MPI_Datatype column;
};

/* Collective, all of them, over MPI_COMM_WORLD; what fails ends the program, or returns why. */
const char *plate_create(struct plate *plate, long nx, long ny);
/* picture: NULL for a pattern of its own. */
void plate_heat(struct plate *plate, const struct picture *picture);
void plate_step(struct plate *plate);
/* On rank 0; the same for any number of ranks. */
uint64_t plate_checksum(const struct plate *plate);
/* On rank 0, malloced; NULL on others. */
uint8_t *plate_picture(const struct plate *plate);
void plate_free(struct plate *plate);

#endif
