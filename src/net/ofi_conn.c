/* SPDX-License-Identifier: BSD-3-Clause */
/* ofi_conn.c - the initiator's half: one connection, owned by one thread at a time. */
#include "net/ofi.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include "common/clock.h"
#include "net/piece.h"

#define CHUNK_BYTES_DEFAULT (512u << 10)
#define WINDOW_DEFAULT 32u
#define HASHED_BYTES_MIN (2u << 20) /* under way: enough where the network is near */
#define HASHED_BYTES_PER_US 50000u  /* of delay: twice what 200 Gbit/s have on their way */
#define REAP_BATCH 16u

_Static_assert(sizeof(OFI_FULL) == sizeof(OFI_REJECTED), "what a rejection says is of one length");

/* Local memory that the device had to be told about. */
struct registration {
	struct registration *next;
	struct fid_mr *mr;
	char *base;
	size_t bytes;
};

struct net_conn {
	struct fi_info *info;
	struct fid_fabric *fabric;
	struct fid_domain *domain;
	struct fid_eq *eq;
	struct fid_cq *cq;
	struct fid_ep *ep;
	int eq_fd, cq_fd;
	struct net_limits limits;
	unsigned in_flight;
	int lost; /* -errno once the connection is gone */
	struct registration *registrations;
};

_Static_assert(sizeof(struct fi_context2) <= sizeof(((struct net_transfer *)0)->reserved),
	       "a provider's context fits a transfer");

static struct net_transfer *transfer_of(void *context)
{
	return (struct net_transfer *)((char *)context - offsetof(struct net_transfer, reserved));
}

/* Takes the error event off the queue: 0 where there was none, else its -errno; and what a rejection said. */
static int conn_event_error(struct net_conn *conn, char said[sizeof(OFI_REJECTED)])
{
	char data[64];
	struct fi_eq_err_entry entry = {.err_data = data, .err_data_size = sizeof(data)};

	if (fi_eq_readerr(conn->eq, &entry, 0) < 0)
		return 0;
	if (said && entry.err_data && entry.err_data_size >= sizeof(OFI_REJECTED))
		memcpy(said, entry.err_data, sizeof(OFI_REJECTED));
	return ofi_errno(-entry.err);
}

static int conn_wait_connected(struct net_conn *conn, uint64_t deadline, struct error *err)
{
	for (;;) {
		int left_ms = deadline_left_ms(deadline);
		union ofi_event event;
		char said[sizeof(OFI_REJECTED)] = "";
		uint32_t type;
		ssize_t n;
		int rc;

		/* A look without waiting comes first, for a deadline that is too near. */
		errno = 0; /* tcp takes a stale EAGAIN for a reason to wait on */
		n = fi_eq_read(conn->eq, &type, &event, sizeof(event), 0);
		if (n == -FI_EAGAIN && left_ms > 0)
			n = fi_eq_sread(conn->eq, &type, &event, sizeof(event),
					left_ms < 100 ? left_ms : 100, 0);
		if (n >= 0 && type == FI_CONNECTED)
			return 0;
		if (n >= 0 && type == FI_SHUTDOWN)
			return error_set(
			    err, -ECONNRESET,
			    "the server's data port closed the connection while it was made");
		if (n == -FI_EAVAIL) {
			rc = conn_event_error(conn, said);
			if (!memcmp(said, OFI_FULL, sizeof(said)))
				return error_set(
				    err, -EUSERS,
				    "the server's data plane has no room for one more connection: its log says what it lacks");
			if (!memcmp(said, OFI_REJECTED, sizeof(said)))
				return error_set(
				    err, -EACCES,
				    "the server's data port rejected the token of this "
				    "session: it is unknown, used or withdrawn");
			if (rc == -ECONNREFUSED)
				return error_set(
				    err, rc,
				    "the server's data port refused the connection: nobody "
				    "listens there, or a firewall is in the way");
			if (rc)
				return ofi_failed(err, rc,
						  "connecting to the server's data port failed");
			continue;
		}
		if (n < 0 && n != -FI_EAGAIN && n != -FI_ETIMEDOUT && n != -FI_EINTR)
			return ofi_failed(err, n, "waiting for the server's data port failed");
		if (deadline_left_ms(deadline) == 0)
			return error_set(
			    err, -ETIMEDOUT,
			    "the server's data port did not answer in time: is it the data "
			    "port of a pmu-server, and does a firewall drop the packets?");
	}
}

static unsigned ranges_within(size_t offered)
{
	return offered < 1 ? 1 : offered > NET_PIECES_MAX ? NET_PIECES_MAX : (unsigned)offered;
}

