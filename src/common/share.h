/* SPDX-License-Identifier: BSD-3-Clause */
/* share.h - what the group with which a user shares a job may do with it. */
#ifndef HOLDFAST_SHARE_H
#define HOLDFAST_SHARE_H

/* Each includes what is before it. Numbers are stored, and go over the wire. */
enum job_share {
	JOB_SHARE_NONE, /* for others the job does not exist */
	JOB_SHARE_READ, /* list, show, verify */
	JOB_SHARE_RUN,	/* restore it, write its checkpoints, ask for them, fence; not: remove it, or share it */
};

#endif
