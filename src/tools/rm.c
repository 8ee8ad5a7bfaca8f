/* SPDX-License-Identifier: BSD-3-Clause */
/* rm.c - pmuctl rm. */
#include "tools/pmuctl.h"

int pmuctl_rm(struct pmuctl *ctl)
{
	struct wire_target target = pmuctl_target(ctl);
	int rc;

	target.rank = WIRE_RANK_ALL;
	rc = pmuctl_call(ctl, WIRE_DROP, &target, wire_nothing_fields, NULL);
	if (rc == PMUCTL_OK && ctl->json)
		printf("{\"removed\": true}\n");
	else if (rc == PMUCTL_OK)
		printf("job %s is removed\n", ctl->job);
	return rc;
}
