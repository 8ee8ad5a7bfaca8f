/* SPDX-License-Identifier: BSD-3-Clause */
/* holdfast.h - checkpoint/restart for MPI jobs into remote persistent memory: the public API. */
#ifndef HOLDFAST_H
#define HOLDFAST_H

#include <stddef.h>
#include <stdint.h>
#include <mpi.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Conventions
 *
 * Every int function returns HF_OK (0) or a negative HF_E* code; outputs are set only on success.
 * hf_message() then tells the cause and the next step in plain words.
 *
 * "Collective" functions must be called by every rank of the job's communicator, in the same order
 * relative to each other; they return the same code on every rank, unless said otherwise: what one
 * rank could not do fails on all, with HF_EPEER on the ranks that had no trouble of their own.
 *
 * Thread-safety: calls on one job must not run at the same time; calls on two jobs may. Collective
 * functions need an MPI in which the calling thread may call MPI.
 *
 * Every wait has a deadline (`timeout` and `reconnect` in holdfast(7)); no function waits for ever
 * for a server. What a rank waits for in MPI itself is MPI's.
 */

#define HF_SEGMENT_NAME_MAX 63  /* bytes in a segment's name, without the terminating zero */
#define HF_JOB_NAME_MAX     127 /* bytes in a job's name, without the terminating zero */
#define HF_SEGMENTS_MAX     4096 /* segments a rank may protect at one time */

enum hf_code {
	HF_OK = 0,
	HF_EINVAL = -1,    /* an argument is wrong; the message names it */
	HF_ENOMEM = -2,    /* out of memory on this rank */
	HF_ENOSYS = -3,    /* not supported by this version or configuration */
	HF_EMPI = -4,      /* an MPI call failed */
	HF_ECONFIG = -5,   /* a configuration variable, file or key is missing or wrong */
	HF_ESERVER = -6,   /* the server cannot be reached, or went away for longer than `reconnect` */
	HF_EAUTH = -7,     /* the server does not accept who we are */
	HF_EPROTO = -8,    /* the peer is no pmu-server, or speaks another version */
	HF_EBUSY = -9,     /* the job's primaries are alive; the message says who, where, since when */
	HF_ENOSPC = -10,   /* the pool has no room for the set, or its user may have no more; the newest complete epoch is untouched */
	HF_EFENCED = -11,  /* a backup took this rank's region over: stop, another process goes on */
	HF_ERANKS = -12,   /* the stored job has another number of ranks */
	HF_EMODE = -13,    /* the stored region has another mode */
	HF_ENOCKPT = -14,  /* there is no checkpoint to restore: start from the beginning */
	/* a protected segment is not in the set, or has another type or size there; or its memory went away too early */
	HF_ESEGMENT = -15,
	HF_EDAMAGED = -16, /* every stored set failed its checksums: what is there cannot be used */
	HF_EPEER = -17,    /* another rank failed, and so the collective call did */
	HF_ETIMEDOUT = -18, /* a deadline passed */
	HF_EIO = -19,      /* the fabric or the pool's medium failed */
};

/* Kinds of checkpoint, for hf_checkpoint(). */
enum hf_kind {
	HF_AUTO = 0,      /* what the region's mode makes best; a full one in overwrite mode */
	HF_FULL = 1,      /* all of every protected segment */
	HF_INCREMENT = 2, /* what changed since the last one; HF_EINVAL in mode full */
};

/* What hf_hint() says of a segment. */
enum hf_hint {
	HF_HINT_NONE = 0,
	HF_HINT_NIC_WRITTEN = 1, /* a network card or another process writes to it: changes are found by reading it all */
	HF_HINT_VOLATILE = 2,    /* nearly all of it changes every time: it is not looked at, and counts as changed */
};

/* A job as this rank sees it. Owned by the library, from hf_attach() to hf_detach(). */
typedef struct hf_job *hf_job_t;

/*
 * Attaches the ranks of `comm` to the job `job_name` on the configured server: creates each rank's
 * region, or takes it over where the job is known and its former primaries are gone. Where no server is
 * configured, each node's own is used, and started where none runs: holdfast(7). Collective over
 * `comm`, which is duplicated and may be freed afterwards.
 *
 * job_name: at most HF_JOB_NAME_MAX bytes, without control characters or '/'; NULL takes the
 * configured name, else the batch job's, else one made for this very run, which no later run resumes.
 *
 * Signals that ask for a checkpoint (holdfast(7)) are caught from here to hf_detach(), where nobody does.
 *
 * Errors: HF_EINVAL, HF_ENOMEM, HF_EMPI, HF_ECONFIG, HF_ESERVER, HF_EAUTH, HF_EPROTO, HF_EBUSY,
 * HF_ERANKS, HF_EMODE, HF_ENOSPC, HF_ENOCKPT (the variable `epoch` names one that is not complete),
 * HF_EPEER. There is no handle on failure: the message is that of hf_message(NULL).
 */
