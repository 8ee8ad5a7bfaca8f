/* SPDX-License-Identifier: BSD-3-Clause */
/* message.c - codes and messages of the public API. */
#include <errno.h>
#include "ckpt/job.h"

/* Of the last call of this thread that failed without leaving a job. */
static __thread struct error kept;

const char *hf_strerror(int code)
{
	switch (code) {
	case HF_OK:
		return "success";
	case HF_EINVAL:
		return "an argument is wrong";
	case HF_ENOMEM:
		return "out of memory";
	case HF_ENOSYS:
		return "not supported by this version or configuration";
	case HF_EMPI:
		return "an MPI call failed";
	case HF_ECONFIG:
		return "the configuration is wrong or incomplete";
	case HF_ESERVER:
		return "the server cannot be reached";
	case HF_EAUTH:
		return "the server does not accept who we are";
	case HF_EPROTO:
		return "the peer is no pmu-server, or speaks another version";
	case HF_EBUSY:
		return "the job is running elsewhere";
	case HF_ENOSPC:
		return "there is no room";
	case HF_EFENCED:
		return "another process has taken over; this one should stop";
	case HF_ERANKS:
		return "the stored job has another number of ranks";
	case HF_EMODE:
		return "the stored region has another mode";
	case HF_ENOCKPT:
		return "there is no checkpoint to restore";
	case HF_ESEGMENT:
		return "a segment is not in the set, or has another type or size there";
	case HF_EDAMAGED:
		return "every stored set is damaged";
	case HF_EPEER:
		return "another rank failed";
	case HF_ETIMEDOUT:
		return "a deadline passed";
	case HF_EIO:
		return "the fabric or the storage medium failed";
	default:
		return "unknown error code";
	}
}

const char *hf_message(hf_job_t job)
{
	return job ? job->err.text : kept.text;
}

void message_keep(const struct error *err)
{
	kept = *err;
}

int message_no_job(void)
{
	return error_set(&kept, HF_EINVAL, "the job is NULL: attach first, and look at what that returns");
}

int message_code(int client_code)
{
	switch (client_code) {
	case 0:
		return HF_OK;
	case -EINVAL:
		return HF_EINVAL;
	case -ENOMEM:
		return HF_ENOMEM;
	case -ENOSYS:
	case -EOPNOTSUPP:
		return HF_ENOSYS;
	case -ENXIO:
	/* A connection to it, of either kind, that was lost or refused until nothing was left of the time. */
	case -ECONNRESET:
	case -ECONNREFUSED:
	case -ENETUNREACH:
	case -EHOSTUNREACH:
	case -ENOTCONN:
	case -EPIPE:
	case -EUSERS:
	case -ENODATA: /* nor could it be shipped anew */
		return HF_ESERVER;
	case -EACCES:
	case -EPERM:
		return HF_EAUTH;
	case -EPROTO:
	case -ECONNABORTED: /* in control_connect() */
		return HF_EPROTO;
	case -EBUSY:
		return HF_EBUSY;
	case -ENOSPC:
	case -EDQUOT:
		return HF_ENOSPC;
	case -ESTALE:
		return HF_EFENCED;
	case -ERANGE:
		return HF_ERANKS;
	case -EMEDIUMTYPE:
		return HF_EMODE;
	case -ENOENT:
		return HF_ENOCKPT;
	case -ENOMSG:
	case -EIDRM:
		return HF_ESEGMENT;
	case -EILSEQ:
		return HF_EDAMAGED;
	case -ETIMEDOUT:
	case -ETIME:
		return HF_ETIMEDOUT;
	default:
		return HF_EIO;
	}
}
