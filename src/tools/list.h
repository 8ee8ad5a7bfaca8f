/* SPDX-License-Identifier: BSD-3-Clause */
/* list.h - what the subcommands of pmuctl share that list all of something, page by page. */
#ifndef HOLDFAST_LIST_H
#define HOLDFAST_LIST_H

#include <jansson.h>
#include "tools/pmuctl.h"

/*
 * Asks for the page from number `target->rank` on, prints what is in it, or puts it into `all` where ctl->json, and
 * sets target->rank to the beginning of the next page, 0 after the last one. PMUCTL_OK or an exit code.
 */
typedef int pmuctl_page(struct pmuctl *ctl, struct wire_target *target, json_t *all);

/* All pages; where ctl->json prints what they put together. PMUCTL_OK or an exit code. */
int pmuctl_list(struct pmuctl *ctl, pmuctl_page *page);

#endif
