/* SPDX-License-Identifier: BSD-3-Clause */
/* list.c - lists that come page by page. */
#include "tools/list.h"

int pmuctl_list(struct pmuctl *ctl, pmuctl_page *page)
{
	struct wire_target target = pmuctl_target(ctl);
	json_t *all = json_array();
	int rc;

	do
		rc = page(ctl, &target, all);
	while (rc == PMUCTL_OK && target.rank);
	if (ctl->json && rc == PMUCTL_OK) {
		json_dumpf(all, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(all);
	return rc;
}
