/* SPDX-License-Identifier: BSD-3-Clause */
/* name.c - what a job is called, and which launch and incarnation of it this is. */
#include "ckpt/name.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ckpt/launcher.h"
#include "holdfast.h"

_Static_assert(HF_JOB_NAME_MAX + 1 == JOB_NAME_BYTES, "names of jobs");

static int job_set(struct name *name, const char *job, enum name_origin origin, int code,
		   struct error *err)
{
	size_t length = strnlen(job, JOB_NAME_BYTES);

	if (length > HF_JOB_NAME_MAX)
		return error_set(err, code, "the job's name \"%.32s...\" has over %d bytes", job,
				 HF_JOB_NAME_MAX);
	if (!length)
		return error_set(err, code, "the job's name is empty");
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)job[i] < 0x20 || job[i] == 0x7f || job[i] == '/')
			return error_set(err, code,
					 "the job's name has a control character or '/' at byte %zu", i + 1);
	memcpy(name->job, job, length + 1);
	name->origin = origin;
	return HF_OK;
}

/* The number of the batch job that this runs in; false outside of any. */
static bool batch_job(char *job, size_t capacity)
{
	static const struct {
		const char *variable, *system;
	} systems[] = {
		{"SLURM_JOB_ID", "slurm"},
		{"PBS_JOBID", "pbs"},
		{"LSB_JOBID", "lsf"},
		{"JOB_ID", "sge"},
	};

	for (size_t i = 0; i < sizeof(systems) / sizeof(systems[0]); i++) {
		const char *id = getenv(systems[i].variable);

		if (!id || !*id)
			continue;
		snprintf(job, capacity, "%s-%s", systems[i].system, id);
		return true;
	}
	return false;
}

static int launch_set(struct name *name, struct error *err)
{
	const char *text = getenv("HOLDFAST_LAUNCH");
	size_t bytes;

	if (!text || !*text) {
		if (sodium_init() < 0)
			return error_set(err, HF_ECONFIG, "there is no source of random numbers");
		randombytes_buf(name->launch, sizeof(name->launch));
		return HF_OK;
	}
	if (sodium_hex2bin(name->launch, sizeof(name->launch), text, strlen(text), NULL, &bytes, NULL) ||
	    bytes != sizeof(name->launch))
		return error_set(err, HF_ECONFIG,
				 "HOLDFAST_LAUNCH is not %zu hexadecimal digits; it is for launchers, unset it",
				 2 * sizeof(name->launch));
	return HF_OK;
}

int name_decide(const char *given, const char *configured, struct name *name, struct error *err)
{
	struct name decided = {.incarnation = 0};
	char job[JOB_NAME_BYTES + 32];
	uint64_t incarnation = 0;
	int code = launch_set(&decided, err);

	if (!code)
		code = launcher_number("HOLDFAST_INCARNATION", UINT32_MAX, &incarnation, err);
	if (code)
		return code;
	decided.incarnation = (uint32_t)incarnation;
	if (given) {
		code = job_set(&decided, given, NAME_GIVEN, HF_EINVAL, err);
	} else if (configured) {
		code = job_set(&decided, configured, NAME_GIVEN, HF_ECONFIG, err);
	} else if (batch_job(job, sizeof(job))) {
		code = job_set(&decided, job, NAME_BATCH, HF_ECONFIG, err);
	} else {
		snprintf(job, sizeof(job), "mpirun-");
		sodium_bin2hex(job + strlen(job), 17, decided.launch, 8);
		code = job_set(&decided, job, NAME_LAUNCH, HF_ECONFIG, err);
	}
	if (!code)
		*name = decided;
	return code;
}
