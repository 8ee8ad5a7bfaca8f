/* SPDX-License-Identifier: BSD-3-Clause */
/* rma.c - one-sided transfers by libfabric and nothing else. */
#include "rma.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>

#define RMA_API	       FI_VERSION(1, 15)
#define RMA_TIMEOUT_MS 10000

static int failed(struct error *err, const char *what, long rc)
{
	return error_set(err, -EIO, "raw RMA: %s: %s", what, fi_strerror((int)-rc));
}

/* A target where `port` is NULL. */
static int find_provider(const char *provider, const char *port, struct fi_info **info,
			 struct error *err)
{
	struct fi_info *hints = fi_allocinfo();
	int rc;

	if (!hints)
		return error_nomem(err, "libfabric's hints");
	hints->fabric_attr->prov_name = strdup(provider);
	hints->ep_attr->type = FI_EP_MSG;
	hints->caps = FI_MSG | FI_RMA;
	hints->addr_format = FI_SOCKADDR_IN;
	hints->tx_attr->op_flags = FI_COMPLETION | FI_DELIVERY_COMPLETE;
	rc = fi_getinfo(RMA_API, "127.0.0.1", port ? port : "0", port ? 0 : FI_SOURCE, hints, info);
	fi_freeinfo(hints);
	return rc ? failed(err, provider, rc) : 0;
}

/* ---- target ---- */

struct peer {
	struct fid_domain *domain;
	struct fid_cq *cq;
	struct fid_ep *ep;
	struct fid_mr *mr;
	int fd; /* readable when `cq` wants to be read */
};

struct crowd { /* the peers that one thread serves */
	struct fid_fabric *fabric;
	struct peer *peers;
	unsigned first, step, count;
};

/* Completes nothing itself, but without it the provider makes no progress. */
static void *progress_run(void *arg)
{
	struct crowd *crowd = arg;
	struct pollfd fds[RMA_CLIENTS_MAX];
	struct fid *cqs[RMA_CLIENTS_MAX];
	struct fi_cq_entry entries[RMA_WINDOW];
	unsigned n = 0;

	for (unsigned i = crowd->first; i < crowd->count; i += crowd->step, n++) {
		cqs[n] = &crowd->peers[i].cq->fid;
		fds[n] = (struct pollfd){.fd = crowd->peers[i].fd, .events = POLLIN};
	}
	for (;;) {
		if (fi_trywait(crowd->fabric, cqs, (int)n) == FI_SUCCESS)
			poll(fds, n, -1);
		for (unsigned i = 0; i < n; i++)
			(void)!fi_cq_read((struct fid_cq *)cqs[i], entries, RMA_WINDOW);
	}
	return NULL;
}

static int accept_peer(const struct rma_target *target, struct fid_fabric *fabric,
		       struct fid_eq *eq, struct fi_info *info, uint32_t client, struct peer *peer,
		       struct error *err)
{
	const uint64_t access = FI_REMOTE_READ | FI_REMOTE_WRITE;
	struct fi_cq_attr attr = {.format = FI_CQ_FORMAT_CONTEXT, .wait_obj = FI_WAIT_FD};
	int rc;

	/* A domain of its own, as every client of Holdfast has. */
	rc = fi_domain(fabric, info, &peer->domain, NULL);
	if (!rc)
		rc = fi_cq_open(peer->domain, &attr, &peer->cq, NULL);
	if (!rc)
		rc = fi_control(&peer->cq->fid, FI_GETWAIT, &peer->fd);
	if (!rc)
		rc = fi_mr_reg(peer->domain, target->bases[client], target->bytes, access, 0,
			       client + 1, 0, &peer->mr, NULL);
	if (!rc)
		rc = fi_endpoint(peer->domain, info, &peer->ep, NULL);
	if (!rc)
		rc = fi_ep_bind(peer->ep, &eq->fid, 0);
	if (!rc)
		rc = fi_ep_bind(peer->ep, &peer->cq->fid, FI_TRANSMIT | FI_RECV);
	if (!rc)
		rc = fi_enable(peer->ep);
	if (!rc)
		rc = fi_accept(peer->ep, NULL, 0);
	return rc ? failed(err, "accept", rc) : 0;
}

