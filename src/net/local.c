/* SPDX-License-Identifier: BSD-3-Clause */
/* local.c - the initiator's half of the data plane on one node: maps files of slots once, and copies. */
#include "net/local.h"

#include <errno.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "common/checksum.h"
#include "common/clock.h"
#include "common/copy.h"
#include "common/datagram.h"
#include "common/log.h"
#include "common/private_fd.h"
#include "net/piece.h"

#define CHUNK_BYTES_DEFAULT (4u << 20) /* no block of a set is larger */
#define CHUNK_BYTES_THREADS (64u << 20) /* of several threads, which are begun for each */
#define WINDOW		    2u
#define FILES_MAX	    64 /* mapped at one time; the one that was used longest ago goes first */
#define WRITE_BYTES	    ((size_t)256 << 10) /* at a time */
#define ANSWER_MS	    10000u /* for one answer in mid-transfer */

struct file {
	uint64_t number;
	unsigned rights;
	bool past_cache; /* the page cache: what is stored there, and written back, is durable */
	struct private_fd *disk; /* of one there that is written: not mapped, but written to; else NULL */
	uint8_t *base;	 /* NULL: not mapped */
	size_t bytes;
	uint64_t used; /* the conn's clock when it was used last */
};

struct net_conn {
	int socket;
	bool stores; /* the server says that they persist */
	unsigned threads;
	size_t chunk_bytes;
	struct file files[FILES_MAX];
	unsigned file_count;
	uint64_t clock;
	struct net_transfer *done[WINDOW];
	unsigned done_count;
};

/* ---- the socket ---- */

/* One request and its answer; *fd (NULL: none is expected) is the caller's. */
static int ask(struct net_conn *conn, const struct local_request *request, struct local_reply *reply, int *fd,
	       uint64_t deadline, struct error *err)
{
	struct pollfd readable = {conn->socket, POLLIN, 0};
	int got, n;
	ssize_t bytes;

	if (datagram_send(conn->socket, request, sizeof(*request), -1) < 0)
		return error_set(err, -ECONNRESET, "the server's process for this user is gone (%s)", strerror(errno));
	do {
		n = poll(&readable, 1, deadline_left_ms(deadline));
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return error_set(err, -ETIMEDOUT, "the server's process for this user does not answer in time");
	bytes = datagram_receive(conn->socket, reply, sizeof(*reply), &got);
	if (bytes == sizeof(*reply) && !reply->status && (got >= 0) == (fd != NULL)) {
		if (fd)
			*fd = got;
		return 0;
	}
	if (got >= 0)
		close(got);
	if (bytes == sizeof(*reply) && reply->status)
		return error_set(err, reply->status, "the server's process for this user refuses: %s",
				 strerror(-reply->status));
	return error_set(err, -ECONNRESET, "the server's process for this user closed the connection");
}

static int local_connect(const struct net_params *params, const struct net_address *address,
			 const uint8_t token[NET_TOKEN_BYTES], uint64_t deadline, struct net_conn **out,
			 struct error *err)
{
	struct local_request hello = {.version = LOCAL_VERSION, .type = LOCAL_HELLO};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct local_reply reply = {0};
	struct net_conn *conn;
	socklen_t length;
	int rc;

	if (address->format != LOCAL_FORMAT || address->bytes != LOCAL_NAME_BYTES)
		return error_set(err, -EINVAL, "the server offers no data plane on its own node");
	conn = calloc(1, sizeof(*conn));
	if (!conn)
		return error_nomem(err, "a connection");
	conn->threads = params->threads;
	conn->chunk_bytes = params->chunk_bytes	  ? params->chunk_bytes
			    : conn->threads > 1 ? CHUNK_BYTES_THREADS
						  : CHUNK_BYTES_DEFAULT;
	conn->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (conn->socket < 0) {
		rc = error_set(err, -errno, "socket: %s", strerror(errno));
		goto err_free;
	}
	memcpy(un.sun_path + 1, address->raw, LOCAL_NAME_BYTES);
	length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + LOCAL_NAME_BYTES);
	if (connect(conn->socket, (const struct sockaddr *)&un, length)) {
		rc = error_set(err, -ECONNREFUSED, "the server is not on this node, or not in this network namespace (%s)",
			       strerror(errno));
		goto err_close;
	}
	memcpy(hello.token, token, NET_TOKEN_BYTES);
	rc = ask(conn, &hello, &reply, NULL, deadline, err);
	if (rc)
		goto err_close;
	conn->stores = (reply.flags & LOCAL_STORES) && copy_is_past_caches();
	*out = conn;
	return 0;

err_close:
	close(conn->socket);
err_free:
	free(conn);
	return rc;
}