int hf_attach(MPI_Comm comm, const char *job_name, hf_job_t *job);

/* The job that the Open MPI plug-in attached over MPI_COMM_WORLD in MPI_Init; NULL without it. */
hf_job_t hf_world(void);

/*
 * Protects `count` elements of `type` at `addr` under `name`: they are part of every later
 * checkpoint, and are overwritten by hf_restore(). Local. The memory stays the caller's and must be
 * there until hf_unprotect(), hf_detach() or a new call with the same name, which replaces address,
 * count and type (after a realloc, say; and after its pages were given back, by MADV_DONTNEED, say:
 * a network card may know them). `type` is a predefined type of C or Fortran, or a contiguous
 * one derived from a single predefined type; count may be 0, and addr is then not used.
 *
 * Errors: HF_EINVAL (name, NULL address, type that is not contiguous), HF_ENOMEM, HF_ENOSPC
 * (more than HF_SEGMENTS_MAX).
 */
int hf_protect(hf_job_t job, const char *name, void *addr, size_t count, MPI_Datatype type);

/*
 * Says how the changes of the segment `name` are to be found in mode incremental (enum hf_hint), from the next
 * checkpoint on; it holds until hf_unprotect(). Local. In mode full it changes nothing. HF_EINVAL: there is no such
 * segment, or hint.
 */
int hf_hint(hf_job_t job, const char *name, int hint);

/* Forgets the segment `name`; stored sets keep theirs. Local; where an asynchronous checkpoint needs its memory still, it
 * waits until it does not. HF_EINVAL: there is none. */
int hf_unprotect(hf_job_t job, const char *name);

/*
 * Tells what this rank's set, of the epoch that hf_restore() would restore, holds under `name`:
 * the number of elements and their predefined type. Allocate, protect, restore. Local.
 * The type is the one of C with a fixed width, since that is what is stored: MPI_INT comes back as
 * MPI_INT32_T, and hf_protect() takes the one for the other. count and type may be NULL.
 * Errors: HF_ENOCKPT, HF_ESEGMENT (no such segment in the set), HF_EDAMAGED, HF_ESERVER.
 */
int hf_stored(hf_job_t job, const char *name, size_t *count, MPI_Datatype *type);

/*
 * Restores every protected segment from the newest complete epoch, checks every byte against its
 * checksum, and tells the epoch (may be NULL). Where a set is damaged, all ranks fall back to the
 * next older complete epoch and say so on stderr. The variable `epoch` (holdfast(7)) makes an older one count as
 * the newest. Collective.
 *
 * In a job that its launcher restarted, rank 0 says on stderr what was resumed from. Where the application
 * crashed again and again without a new checkpoint, epochs are passed over for older ones; where there is
 * none, the job ends here with exit code 70 (holdfast(7)).
 *
 * Errors: HF_ENOCKPT (nothing stored; memory untouched), HF_ESEGMENT (memory untouched, unless it is the
 * epoch fallen back to that does not fit: then it is undefined, hf_stored() tells of that epoch, and a new
 * call goes on with it), HF_EDAMAGED (memory is then undefined), HF_EFENCED, HF_ESERVER, HF_EIO,
 * HF_ETIMEDOUT, HF_EPEER.
 */
int hf_restore(hf_job_t job, uint64_t *epoch);

/* As hf_restore(), of just this epoch: HF_ENOCKPT where it is not complete, and no falling back. */
int hf_restore_epoch(hf_job_t job, uint64_t epoch);

/*
 * Lists the complete epochs, oldest first. In: *n is the capacity of `epochs`; out: how many there
 * are, of which the newest that fit were stored. Collective.
 */
int hf_epochs(hf_job_t job, uint64_t *epochs, size_t *n);

/*
 * Sets *due to 1 on all ranks when it is time for a checkpoint, else 0: when `interval` (holdfast(7)) has passed,
 * when a signal asked for one on any rank, or when a tool did (holdfast-checkpoint(1)). While an asynchronous checkpoint is
 * being shipped the interval is no reason, and no question is asked. Collective; costs one small
 * allreduce, and on rank 0, at most twice a second, a question to the server; a server that does not answer is no
 * error.
 */
int hf_due(hf_job_t job, int *due);