/* Takes a connection from each client; each tells its number in its request. */
static int accept_all(const struct rma_target *target, struct fid_fabric *fabric, struct fid_eq *eq,
		      struct peer *peers, struct error *err)
{
	uint8_t buffer[sizeof(struct fi_eq_cm_entry) + sizeof(uint32_t)];
	struct fi_eq_cm_entry *entry = (struct fi_eq_cm_entry *)buffer;
	unsigned connected = 0;
	uint32_t event, client;
	ssize_t n;
	int rc;

	while (connected < target->clients) {
		n = fi_eq_sread(eq, &event, buffer, sizeof(buffer), RMA_TIMEOUT_MS, 0);
		if (n < 0)
			return failed(err, "waiting for clients", n);
		if (event == FI_CONNECTED)
			connected++;
		if (event != FI_CONNREQ)
			continue;
		if ((size_t)n < sizeof(buffer))
			return error_set(err, -EPROTO, "raw RMA: a client gave no number");
		memcpy(&client, entry->data, sizeof(client));
		if (client >= target->clients)
			return error_set(err, -EPROTO, "raw RMA: there is no client %u", client);
		rc = accept_peer(target, fabric, eq, entry->info, client, &peers[client], err);
		fi_freeinfo(entry->info);
		if (rc)
			return rc;
	}
	return 0;
}

static int listen_on_loopback(struct fi_info *info, struct fid_fabric *fabric, struct fid_eq *eq,
			      uint16_t *port, struct error *err)
{
	struct sockaddr_in address = {0};
	struct fid_pep *pep;
	size_t bytes = sizeof(address);
	int rc;

	rc = fi_passive_ep(fabric, info, &pep, NULL);
	if (!rc)
		rc = fi_pep_bind(pep, &eq->fid, 0);
	if (!rc)
		rc = fi_listen(pep);
	if (!rc)
		rc = fi_getname(&pep->fid, &address, &bytes);
	*port = ntohs(address.sin_port);
	return rc ? failed(err, "listen", rc) : 0;
}

/* What is opened here lives as long as the process. */
int rma_serve(const struct rma_target *target, int ready_fd, struct error *err)
{
	struct fi_eq_attr attr = {.wait_obj = FI_WAIT_UNSPEC};
	unsigned threads = target->threads < target->clients ? target->threads : target->clients;
	struct crowd *crowds = calloc(threads, sizeof(*crowds));
	struct peer *peers = calloc(target->clients, sizeof(*peers));
	struct fid_fabric *fabric;
	struct fid_eq *eq;
	struct fi_info *info;
	pthread_t thread;
	uint16_t port;
	int rc;

	if (target->clients > RMA_CLIENTS_MAX)
		return error_set(err, -EINVAL, "raw RMA: at most %d clients", RMA_CLIENTS_MAX);
	if (!crowds || !peers)
		return error_nomem(err, "the peers of raw RMA");
	rc = find_provider(target->provider, NULL, &info, err);
	if (rc)
		return rc;
	rc = fi_fabric(info->fabric_attr, &fabric, NULL);
	if (!rc)
		rc = fi_eq_open(fabric, &attr, &eq, NULL);
	if (rc)
		return failed(err, "cannot open the fabric", rc);
	rc = listen_on_loopback(info, fabric, eq, &port, err);
	if (rc)
		return rc;
	if (write(ready_fd, &port, sizeof(port)) != sizeof(port))
		return error_set(err, -EPIPE, "raw RMA: nobody waits for the target");
	rc = accept_all(target, fabric, eq, peers, err);
	if (rc)
		return rc;
	for (unsigned i = 0; i < threads; i++) {
		crowds[i] = (struct crowd){fabric, peers, i, threads, target->clients};
		rc = pthread_create(&thread, NULL, progress_run, &crowds[i]);
		if (rc)
			return error_set(err, -rc, "raw RMA: cannot start a thread");
	}
	for (;;)
		pause();
}

/* ---- initiator ---- */

struct rma_conn {
	struct fid_fabric *fabric;
	struct fid_domain *domain;
	struct fid_eq *eq;
	struct fid_cq *cq;
	struct fid_ep *ep;
	uint64_t key;
};