/* ---- files ---- */

static void file_unmap(struct net_conn *conn, struct file *file)
{
	if (file->disk)
		private_fd_close(file->disk);
	else
		munmap(file->base, file->bytes);
	free(file->disk);
	*file = conn->files[--conn->file_count];
}

static struct file *file_find(struct net_conn *conn, uint64_t number, unsigned rights)
{
	for (unsigned i = 0; i < conn->file_count; i++) {
		if (conn->files[i].number == number && (conn->files[i].rights & rights))
			return &conn->files[i];
	}
	return NULL;
}

static void file_make_room(struct net_conn *conn)
{
	struct file *oldest = conn->files;

	if (conn->file_count < FILES_MAX)
		return;
	for (unsigned i = 1; i < conn->file_count; i++) {
		if (conn->files[i].used < oldest->used)
			oldest = &conn->files[i];
	}
	file_unmap(conn, oldest);
}

/* Beyond its limit of a file's size write(2) ends a process, and a store does not. */
static bool may_be_written(uint64_t bytes)
{
	struct rlimit limit;

	return !getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_cur >= bytes;
}

/*
 * A disk's page is protected again when it has been written back, so that with each set a store to each of them would be a
 * fault, which costs more than write(2) does.
 */
static bool is_to_be_written(int fd, uint64_t bytes)
{
	struct statfs fs;

	return !fstatfs(fd, &fs) && fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC && may_be_written(bytes);
}

/* All pages are there before the first copy: what the medium cannot read is an error, and no SIGBUS. `stores`: past the
 * page cache, where that can be. */
