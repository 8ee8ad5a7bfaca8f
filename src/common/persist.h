/* SPDX-License-Identifier: BSD-3-Clause */
/* persist.h - the persist methods: who makes a set durable, and how. docs/persistence.md says when each is right. */
#ifndef HOLDFAST_PERSIST_H
#define HOLDFAST_PERSIST_H

/* Numbers are on the wire: never reuse one. */
enum persist_method {
	PERSIST_SERVER, /* the NI, at COMMIT */
	PERSIST_FLUSH,	/* the client, by RDMA FLUSH */
	PERSIST_READ,	/* the client, by a read that follows its writes */
	PERSIST_STORE,	/* the client, by how it stores them itself, on the server's own node */
	PERSIST_END
};

/* "server", "flush", "read", "store"; "?" for what is none. */
const char *persist_name(unsigned method);

/* The method of this name; PERSIST_END where there is none. */
enum persist_method persist_find(const char *name);

#endif