/* As few as the network's delay allows. Figures are in docs/performance.md. */
static unsigned hashed_window(const struct net_limits *limits, unsigned round_trip_us)
{
	uint64_t bytes = (uint64_t)round_trip_us * HASHED_BYTES_PER_US, count;

	if (bytes < HASHED_BYTES_MIN)
		bytes = HASHED_BYTES_MIN;
	count = (bytes + limits->chunk_bytes - 1) / limits->chunk_bytes;
	return count < 2 ? 2 : count < limits->window ? (unsigned)count : limits->window;
}

/* As asked for, as far as the provider goes. */
static void conn_limit(struct net_conn *conn, const struct net_params *params)
{
	const struct fi_tx_attr *tx = conn->info->tx_attr;
	struct net_limits *limits = &conn->limits;

	limits->chunk_bytes = chunk_wanted(params, CHUNK_BYTES_DEFAULT);
	if (limits->chunk_bytes > conn->info->ep_attr->max_msg_size)
		limits->chunk_bytes = conn->info->ep_attr->max_msg_size;
	limits->window = params->window ? params->window : WINDOW_DEFAULT;
	if (limits->window > tx->size)
		limits->window = (unsigned)tx->size;
	limits->hashed_window = params->window || !params->round_trip_us ? limits->window
									: hashed_window(limits, params->round_trip_us);
	limits->local_ranges = ranges_within(tx->iov_limit);
	limits->remote_ranges = ranges_within(tx->rma_iov_limit);
}

int ofi_connect(const struct net_params *params, const struct net_address *address,
		const uint8_t token[NET_TOKEN_BYTES], uint64_t deadline, struct net_conn **out,
		struct error *err)
{
	struct net_conn *conn = calloc(1, sizeof(*conn));
	const char *what = "";
	int rc;

	if (!conn)
		return error_nomem(err, "a connection");
	rc = ofi_query(params->provider, NULL, address, &conn->info, err);
	if (rc)
		goto err_close;
	conn_limit(conn, params);
	conn->info->tx_attr->size = conn->limits.window;
	conn->info->rx_attr->size = 1; /* nobody sends messages */

	what = "opening the fabric";
	rc = fi_fabric(conn->info->fabric_attr, &conn->fabric, NULL);
	if (!rc)
		rc = ofi_open_eq(conn->fabric, &conn->eq, &conn->eq_fd);
	if (!rc)
		rc = fi_domain(conn->fabric, conn->info, &conn->domain, NULL);
	if (!rc)
		rc = ofi_open_cq(conn->domain, conn->limits.window + 1, &conn->cq, &conn->cq_fd);
	if (rc)
		goto err_what;
	what = "creating the endpoint";
	rc = fi_endpoint(conn->domain, conn->info, &conn->ep, NULL);
	if (!rc)
		rc = fi_ep_bind(conn->ep, &conn->eq->fid, 0);
	if (!rc)
		rc = fi_ep_bind(conn->ep, &conn->cq->fid, FI_TRANSMIT | FI_RECV);
	if (!rc)
		rc = fi_enable(conn->ep);
	if (rc)
		goto err_what;
	what = "connecting to the server's data port failed";
	rc = fi_connect(conn->ep, address->raw, token, NET_TOKEN_BYTES);
	if (rc)
		goto err_what;
	rc = conn_wait_connected(conn, deadline, err);
	if (rc)
		goto err_close;
	*out = conn;
	return 0;

err_what:
	rc = ofi_failed(err, rc, what);
err_close:
	ofi_disconnect(conn);
	return rc;
}

void ofi_disconnect(struct net_conn *conn)
{
	if (!conn)
		return;
	/* The endpoint goes first: with it, the provider's hold on local memory. */
	ofi_close(conn->ep);
	while (conn->registrations)
		ofi_unregister_local(conn, conn->registrations);
	ofi_close(conn->cq);
	ofi_close(conn->domain);
	ofi_close(conn->eq);
	ofi_close(conn->fabric);
	fi_freeinfo(conn->info);
	free(conn);
}

void ofi_limits(const struct net_conn *conn, struct net_limits *limits)
{
	*limits = conn->limits;
}

