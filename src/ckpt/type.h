/* SPDX-License-Identifier: BSD-3-Clause */
/* type.h - MPI datatypes as the element types that are stored, and back. */
#ifndef HOLDFAST_TYPE_H
#define HOLDFAST_TYPE_H

#include <stdint.h>
#include <mpi.h>
#include "common/error.h"

/* What an MPI datatype is made of: `count` elements of one predefined type. */
struct element {
	uint32_t type; /* enum element_type */
	uint32_t bytes;
	uint64_t count;
};

/*
 * Takes a predefined type of C or Fortran, or a contiguous or duplicated one made of one predefined type,
 * to any depth. HF_EINVAL for all others, HF_EMPI.
 */
int element_of_type(MPI_Datatype type, struct element *element, struct error *err);

/* The predefined type of C that stands for the element; MPI_DATATYPE_NULL where there is none. */
MPI_Datatype element_datatype(uint32_t type, uint32_t bytes);

/* "int32", "double" and the like; never NULL. */
const char *element_name(uint32_t type);

#endif
