/* SPDX-License-Identifier: BSD-3-Clause */
/* jobs.c - pmuctl jobs. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include "common/size.h"
#include "tools/list.h"
#include "tools/pmuctl.h"

static json_t *job_json(const struct wire_job *job)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:o, s:I}", "name", job->name, "uid",
			 (json_int_t)job->uid, "ranks", (json_int_t)job->ranks, "regions",
			 (json_int_t)job->regions, "primaries", (json_int_t)job->sessions,
			 "complete_epoch", (json_int_t)job->complete_epoch, "reserved_bytes",
			 (json_int_t)job->reserved_bytes, "created", (json_int_t)(job->created_ns / 1000000000u), "shared",
			 pmuctl_share_name(job->share), "group",
			 job->share ? json_integer(job->group) : json_null(), "damaged_sets",
			 (json_int_t)job->damaged);
}

static void job_print(const struct wire_job *job)
{
	char size[32], epoch[24] = "none", state[64] = "at rest";

	if (job->complete_epoch)
		snprintf(epoch, sizeof(epoch), "%" PRIu64, job->complete_epoch);
	if (job->sessions)
		snprintf(state, sizeof(state), "%u running", job->sessions);
	if (job->damaged)
		snprintf(state + strlen(state), sizeof(state) - strlen(state), ", %u damaged", job->damaged);
	printf("%-32s %6u %7u %10s %10s %-14s %s\n", job->name, job->uid, job->ranks, epoch,
	       size_format(job->reserved_bytes, size, sizeof(size)), state,
	       pmuctl_time(job->created_ns));
}

static int jobs_page(struct pmuctl *ctl, struct wire_target *target, json_t *all)
{
	struct wire_list_reply reply = {0};
	int rc = pmuctl_call(ctl, WIRE_LIST, target, wire_list_reply_fields, &reply);

	for (uint32_t i = 0; i < reply.count; i++) {
		if (ctl->json)
			json_array_append_new(all, job_json(&reply.jobs[i]));
		else
			job_print(&reply.jobs[i]);
	}
	target->rank = reply.next;
	wire_list_reply_free(&reply);
	return rc;
}

int pmuctl_jobs(struct pmuctl *ctl)
{
	if (!ctl->json)
		printf("%-32s %6s %7s %10s %10s %-14s %s\n", "JOB", "UID", "RANKS", "EPOCH", "RESERVED",
		       "STATE", "CREATED");
	return pmuctl_list(ctl, jobs_page);
}
