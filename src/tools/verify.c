/* SPDX-License-Identifier: BSD-3-Clause */
/* verify.c - pmuctl verify. */
#include <inttypes.h>
#include <string.h>
#include <jansson.h>
#include "tools/pmuctl.h"

struct found {
	uint64_t sets, blocks, bad_sets;
	json_t *damaged;
};

static void report(struct pmuctl *ctl, struct found *found, const struct wire_region *region,
		   uint64_t epoch, const struct wire_verify_reply *reply)
{
	found->bad_sets++;
	if (ctl->json)
		json_array_append_new(found->damaged,
				      json_pack("{s:I, s:I, s:I, s:I, s:s}", "rank",
						(json_int_t)region->rank, "epoch", (json_int_t)epoch,
						"bad_blocks", (json_int_t)reply->bad_blocks, "blocks",
						(json_int_t)reply->blocks, "detail", reply->detail));
	else
		printf("rank %u epoch %" PRIu64 ": DAMAGED, %" PRIu64 " of %" PRIu64 " blocks: %s\n",
		       region->rank, epoch, reply->bad_blocks, reply->blocks, reply->detail);
}

static int region_verify(struct pmuctl *ctl, const struct wire_region *region, void *arg)
{
	struct wire_target target = pmuctl_target(ctl);
	struct wire_verify_reply reply;
	struct found *found = arg;
	int rc;

	for (uint32_t i = 0; i < region->set_count; i++) {
		memset(&reply, 0, sizeof(reply));
		target.rank = region->rank;
		target.epoch = region->sets[i].info.epoch;
		rc = pmuctl_call(ctl, WIRE_VERIFY, &target, wire_verify_reply_fields, &reply);
		if (rc == PMUCTL_NO_JOB) {
			fprintf(stderr, "pmuctl: it was overwritten meanwhile; its job is running\n");
			continue;
		}
		if (rc != PMUCTL_OK)
			return rc;
		found->sets++;
		found->blocks += reply.blocks;
		if (reply.bad_blocks)
			report(ctl, found, region, target.epoch, &reply);
	}
	return PMUCTL_OK;
}

int pmuctl_verify(struct pmuctl *ctl)
{
	struct found found = {.damaged = json_array()};
	json_t *out;
	int rc;

	rc = pmuctl_each_region(ctl, region_verify, &found, NULL);
	if (rc == PMUCTL_OK && ctl->json) {
		out = json_pack("{s:s, s:I, s:I, s:I, s:O}", "name", ctl->job, "sets",
				(json_int_t)found.sets, "blocks", (json_int_t)found.blocks,
				"damaged_sets", (json_int_t)found.bad_sets, "damaged", found.damaged);
		json_dumpf(out, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(out);
	} else if (rc == PMUCTL_OK) {
		printf("job %s: %" PRIu64 " sets, %" PRIu64 " blocks checked, %" PRIu64 " sets damaged\n",
		       ctl->job, found.sets, found.blocks, found.bad_sets);
	}
	json_decref(found.damaged);
	return rc == PMUCTL_OK && found.bad_sets ? PMUCTL_DAMAGE : rc;
}
