/* SPDX-License-Identifier: BSD-3-Clause */
/* datagram.h - whole messages over a UNIX socket (SOCK_SEQPACKET), each with a descriptor or without. Any thread. */
#ifndef HOLDFAST_DATAGRAM_H
#define HOLDFAST_DATAGRAM_H

#include <stddef.h>
#include <sys/types.h>

/* As send(2), without SIGPIPE; `fd` (-1: none) goes with it and stays the caller's. */
ssize_t datagram_send(int socket, const void *message, size_t bytes, int fd);

/* As recv(2); *fd is the caller's, closed on exec, or -1. A message that is longer than `bytes` is -1 with EMSGSIZE. */
ssize_t datagram_receive(int socket, void *message, size_t bytes, int *fd);

#endif
