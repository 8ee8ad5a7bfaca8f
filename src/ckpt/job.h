/* SPDX-License-Identifier: BSD-3-Clause */
/* job.h - a job as one rank sees it; the handle behind hf_job_t. */
#ifndef HOLDFAST_JOB_H
#define HOLDFAST_JOB_H

#include <stdbool.h>
#include <stdint.h>
#include "ckpt/async.h"
#include "ckpt/changes.h"
#include "ckpt/interval.h"
#include "ckpt/launcher.h"
#include "ckpt/name.h"
#include "ckpt/node.h"
#include "client/option.h"
#include "ckpt/outcome.h"
#include "ckpt/segment.h"
#include "ckpt/wish.h"
#include "client/client.h"
#include "common/error.h"
#include "holdfast.h"

/* Fields marked "agreed" have the same value on all ranks. */
struct hf_job {
	MPI_Comm comm; /* our own duplicate; errors return */
	int rank, ranks;
	struct node node;
	struct options options;
	struct name name; /* agreed */
	struct embedded *embedded; /* the server of this node; NULL where one is named */
	struct launcher launcher; /* rank 0's alone */
	struct client *client;
	struct segments segments;
	struct changes changes; /* mode incremental */
	struct async async;
	bool protected_any; /* something was protected at some time */
	uint64_t complete;  /* agreed: the newest complete epoch that is not known to be damaged, or 0 */
	uint64_t highest;   /* agreed: no epoch above this was ever begun */
	/* agreed: epochs in (damaged_after, damaged_last] are passed over from now on */
	uint64_t damaged_after, damaged_last;
	/* agreed: so many incarnations in a row crashed without a checkpoint after this epoch (resume.h) */
	uint64_t crashes, crashed_epoch;
	bool announced; /* resume_announce() has been */
	uint64_t chosen; /* agreed: the variable `epoch` named it, and newer ones are passed over; 0: none */
	struct layout layout;	/* of this rank's set of `complete` */
	bool unsettled;		/* agreed: a checkpoint failed, so `complete` must be agreed anew */
	bool stale;		/* the client's list of sets may not be what the server holds */
	bool fenced;		/* for good */
	struct interval interval; /* rank 0's counts */
	struct wish wish;
	struct command_line command; /* rank 0's, as its launcher gave it */
	uint64_t last_attempt_ns; /* monotonic: last checkpoint, or attachment; rank 0's counts */
	struct error err;	  /* of the last failed call; code is an HF_E* one */
};

/* Sets the message of `job` and returns `code`. */
int job_fail(struct hf_job *job, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Turns what a client function left in job->err (-errno) into the public code, and returns that. */
int job_client_failed(struct hf_job *job, int code);

/* One line "holdfast: job NAME: ..." on stderr. */
void job_say(const struct hf_job *job, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Collective: makes `complete` and `highest` what the lists of all ranks say, damaged epochs left out;
 * asks the server where a list is stale. The codes of a client's failure, HF_EMPI, HF_EPEER.
 */
int job_agree_epochs(struct hf_job *job);

/*
 * Collective: the newest epoch, at most `bound`, that all ranks hold; `usable` leaves those out that are
 * known to be damaged.
 */
int job_newest(struct hf_job *job, bool usable, uint64_t bound, uint64_t *newest);

/* Collective: the highest epoch of which some rank holds a set, complete or not. */
int job_highest_stored(struct hf_job *job, uint64_t *highest);

/*
 * Collective: takes what a client function that reads a set returned on this rank. Damage on any rank
 * gives HF_OK, with the lowest such rank in `damage` (-1: none); other failures fail on all.
 */
int job_agree_damage(struct hf_job *job, int client_code, struct outcome *damage);

/* From now on `complete` is `older`, or 0, and what is between the two counts as damaged. */
void job_pass_over(struct hf_job *job, uint64_t older);

/* Collective: gives `complete` up for the next older epoch, or 0, and says so. */
int job_fall_back(struct hf_job *job, const struct outcome *damage);

/*
 * Collective, at attachment: makes the epoch that rank 0's variable `epoch` names the one to restore, and says
 * which are passed over for it; nothing changes where this launch has completed a newer one. HF_ENOCKPT: it is
 * not complete; nothing has changed then.
 */
int job_choose_epoch(struct hf_job *job);

/* The code and message where `complete` is 0: HF_EDAMAGED after damage, else HF_ENOCKPT. */
int job_nothing_left(struct hf_job *job);

/* HF_EFENCED, with its message. */
int job_fenced(struct hf_job *job);

/*
 * Collective: sees to it that `layout` is that of `complete`, falling back to older epochs where that is
 * damaged on some rank. HF_ENOCKPT and HF_EDAMAGED: there is no epoch (left).
 */
int job_settle_layout(struct hf_job *job);

/* Keeps the message of a call that leaves no job behind, for hf_message(NULL). */
void message_keep(const struct error *err);

/* HF_EINVAL, for a handle that is NULL. */
int message_no_job(void);

/* The public code for a client's -errno. */
int message_code(int client_code);

#endif
