/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ni_process.h - the PMM's handle of a NI process: starts it, sends it orders, hears its answers. One for
 * each user that has work. A NI that dies, or overruns the deadline of an order and is killed, answers all
 * that is pending with -ENETRESET and tells the server, which ends the sessions that used it.
 */
#ifndef HOLDFAST_NI_PROCESS_H
#define HOLDFAST_NI_PROCESS_H

#include <stdint.h>
#include <sys/types.h>
#include "wire/ni_wire.h"

struct server;
struct ni_process;

/* Called once for each order. */
typedef void ni_done_fn(void *arg, const struct ni_reply *reply);

/* The NI of this user, started where there is none. NULL with `err` set where it cannot be. */
struct ni_process *ni_process_get(struct server *server, uint32_t uid, struct error *err);

/* Sends an order; request->id is set here. `fd` (-1: none) is passed along and stays the caller's.
 * `done` may be NULL. Where it cannot be sent, `done` is called before this returns. */
void ni_process_order(struct ni_process *ni, struct ni_request *request, int fd, ni_done_fn *done,
		      void *arg);

const struct net_address *ni_process_address(const struct ni_process *ni);
/* For clients on this node; bytes 0: they have none of their own. */
const struct net_address *ni_process_local(const struct ni_process *ni);
pid_t ni_process_pid(const struct ni_process *ni);
/* What it has given up, in words; "" before it serves. */
const char *ni_process_confined(const struct ni_process *ni);
uint32_t ni_process_uid(const struct ni_process *ni);
struct ni_process *ni_process_next(const struct server *server, struct ni_process *ni);

/* Ends the NI of this user, where no session and no order needs it. */
void ni_process_end_idle(struct server *server, uint32_t uid);

/* Ends all NI processes: closes their sockets, waits a moment, kills what is left. */
void ni_process_stop_all(struct server *server);

#endif
