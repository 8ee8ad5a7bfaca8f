/* SPDX-License-Identifier: BSD-3-Clause */
/* scenario.h - what is done to a pool while it is recorded, as PMM and NI do it, in one process and without a network. */
#ifndef HOLDFAST_SCENARIO_H
#define HOLDFAST_SCENARIO_H

#include "oracle.h"
#include "recording.h"

/* Orders of steps, the right one and wrong ones. */
enum order {
	ORDER_RIGHT,
	ORDER_PUBLISH_FIRST,  /* P4 before P3 */
	ORDER_WITHDRAW_LAST,  /* P1 when the slot is written already */
	ORDER_ANSWER_FIRST,   /* the takeover is answered before P5 */
	ORDER_FILES_FIRST,    /* a dropped region's files go before P6 */
};

struct scenario {
	const char *name;
	const char *what;
	void (*set_up)(void); /* NULL: the pool is made by run */
	void (*run)(void);
};

/* Ended by one without a name. */
extern const struct scenario scenarios[];

/* NULL: there is none of this name. */
const struct scenario *scenario_find(const char *name);

/* Sets a pool up in the empty directory, and records what is done to it then. */
void scenario_record(const struct scenario *scenario, const char *directory, enum order order,
		     struct recording *recording);

/* Takes every region over and makes a full checkpoint of it; `belief` is what the pool holds, before and after. */
void scenario_go_on(struct pool *pool, struct belief *belief);

#endif