int ofi_register_local(struct net_conn *conn, void *base, size_t bytes, unsigned use,
		       void **registration, struct error *err)
{
	uint64_t access = (use & NET_SOURCE ? FI_WRITE : 0) | (use & NET_SINK ? FI_READ : 0);
	struct registration *entry;
	int rc;

	*registration = NULL;
	if (!(conn->info->domain_attr->mr_mode & FI_MR_LOCAL))
		return 0;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return error_nomem(err, "a registration");
	rc = ofi_register(conn->domain, conn->info, conn->ep, base, bytes, access,
			  ofi_random_key(conn->info), &entry->mr);
	if (rc) {
		free(entry);
		return ofi_failed(err, rc,
				  "registering memory with the network device failed "
				  "(is the locked-memory limit, ulimit -l, too low?)");
	}
	entry->base = base;
	entry->bytes = bytes;
	entry->next = conn->registrations;
	conn->registrations = entry;
	*registration = entry;
	return 0;
}

void ofi_unregister_local(struct net_conn *conn, void *registration)
{
	for (struct registration **at = &conn->registrations; *at; at = &(*at)->next) {
		struct registration *entry = *at;

		if (entry == registration) {
			*at = entry->next;
			ofi_close(entry->mr);
			free(entry);
			return;
		}
	}
}

/* Nothing is kept: what is unregistered is unknown to the device. */
void ofi_forget_local(struct net_conn *conn, const void *base, size_t bytes)
{
	(void)conn;
	(void)base;
	(void)bytes;
}

static const struct registration *conn_find_registration(const struct net_conn *conn,
							 const struct net_piece *piece)
{
	const char *base = piece->local;

	for (const struct registration *entry = conn->registrations; entry; entry = entry->next) {
		if (base >= entry->base && (size_t)(base - entry->base) <= entry->bytes &&
		    piece->bytes <= entry->bytes - (size_t)(base - entry->base))
			return entry;
	}
	return NULL;
}

/* Looks whether the connection is gone; true the first time and ever after. */
static bool conn_check_lost(struct net_conn *conn)
{
	union ofi_event event;
	uint32_t type;
	ssize_t n;
	int rc;

	while (!conn->lost) {
		errno = 0;
		n = fi_eq_read(conn->eq, &type, &event, sizeof(event), 0);
		if (n >= 0 && type == FI_SHUTDOWN) {
			conn->lost = -ECONNRESET;
		} else if (n == -FI_EAVAIL) {
			rc = conn_event_error(conn, NULL);
			if (rc)
				conn->lost = rc;
		} else if (n < 0) {
			break;
		}
	}
	return conn->lost != 0;
}

static int conn_lost(struct net_conn *conn, struct error *err)
{
	conn->in_flight = 0;
	return error_set(err, conn->lost, "the connection to the server's data port is lost: %s",
			 fi_strerror(-conn->lost));
}

/* A transfer as libfabric wants it. */
struct message {
	struct iovec locals[NET_PIECES_MAX];
	void *descs[NET_PIECES_MAX];
	struct fi_rma_iov remotes[NET_PIECES_MAX];
	unsigned local_count, remote_count;
};

static void message_add_local(struct message *m, const struct net_piece *piece, void *desc)
{
	struct iovec *last = m->local_count ? &m->locals[m->local_count - 1] : NULL;

	if (last && (char *)last->iov_base + last->iov_len == piece->local && m->descs[m->local_count - 1] == desc) {
		last->iov_len += piece->bytes;
		return;
	}
	m->descs[m->local_count] = desc;
	m->locals[m->local_count++] = (struct iovec){piece->local, piece->bytes};
}

static void message_add_remote(struct message *m, const struct net_piece *piece, const struct net_key *key)
{
	struct fi_rma_iov *last = m->remote_count ? &m->remotes[m->remote_count - 1] : NULL;
	uint64_t at = key->address + piece->offset;

	if (last && last->addr + last->len == at) {
		last->len += piece->bytes;
		return;
	}
	m->remotes[m->remote_count++] = (struct fi_rma_iov){.addr = at, .len = piece->bytes, .key = key->keys[0]};
}

static int message_add(struct message *m, const struct net_conn *conn, const struct net_key *key,
		       const struct net_piece *piece, struct error *err)
{
	const struct registration *registration = NULL;

	if (conn->info->domain_attr->mr_mode & FI_MR_LOCAL) {
		registration = conn_find_registration(conn, piece);
		if (!registration)
			return error_set(err, -EFAULT,
					 "a transfer of memory that is not registered");
	}
	message_add_local(m, piece, registration ? fi_mr_desc(registration->mr) : NULL);
	message_add_remote(m, piece, key);
	return 0;
}

