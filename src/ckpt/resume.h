/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resume.h - what a job does that its launcher started again: it tells a crash loop from bad luck, passes an epoch
 * over that the application crashes from, and says where it goes on.
 *
 * An incarnation that ends by the application's own fault, and completed no checkpoint, will end so again
 * from the same epoch, sooner or later. So two incarnations may crash on the newest complete epoch, two
 * more on the next older one, and so on; then the job is given up. A new complete epoch, or an end by another's
 * fault, and the count begins anew. So does a new launch, which is somebody's own decision.
 */
#ifndef HOLDFAST_RESUME_H
#define HOLDFAST_RESUME_H

#include "ckpt/job.h"

/*
 * Collective, when the job is attached and its epochs are agreed: passes the newest ones over that must be, and
 * says so. Nothing changes where there is no older one: that is for resume_check().
 */
int resume_choose(struct hf_job *job);

/*
 * Collective, when something is to be restored, and again with the code where that failed: ends the job, with
 * HF_EXIT_CRASH_LOOP, where it crashes whatever it goes on from. It returns else.
 */
void resume_check(const struct hf_job *job, int code);

/* Once, when the job is restored, or has nothing to be: rank 0 says so in a line, and after which failure. */
void resume_announce(struct hf_job *job);

#endif
