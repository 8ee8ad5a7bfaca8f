/* SPDX-License-Identifier: BSD-3-Clause */
/* checkpoint.h - what checkpoints have in common, whether the application waits for them or not. */
#ifndef HOLDFAST_CHECKPOINT_H
#define HOLDFAST_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>
#include "ckpt/job.h"

/* What this rank's set of `epoch` is to hold: `layout`, and in mode incremental what has changed; *wrote is its kind. HF_*. */
int checkpoint_plan(struct hf_job *job, int kind, uint64_t epoch, struct layout *layout, enum set_kind *wrote);

/* All ranks have their sets of `epoch`: `layout` is what this rank's holds, and is the job's from now on. */
void checkpoint_complete(struct hf_job *job, uint64_t epoch, struct layout *layout);

/* On rank 0, when an epoch is complete: what it cost the application, and how long it took in all. */
void checkpoint_took(struct hf_job *job, double stopped_s, double seconds);

/*
 * Collective, after a checkpoint that came to `code`: whoever wished for it (`wanted`: what this rank knows) is told what
 * became of it, and what was to follow it follows, where `may_leave`; else whoever wants to leave is to wish on.
 */
int checkpoint_wishes(struct hf_job *job, int wanted, int code, bool may_leave);

#endif
