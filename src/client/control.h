/* SPDX-License-Identifier: BSD-3-Clause */
/* control.h - a client's, or a tool's, control connection: connect, authenticate, ask. */
#ifndef HOLDFAST_CONTROL_H
#define HOLDFAST_CONTROL_H

#include <stdint.h>
#include "client/client.h"
#include "common/address.h"
#include "common/error.h"
#include "wire/seal.h"
#include "wire/wire.h"

struct control {
	int fd; /* -1: not connected */
	uint64_t last_id;
	struct seal seal;
	struct address peer;
	const char *server; /* as the user wrote it, for messages */
};

/*
 * Connects to options->server and authenticates, all before the deadline. -ENXIO (nobody listens, or no
 * such host), -ECONNABORTED (hung up on before a word was said: a server that stops, or no pmu-server), -ETIMEDOUT,
 * -EPROTO (no pmu-server), -EACCES, -EINVAL, -EPERM (key file).
 */
int control_connect(const struct client_options *options, uint64_t deadline, struct control *control,
		    struct error *err);

/*
 * Sends a request and waits for its reply: 0, or the server's status with its sentence, or what became of
 * the connection: -ECONNRESET, -ETIMEDOUT, -EPROTO, after which it is closed. What unpacking the reply
 * allocated is the caller's.
 */
int control_call(struct control *control, enum wire_type type, wire_fields_fn *fields, void *message,
		 wire_fields_fn *reply_fields, void *reply, uint64_t deadline, struct error *err);

/* The shortest round trip to the server that the kernel has seen on this connection, at least 1; 0: it does not tell. */
unsigned control_round_trip_us(const struct control *control);

void control_close(struct control *control);

#endif