static int pages_map(int fd, uint64_t bytes, bool stores, struct file *file, struct error *err)
{
	bool writes = file->rights & NET_WRITE;
	int access = writes ? PROT_READ | PROT_WRITE : PROT_READ;
	void *at = MAP_FAILED;
	struct stat st;

	if (fstat(fd, &st))
		return error_set(err, -errno, "fstat of a slot: %s", strerror(errno));
	if (!bytes || (uint64_t)st.st_size < bytes)
		return error_set(err, -EIO, "a slot's file has %lld bytes where %llu were promised", (long long)st.st_size,
				 (unsigned long long)bytes);
	if (writes && stores)
		at = mmap(NULL, bytes, access, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);
	file->past_cache = at != MAP_FAILED;
	file->bytes = bytes;
	if (writes && !file->past_cache && is_to_be_written(fd, bytes)) {
		file->disk = malloc(sizeof(*file->disk));
		if (!file->disk)
			return error_nomem(err, "a slot's file");
		private_fd_opening();
		private_fd_opened(file->disk, fd);
		return 0;
	}
	if (at == MAP_FAILED)
		at = mmap(NULL, bytes, access, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return error_set(err, -errno, "cannot map a slot of %llu bytes: %s", (unsigned long long)bytes,
				 strerror(errno));
	/* A kernel that cannot (before 5.14) faults them in one by one. */
	if (madvise(at, bytes, writes ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) && errno != EINVAL) {
		error_set(err, errno == ENOMEM ? -ENOMEM : -EIO, "cannot read a slot's pages in: %s", strerror(errno));
		munmap(at, bytes);
		return err ? err->code : -EIO;
	}
	madvise(at, bytes, MADV_DONTFORK); /* a child has no use for it, and would keep the file */
	file->base = at;
	return 0;
}

static int file_map(struct net_conn *conn, const struct net_key *key, unsigned rights, struct file **out, struct error *err)
{
	struct local_request request = {
		.version = LOCAL_VERSION,
		.type = LOCAL_MAP,
		.grant = key->keys[1],
		.rights = rights,
	};
	struct file file = {.number = key->keys[0], .rights = rights};
	struct local_reply reply = {0};
	int fd, rc;

	rc = ask(conn, &request, &reply, &fd, deadline_in_ms(ANSWER_MS), err);
	if (rc)
		return rc;
	rc = pages_map(fd, reply.bytes, conn->stores, &file, err);
	if (!file.disk)
		close(fd);
	if (rc)
		return rc;
	file_make_room(conn);
	conn->files[conn->file_count] = file;
	*out = &conn->files[conn->file_count++];
	return 0;
}

/* ---- transfers ---- */

/* One that transfers can still use; NULL: there is none. */
static struct file *file_usable(struct net_conn *conn, uint64_t number, unsigned rights)
{
	struct file *file = file_find(conn, number, rights);

	if (!file || !file->disk || may_be_written(file->bytes))
		return file;
	file_unmap(conn, file); /* the limit was lowered since */
	return NULL;
}

static int write_all(int fd, const uint8_t *from, size_t bytes, uint64_t offset)
{
	ssize_t n;

	for (; bytes; from += n, offset += (uint64_t)n, bytes -= (size_t)n) {
		n = pwrite(fd, from, bytes, (off_t)offset);
		if (n <= 0 && !(n < 0 && errno == EINTR))
			return n ? -errno : -EIO;
		if (n < 0)
			n = 0;
	}
	return 0;
}

/* A part of it after the other: what the kernel has copied is still in the caches when it is hashed. */
static int piece_write(int fd, const struct net_piece *piece, uint64_t offset, size_t block_bytes)
{
	size_t part = block_bytes > WRITE_BYTES ? block_bytes : WRITE_BYTES, n;
	const uint8_t *from = piece->local;
	int rc = 0;

	for (size_t done = 0; done < piece->bytes && !rc; done += n) {
		n = piece->bytes - done < part ? piece->bytes - done : part;
		rc = write_all(fd, from + done, n, offset + done);
		for (size_t i = 0; i < n && piece->checksums; i += block_bytes)
			piece->checksums[(done + i) / block_bytes] =
				checksum(from + done + i, n - i < block_bytes ? n - i : block_bytes);
	}
	return rc;
}

/* Returns what becomes of the transfer. */
static int piece_move(const struct net_conn *conn, const struct file *file, const struct net_transfer *transfer,
		      const struct net_piece *piece, uint64_t offset)
{
	uint8_t *at = file->base + offset;

	if (file->disk)
		return piece_write(file->disk->fd, piece, offset, transfer->block_bytes);
	copy_by_threads(conn->threads, transfer->write ? at : piece->local, transfer->write ? piece->local : at, piece->bytes,
			transfer->block_bytes, piece->checksums);
	if (transfer->write && file->past_cache)
		copy_write_back(at, piece->bytes);
	return 0;
}

static int local_submit(struct net_conn *conn, const struct net_key *key, struct net_transfer *transfer,
			struct error *err)
{
	unsigned rights = transfer->write ? NET_WRITE : NET_READ;
	struct file *file = file_usable(conn, key->keys[0], rights);
	int rc;

	if (conn->done_count == WINDOW)
		return -EAGAIN;
	rc = pieces_check(transfer, key, conn->chunk_bytes, err);
	if (!rc && !file)
		rc = file_map(conn, key, rights, &file, err);
	if (rc)
		return rc;
	if (key->address > file->bytes || key->bytes > file->bytes - key->address)
		return error_set(err, -ERANGE, "a grant beyond the end of its slot's file");
	file->used = ++conn->clock;
	transfer->status = 0;
	for (unsigned i = 0; i <= transfer->more_count && !transfer->status; i++) {
		struct net_piece piece = piece_at(transfer, i);

		transfer->status = piece_move(conn, file, transfer, &piece, key->address + piece.offset);
	}
	conn->done[conn->done_count++] = transfer;
	return 0;
}

static int local_check(struct net_conn *conn, const struct net_key *key, struct error *err)
{
	struct local_request request = {
		.version = LOCAL_VERSION,
		.type = LOCAL_CHECK,
		.grant = key->keys[1],
		.rights = NET_READ,
	};
	struct local_reply reply = {0};
	int rc = ask(conn, &request, &reply, NULL, deadline_in_ms(ANSWER_MS), err);

	return rc && rc != -ETIMEDOUT ? error_set(err, -ECONNRESET, "the set was given up while it was read") : rc;
}

/* Is the NI still there? Then nothing was said. */
static int alive(const struct net_conn *conn, struct error *err)
{
	char byte;

	if (recv(conn->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN)
		return 0;
	return error_set(err, -ECONNRESET, "the server's process for this user closed the connection");
}

static int local_reap(struct net_conn *conn, struct net_transfer **done, unsigned max, uint64_t deadline,
		      struct error *err)
{
	unsigned n = conn->done_count < max ? conn->done_count : max;
	int rc = alive(conn, err);

	(void)deadline;
	if (rc)
		return rc;
	if (!n)
		return error_set(err, -ETIMEDOUT, "no transfer is in flight");
	memcpy(done, conn->done, n * sizeof(*done));
	memmove(conn->done, conn->done + n, (conn->done_count - n) * sizeof(*done));
	conn->done_count -= n;
	return (int)n;
}

static void local_limits(const struct net_conn *conn, struct net_limits *limits)
{
	*limits = (struct net_limits){
		.chunk_bytes = conn->chunk_bytes,
		.window = WINDOW,
		.local_ranges = NET_PIECES_MAX,
		.remote_ranges = NET_PIECES_MAX,
		.persist = conn->stores ? 1u << PERSIST_STORE : 0,
		.checksums = true,
	};
}

static int local_register(struct net_conn *conn, void *base, size_t bytes, unsigned use, void **registration,
			  struct error *err)
{
	(void)conn;
	(void)base;
	(void)bytes;
	(void)use;
	(void)err;
	*registration = NULL;
	return 0;
}

static void local_unregister(struct net_conn *conn, void *registration)
{
	(void)conn;
	(void)registration;
}

static void local_forget_local(struct net_conn *conn, const void *base, size_t bytes)
{
	(void)conn;
	(void)base;
	(void)bytes;
}

/* Each transfer has left the caches when it is reaped. */
static int local_persist(struct net_conn *conn, const struct net_key *key, enum persist_method method, uint64_t bytes,
			 const struct net_seal *seal, uint64_t deadline, struct error *err)
{
	const struct file *file = file_find(conn, key->keys[0], NET_WRITE);

	(void)bytes;
	(void)deadline;
	if (method != PERSIST_STORE || seal)
		return error_set(err, -EINVAL, "persist method %s is none of this data plane's", persist_name(method));
	if (!file || !file->past_cache)
		return error_set(err, -EINVAL, "the slot cannot be mapped past the page cache (MAP_SYNC)");
	return 0;
}

static void local_close(struct net_conn *conn)
{
	if (!conn)
		return;
	while (conn->file_count)
		file_unmap(conn, conn->files);
	close(conn->socket);
	free(conn);
}

const struct net_ops net_local = {
	.abi = NET_ABI,
	.name = "local",
	.listen = local_listen,
	.target_admit = local_target_admit,
	.target_expel = local_target_expel,
	.remember = local_remember,
	.expose = local_expose,
	.revoke = local_revoke,
	.forget = local_forget,
	.target_close = local_target_close,
	.connect = local_connect,
	.limits = local_limits,
	.register_local = local_register,
	.unregister_local = local_unregister,
	.forget_local = local_forget_local,
	.submit = local_submit,
	.check = local_check,
	.reap = local_reap,
	.persist_range = local_persist,
	.close = local_close,
};
