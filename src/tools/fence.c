/* SPDX-License-Identifier: BSD-3-Clause */
/* fence.c - pmuctl fence. */
#include "tools/pmuctl.h"

int pmuctl_fence(struct pmuctl *ctl)
{
	struct wire_target target = pmuctl_target(ctl);
	int rc;

	rc = pmuctl_call(ctl, WIRE_FENCE, &target, wire_nothing_fields, NULL);
	if (rc == PMUCTL_OK && ctl->json)
		printf("{\"fenced\": true}\n");
	else if (rc == PMUCTL_OK)
		printf("job %s is fenced: whoever wrote it is cut off, and another run may begin\n", ctl->job);
	return rc;
}
