/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wish.h - what is wanted of the running job beside the checkpoints that it makes by itself: a checkpoint now,
 * or one and to leave after it; by a signal to any rank, or by a tool through the server.
 */
#ifndef HOLDFAST_WISH_H
#define HOLDFAST_WISH_H

#include <stdint.h>

struct hf_job;

/* WISH_DUE is the interval's; WISH_BUSY is no wish: an asynchronous checkpoint is being shipped. */
enum wish_flags { WISH_DUE = 1, WISH_CHECKPOINT = 2, WISH_LEAVE = 4, WISH_BUSY = 8 };

struct wish {
	int signals[2];	   /* caught for this job: for a checkpoint, to leave; 0: none */
	unsigned spent[2]; /* how many of each were caught when the last wish was served */
	int agreed;	   /* the same on all ranks: wish_flags of the last hf_due() */
	/* rank 0's */
	int asked;	   /* wish_flags that the server told of */
	uint64_t count;	   /* with this number */
	uint64_t served, epoch; /* the last that was served, and by which epoch; 0: it failed */
	uint64_t next_ns;  /* monotonic: when the server is asked again */
};

/* Catches the configured signals where nobody else does; and gives them back. */
void wish_begin(struct hf_job *job);
void wish_end(struct hf_job *job);

/* As wish_end(), in a process that is about to exit: a signal more shall not kill it on its way. */
void wish_end_for_good(struct hf_job *job);

/*
 * What this rank knows to be wanted. Rank 0 asks the server, at most twice a second; where it cannot, that is no
 * error: the job goes on without.
 */
int wish_here(struct hf_job *job);

/* Collective: what any rank wants, of `mine` on each. HF_EMPI. */
int wish_agree(struct hf_job *job, int mine, int *all);

/* A checkpoint was made, or failed (epoch 0), for `wanted`: that is done with. Rank 0 tells the server. */
void wish_served(struct hf_job *job, int wanted, uint64_t epoch);

#endif
