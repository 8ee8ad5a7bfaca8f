/* SPDX-License-Identifier: BSD-3-Clause */
/* server.h - which server a job uses: the one that is named, or on each node one of its own. */
#ifndef HOLDFAST_CKPT_SERVER_H
#define HOLDFAST_CKPT_SERVER_H

#include "client/client.h"
#include "ckpt/job.h"

/*
 * Collective, once options and name are known. Where no rank names a server, finds or starts that of each
 * node (client/embedded.h), and rank 0 says so where one was started. HF_ECONFIG (also where some ranks
 * name a server and others do not), HF_ESERVER, HF_ETIMEDOUT, HF_ENOMEM, HF_EMPI, HF_EPEER.
 */
int server_choose(struct hf_job *job);

/* Fills in how to connect to it. */
void server_options(const struct hf_job *job, struct client_options *to);

#endif
