/* SPDX-License-Identifier: BSD-3-Clause */
/* plate.c - a plate in which heat spreads: blocks, halos, the five-point step. No Holdfast here. */
#include "plate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOT 100.0 /* degrees; white in a picture */

static size_t cell(const struct plate *p, long row, long col)
{
	return (size_t)(row * (p->width + 2) + col);
}

static void *allocate(size_t count, size_t bytes)
{
	void *memory = calloc(count, bytes);

	if (!memory) {
		fprintf(stderr, "stencil: no memory for %zu x %zu bytes\n", count, bytes);
		MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
	}
	return memory;
}

const char *plate_create(struct plate *p, long nx, long ny)
{
	int ranks, dims[2] = {0, 0}, periods[2] = {0, 0}, at[2], rank;

	MPI_Comm_size(MPI_COMM_WORLD, &ranks);
	MPI_Dims_create(ranks, 2, dims);
	if (ny < dims[0] || nx < dims[1])
		return "there are fewer rows or columns of cells than of ranks";

	*p = (struct plate){.shape = {(uint64_t)nx, (uint64_t)ny}};
	/* No reordering: in the next run, too, a rank's cells must be those that it stored. */
	MPI_Cart_create(MPI_COMM_WORLD, 2, dims, periods, 0, &p->comm);
	MPI_Comm_rank(p->comm, &rank);
	MPI_Cart_coords(p->comm, rank, 2, at);
	MPI_Cart_shift(p->comm, 0, 1, &p->north, &p->south);
	MPI_Cart_shift(p->comm, 1, 1, &p->west, &p->east);

	p->y = ny * at[0] / dims[0];
	p->x = nx * at[1] / dims[1];
	p->height = ny * (at[0] + 1) / dims[0] - p->y;
	p->width = nx * (at[1] + 1) / dims[1] - p->x;
	p->cells = cell(p, p->height + 2, 0);
	p->now = allocate(p->cells, sizeof(double));
	p->next = allocate(p->cells, sizeof(double));
	MPI_Type_vector((int)p->height, 1, (int)p->width + 2, MPI_DOUBLE, &p->column);
	MPI_Type_commit(&p->column);
	return NULL;
}

void plate_free(struct plate *p)
{
	MPI_Type_free(&p->column);
	MPI_Comm_free(&p->comm);
	free(p->now);
	free(p->next);
}

/* A hot disc on ground that is uneven everywhere, so that every cell counts. */
static double pattern(const struct plate *p, long x, long y)
{
	long nx = (long)p->shape[0], ny = (long)p->shape[1], side = nx < ny ? nx : ny;
	long dx = 2 * x - nx, dy = 2 * y - ny;

	if (4 * (dx * dx + dy * dy) < side * side)
		return HOT;
	return (double)((31 * x + 17 * y) % 64);
}

void plate_heat(struct plate *p, const struct picture *picture)
{
	for (long row = 1; row <= p->height; row++) {
		for (long col = 1; col <= p->width; col++) {
			long x = p->x + col - 1, y = p->y + row - 1;

			size_t pixel = (size_t)y * p->shape[0] + (size_t)x;

			p->now[cell(p, row, col)] =
				picture ? HOT * picture->pixels[pixel] / picture->white
					: pattern(p, x, y);
		}
	}
}

/* Sends one edge of our block one way, and takes in the border that comes from the other side. */
static void exchange(struct plate *p, int count, MPI_Datatype type, size_t edge, int to,
		     size_t border, int from)
{
	MPI_Sendrecv(&p->now[edge], count, type, to, 0, &p->now[border], count, type, from, 0,
		     p->comm, MPI_STATUS_IGNORE);
}

void plate_step(struct plate *p)
{
	int width = (int)p->width;
	long down = p->height + 1, right = p->width + 1;
	double *swap = p->now;

	exchange(p, width, MPI_DOUBLE, cell(p, 1, 1), p->north, cell(p, down, 1), p->south);
	exchange(p, width, MPI_DOUBLE, cell(p, down - 1, 1), p->south, cell(p, 0, 1), p->north);
	exchange(p, 1, p->column, cell(p, 1, 1), p->west, cell(p, 1, right), p->east);
	exchange(p, 1, p->column, cell(p, 1, right - 1), p->east, cell(p, 1, 0), p->west);

	for (long row = 1; row <= p->height; row++) {
		const double *above = &p->now[cell(p, row - 1, 0)];
		const double *here = &p->now[cell(p, row, 0)];
		const double *below = &p->now[cell(p, row + 1, 0)];
		double *next = &p->next[cell(p, row, 0)];

		/* The same operations in the same order, wherever a cell lies in its block. */
		for (long col = 1; col <= p->width; col++)
			next[col] = here[col] + 0.125 * ((above[col] + below[col]) +
							 (here[col - 1] + here[col + 1]) -
							 4 * here[col]);
	}
	p->now = p->next;
	p->next = swap;
	p->step++;
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 31) * 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 29) * 0xd6e8feb86659fd93u;
	return x ^ x >> 32;
}

/* A sum, modulo 2^64, over hashes of place and value of all cells: in any order it is the same. */
uint64_t plate_checksum(const struct plate *p)
{
	uint64_t sum = 0, total = 0, place, bits;

	for (long row = 1; row <= p->height; row++) {
		for (long col = 1; col <= p->width; col++) {
			place = (uint64_t)(p->y + row - 1) * p->shape[0];
			place += (uint64_t)(p->x + col - 1);
			memcpy(&bits, &p->now[cell(p, row, col)], sizeof(bits));
			sum += mix(bits ^ mix(place + 1));
		}
	}
	MPI_Reduce(&sum, &total, 1, MPI_UINT64_T, MPI_SUM, 0, MPI_COMM_WORLD);
	return total;
}

/* Each rank fills its own cells into a black picture; rank 0 lays them over each other. */
uint8_t *plate_picture(const struct plate *p)
{
	size_t pixels = (size_t)(p->shape[0] * p->shape[1]);
	uint8_t *mine, *all = NULL;
	int rank;

	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	mine = allocate(pixels, 1);
	if (rank == 0)
		all = allocate(pixels, 1);
	for (long row = 1; row <= p->height; row++) {
		for (long col = 1; col <= p->width; col++)
			mine[(p->y + row - 1) * (long)p->shape[0] + p->x + col - 1] =
				(uint8_t)(p->now[cell(p, row, col)] / HOT * 255 + 0.5);
	}
	MPI_Reduce(mine, all, (int)pixels, MPI_UINT8_T, MPI_BOR, 0, MPI_COMM_WORLD);
	free(mine);
	return all;
}
