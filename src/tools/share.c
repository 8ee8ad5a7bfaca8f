/* SPDX-License-Identifier: BSD-3-Clause */
/* share.c - pmuctl share, pmuctl unshare. */
#include "common/identity.h"
#include "common/share.h"
#include "tools/pmuctl.h"

static int share(struct pmuctl *ctl, uint32_t group, enum job_share how)
{
	struct wire_share request = {pmuctl_target(ctl), group, how};

	return pmuctl_request(ctl, WIRE_SHARE, wire_share_fields, &request, wire_nothing_fields, NULL);
}

int pmuctl_share(struct pmuctl *ctl)
{
	uint32_t group;
	int rc;

	if (identity_group(ctl->group, &group)) {
		fprintf(stderr, "%s: there is no group '%s'; give a name or a gid\n", ctl->program, ctl->group);
		return PMUCTL_USAGE;
	}
	rc = share(ctl, group, ctl->run ? JOB_SHARE_RUN : JOB_SHARE_READ);
	if (rc == PMUCTL_OK && ctl->json)
		printf("{\"shared\": true}\n");
	else if (rc == PMUCTL_OK)
		printf("job %s is shared: group %s may list, show and verify it%s\n", ctl->job, ctl->group,
		       ctl->run ? ", and run it" : "");
	return rc;
}

int pmuctl_unshare(struct pmuctl *ctl)
{
	int rc = share(ctl, 0, JOB_SHARE_NONE);

	if (rc == PMUCTL_OK && ctl->json)
		printf("{\"shared\": false}\n");
	else if (rc == PMUCTL_OK)
		printf("job %s is shared with no group\n", ctl->job);
	return rc;
}