static int message_make(struct message *m, const struct net_conn *conn, const struct net_key *key,
			const struct net_transfer *transfer, struct error *err)
{
	int rc = pieces_check(transfer, key, conn->limits.chunk_bytes, err);

	for (unsigned i = 0; i <= transfer->more_count && !rc; i++) {
		struct net_piece piece = piece_at(transfer, i);

		rc = message_add(m, conn, key, &piece, err);
	}
	if (rc)
		return rc;
	if (m->local_count > conn->limits.local_ranges || m->remote_count > conn->limits.remote_ranges)
		return error_set(err, -EINVAL, "a transfer of %u ranges to %u; the provider takes %u to %u", m->local_count,
				 m->remote_count, conn->limits.local_ranges, conn->limits.remote_ranges);
	return 0;
}

int ofi_submit(struct net_conn *conn, const struct net_key *key, struct net_transfer *transfer,
	       struct error *err)
{
	struct message m = {.local_count = 0};
	struct fi_msg_rma message = {.msg_iov = m.locals,
				     .desc = m.descs,
				     .rma_iov = m.remotes,
				     .context = transfer->reserved};
	ssize_t rc = message_make(&m, conn, key, transfer, err);

	if (rc)
		return (int)rc;
	if (conn->lost)
		return conn_lost(conn, err);
	if (conn->in_flight >= conn->limits.window)
		return error_set(err, -EAGAIN, "the window of %u transfers is full", conn->limits.window);
	message.iov_count = m.local_count;
	message.rma_iov_count = m.remote_count;
	/* A completion has to wait for the target: tcp completes writes that it refuses otherwise.
	 */
	rc = transfer->write ? fi_writemsg(conn->ep, &message, FI_COMPLETION | FI_DELIVERY_COMPLETE)
			     : fi_readmsg(conn->ep, &message, FI_COMPLETION);
	if (rc == -FI_EAGAIN)
		return error_set(err, -EAGAIN, "the provider has no room for a further transfer");
	if (rc) {
		if (conn_check_lost(conn))
			return conn_lost(conn, err);
		return ofi_failed(err, rc,
				  transfer->write ? "starting a write failed"
						  : "starting a read failed");
	}
	conn->in_flight++;
	return 0;
}

/* Takes completions that are there: how many, or -errno. */
static int conn_completed(struct net_conn *conn, struct net_transfer **done, unsigned max)
{
	struct fi_cq_entry entries[REAP_BATCH];
	struct fi_cq_err_entry failed = {0};
	unsigned count = 0;

	while (count < max) {
		unsigned want = max - count < REAP_BATCH ? max - count : REAP_BATCH;
		ssize_t n = fi_cq_read(conn->cq, entries, want);

		if (n == -FI_EAVAIL) {
			n = fi_cq_readerr(conn->cq, &failed, 0);
			if (n == 1 && failed.op_context) {
				done[count] = transfer_of(failed.op_context);
				done[count++]->status = ofi_errno(-failed.err);
				continue;
			}
		}
		if (n == -FI_EAGAIN || n == 0)
			break;
		if (n < 0)
			return count ? (int)count : (int)n;
		for (ssize_t i = 0; i < n; i++) {
			done[count] = transfer_of(entries[i].op_context);
			done[count++]->status = 0;
		}
		if ((unsigned)n < want)
			break; /* that was all: a further look would only cost */
	}
	conn->in_flight -= count < conn->in_flight ? count : conn->in_flight;
	return (int)count;
}

int ofi_reap(struct net_conn *conn, struct net_transfer **done, unsigned max, uint64_t deadline,
	     struct error *err)
{
	struct fid *fids[] = {&conn->cq->fid, &conn->eq->fid};
	struct pollfd fds[] = {{.fd = conn->cq_fd, .events = POLLIN},
			       {.fd = conn->eq_fd, .events = POLLIN}};
	int n, left_ms, rc;

	for (;;) {
		n = conn_completed(conn, done, max);
		if (n > 0)
			return n;
		if (n < 0 && !conn->lost)
			conn->lost = ofi_errno(n);
		/* What failed with the connection has been handed over above, so it is lost now. */
		if (conn->lost || (fds[1].revents && conn_check_lost(conn))) {
			n = conn_completed(conn, done, max);
			return n > 0 ? n : conn_lost(conn, err);
		}
		left_ms = deadline_left_ms(deadline);
		if (left_ms == 0)
			return error_set(err, -ETIMEDOUT,
					 "no transfer completed in time, %u are in flight",
					 conn->in_flight);
		rc = fi_trywait(conn->fabric, fids, 2);
		fds[1].revents = POLLIN; /* an event may be what keeps us from waiting */
		if (rc == -FI_EAGAIN)
			continue;
		if (rc) {
			conn->lost = ofi_errno(rc);
			continue;
		}
		if (poll(fds, 2, left_ms) < 0 && errno != EINTR) {
			conn->lost = -errno;
			continue;
		}
	}
}