static int connect_endpoint(struct rma_conn *conn, struct fi_info *info, uint32_t client,
			    struct error *err)
{
	struct fi_eq_attr eq_attr = {.wait_obj = FI_WAIT_UNSPEC};
	struct fi_cq_attr cq_attr = {.format = FI_CQ_FORMAT_CONTEXT, .wait_obj = FI_WAIT_UNSPEC};
	struct fi_eq_cm_entry entry;
	uint32_t event;
	ssize_t n;
	int rc;

	rc = fi_fabric(info->fabric_attr, &conn->fabric, NULL);
	if (!rc)
		rc = fi_domain(conn->fabric, info, &conn->domain, NULL);
	if (!rc)
		rc = fi_eq_open(conn->fabric, &eq_attr, &conn->eq, NULL);
	if (!rc)
		rc = fi_cq_open(conn->domain, &cq_attr, &conn->cq, NULL);
	if (!rc)
		rc = fi_endpoint(conn->domain, info, &conn->ep, NULL);
	if (!rc)
		rc = fi_ep_bind(conn->ep, &conn->eq->fid, 0);
	if (!rc)
		rc = fi_ep_bind(conn->ep, &conn->cq->fid, FI_TRANSMIT | FI_RECV);
	if (!rc)
		rc = fi_enable(conn->ep);
	if (!rc)
		rc = fi_connect(conn->ep, info->dest_addr, &client, sizeof(client));
	if (rc)
		return failed(err, "connect", rc);
	n = fi_eq_sread(conn->eq, &event, &entry, sizeof(entry), RMA_TIMEOUT_MS, 0);
	if (n < 0)
		return failed(err, "connect", n);
	if (event != FI_CONNECTED)
		return error_set(err, -ECONNREFUSED, "raw RMA: the target refused the connection");
	return 0;
}

int rma_connect(const char *provider, uint16_t port, unsigned client, struct rma_conn **conn,
		struct error *err)
{
	struct rma_conn *c;
	struct fi_info *info;
	char service[8];
	int rc;

	snprintf(service, sizeof(service), "%u", port);
	rc = find_provider(provider, service, &info, err);
	if (rc)
		return rc;
	c = calloc(1, sizeof(*c));
	rc = c ? connect_endpoint(c, info, client, err) : error_nomem(err, "a raw connection");
	fi_freeinfo(info);
	if (rc) {
		rma_close(c);
		return rc;
	}
	c->key = client + 1;
	*conn = c;
	return 0;
}

int rma_transfer(struct rma_conn *conn, bool write, void *base, uint64_t bytes, struct error *err)
{
	struct fi_cq_entry entries[RMA_WINDOW];
	unsigned in_flight = 0;
	uint64_t offset = 0;
	ssize_t rc;

	while (offset < bytes || in_flight) {
		while (offset < bytes && in_flight < RMA_WINDOW) {
			uint64_t left = bytes - offset;
			size_t chunk = left < RMA_CHUNK_BYTES ? (size_t)left : RMA_CHUNK_BYTES;
			char *at = (char *)base + offset;

			rc = write ? fi_write(conn->ep, at, chunk, NULL, 0, offset, conn->key, NULL)
				   : fi_read(conn->ep, at, chunk, NULL, 0, offset, conn->key, NULL);
			if (rc == -FI_EAGAIN)
				break;
			if (rc)
				return failed(err, write ? "write" : "read", rc);
			offset += chunk;
			in_flight++;
		}
		rc = fi_cq_read(conn->cq, entries, RMA_WINDOW);
		if (rc == -FI_EAGAIN)
			rc = fi_cq_sread(conn->cq, entries, RMA_WINDOW, NULL, RMA_TIMEOUT_MS);
		if (rc < 0)
			return failed(err, write ? "write" : "read", rc);
		in_flight -= (unsigned)rc;
	}
	return 0;
}

void rma_close(struct rma_conn *conn)
{
	if (!conn)
		return;
	if (conn->ep)
		fi_close(&conn->ep->fid);
	if (conn->cq)
		fi_close(&conn->cq->fid);
	if (conn->eq)
		fi_close(&conn->eq->fid);
	if (conn->domain)
		fi_close(&conn->domain->fid);
	if (conn->fabric)
		fi_close(&conn->fabric->fid);
	free(conn);
}