/*
 * Ships all protected segments into the job's next epoch and returns when it is durable on every
 * rank. Collective. On failure the newest complete epoch is intact, memory is untouched, and the job
 * may go on and try again later; after HF_EFENCED it should stop.
 *
 * Where somebody asked the job to leave (`leave_signal` in holdfast(7), holdfast-checkpoint --term), this does not
 * return once the epoch is complete: rank 0 says so on stderr, and every rank detaches, with the sets kept, calls
 * MPI_Finalize and exit(75) (EX_TEMPFAIL: resubmit). Handlers of atexit(3) run; what else must happen before the
 * end belongs there. If the checkpoint fails, or the job's communicator is not all of MPI_COMM_WORLD, the job goes
 * on, and rank 0 says so.
 *
 * Errors: HF_ENOSPC, HF_EFENCED, HF_ESERVER, HF_ENOSYS (kind), HF_EIO, HF_ETIMEDOUT, HF_EPEER.
 */
int hf_checkpoint(hf_job_t job, int kind);

/*
 * Starts a checkpoint, as hf_checkpoint(), and returns as soon as protected memory may be changed again: it is the next
 * epoch's as it was when this was called, whatever is written meanwhile. A thread of the library ships it while the
 * application computes; that thread makes no MPI call. Collective: it costs one small agreement, so that it has started on
 * all ranks or on none. One that is under way is waited for first; if that fails and nobody asks about it, rank 0 says so on
 * stderr.
 *
 * Until it has ended, protected memory may be written by the program, and by the kernel on its behalf. Before memory is freed,
 * unmapped, moved (realloc) or given back (MADV_DONTNEED), call hf_unprotect(), which waits until that segment is not needed
 * any more, or hf_checkpoint_wait(); else the checkpoint may fail, with HF_ESEGMENT and a message that names the segment, but
 * never has a wrong byte. What is protected meanwhile belongs to the next checkpoint. All other collective functions wait
 * for its end themselves, but for hf_due(); so do hf_read() and hf_stored(), where they ask the server. A child of fork()
 * has no checkpoint under way.
 *
 * Errors: HF_ENOMEM, HF_ENOSYS and HF_EINVAL (kind), HF_EFENCED, HF_EPEER. The variables `async` and `stage_bytes`
 * (holdfast(7)) choose how it is done.
 */
int hf_checkpoint_start(hf_job_t job, int kind);

/*
 * Sets *complete to 1 when nothing of this rank's part is under way any more, so that hf_checkpoint_wait() will not have to
 * wait for this rank; else to 0. Local, and costs nothing. HF_OK, also where none was started; or what this rank's part
 * failed with, which hf_checkpoint_wait() returns as well.
 */
int hf_checkpoint_test(hf_job_t job, int *complete);

/*
 * Waits until the checkpoint that was started is durable on every rank, and tells what became of it: as hf_checkpoint(),
 * also in that the job leaves here where it was asked to. Where another collective call had waited for it, it tells
 * the result of that; a second time, or where none was started, it is HF_OK. Collective.
 *
 * Errors: those of hf_checkpoint(); HF_ESEGMENT (memory was freed, or the like, before it was shipped); HF_ETIMEDOUT (also:
 * there was no room for copies of pages, and a write had to wait for too long); HF_ESERVER (also: the connection was lost when
 * what had been shipped was not at hand any more). The newest complete epoch is intact, and the job may go on.
 */
int hf_checkpoint_wait(hf_job_t job);

/*
 * Reads `bytes` bytes at `offset` (bytes) of segment `name` of any rank's set of a complete epoch
 * (0: the newest) into `buf`, checked against its checksums. Local.
 * Errors: HF_EINVAL, HF_ENOCKPT, HF_ESEGMENT (no such segment, or range outside it), HF_EDAMAGED,
 * HF_ESERVER, HF_EIO.
 */
int hf_read(hf_job_t job, int rank, uint64_t epoch, const char *name, size_t offset, void *buf,
	    size_t bytes);

/*
 * Ends the attachment and frees the job. finished != 0 on all ranks: the job is done and its sets are
 * removed; 0 on any: they stay, and a later run of the same job goes on from them. Collective; takes NULL.
 * The handle is invalid afterwards, whatever is returned; the message of a failure is that of
 * hf_message(NULL).
 */
int hf_detach(hf_job_t job, int finished);

/* The code in plain words. Static, never NULL; any thread. */
const char *hf_strerror(int code);

/*
 * What the last failed call on `job` ran into and what to do next. With NULL: the last call of this thread
 * that failed and has no job to ask, which is hf_attach(), hf_detach(), or any that was given NULL for one.
 * Valid until the next call on `job` (with NULL: the next such failure); never NULL.
 */
const char *hf_message(hf_job_t job);

#ifdef __cplusplus
}
#endif

#endif
