/* SPDX-License-Identifier: BSD-3-Clause */
/* protect.h - protecting memory by element type, for languages whose types are not MPI's. */
#ifndef HOLDFAST_PROTECT_H
#define HOLDFAST_PROTECT_H

#include "ckpt/type.h"
#include "holdfast.h"

/* hf_protect() of `element->count` elements. job is not NULL. */
int protect_element(hf_job_t job, const char *name, void *addr, const struct element *element);

#endif
