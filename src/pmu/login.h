/* SPDX-License-Identifier: BSD-3-Clause */
/* login.h - proofs that take time to check are checked by threads, and end in the event loop. */
#ifndef HOLDFAST_LOGIN_H
#define HOLDFAST_LOGIN_H

#include "common/error.h"

struct server;

/* Before the first client, where the server's method of authentication `blocks`; else it does nothing. -errno. */
int login_start(struct server *server, struct error *err);
void login_stop(struct server *server);

#endif
