/* SPDX-License-Identifier: BSD-3-Clause */
/* fortran.c - what holdfast.f90 needs beside the C API: handles as integers, kinds as element types. */
#include <stdbool.h>
#include "ckpt/job.h"
#include "ckpt/protect.h"
#include "common/set.h"

int hf_attach_f(MPI_Fint comm, const char *name, hf_job_t *job);
int hf_protect_f(hf_job_t job, const char *name, void *addr, size_t count, MPI_Fint type);
int hf_protect_element_f(hf_job_t job, const char *name, void *addr, size_t count, int element,
			 size_t bytes, int contiguous);

/* An empty name is none: what Fortran has for NULL. */
int hf_attach_f(MPI_Fint comm, const char *name, hf_job_t *job)
{
	return hf_attach(PMPI_Comm_f2c(comm), *name ? name : NULL, job);
}

int hf_protect_f(hf_job_t job, const char *name, void *addr, size_t count, MPI_Fint type)
{
	return hf_protect(job, name, addr, count, PMPI_Type_f2c(type));
}

int hf_protect_element_f(hf_job_t job, const char *name, void *addr, size_t count, int element,
			 size_t bytes, int contiguous)
{
	struct element of = {.type = (uint32_t)element, .bytes = (uint32_t)bytes, .count = count};

	if (!job)
		return message_no_job();
	if (!contiguous)
		return job_fail(job, HF_EINVAL,
				"segment %.*s is not contiguous; protect the whole array, or a copy",
				HF_SEGMENT_NAME_MAX, name);
	return protect_element(job, name, addr, &of);
}
