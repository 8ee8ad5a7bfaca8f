/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * crowd.c - checkpoint-crowd: a full checkpoint while a thousand peers are connected that never authenticate, beside the
 * same without them. A third of them is silent, a third sends a byte ten times a second, and a third garbage; whoever
 * is sent away is back within a tenth of a second.
 */
#include "bench.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include "child.h"
#include "common/address.h"
#include "common/clock.h"
#include "report.h"
#include "server.h"
#include "state.h"
#include "wire/wire.h"

#define PEERS	  1000
#define TURN_MS	  10
#define TURNS	  10 /* after which each peer did something */
#define BYTES	  (64u << 20)
#define WARM_RUNS 2
#define RUNS	  15
#define PUTS	  5 /* in a run */
#define ANSWER_MS 20000

/* ---- in the crowd's process ---- */

struct peer {
	int fd;
	unsigned sent;
};

static struct peer peers[PEERS];

static void peer_connect(struct peer *peer, const struct address *server)
{
	if (peer->fd >= 0)
		close(peer->fd);
	*peer = (struct peer){.fd = socket(server->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	if (peer->fd < 0 || connect(peer->fd, (const struct sockaddr *)&server->storage, server->bytes)) {
		if (peer->fd >= 0)
			close(peer->fd);
		peer->fd = -1;
	}
}

static bool peer_is_gone(const struct peer *peer)
{
	char byte;

	return peer->fd < 0 || recv(peer->fd, &byte, 1, MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

/* The beginning of a HELLO that is as long as it may be, or of nothing that anybody would understand. */
static void peer_say(struct peer *peer, unsigned kind)
{
	static struct wire_header header = {WIRE_MAGIC, WIRE_VERSION, WIRE_HELLO, WIRE_LOGIN_MAX, 0, 1};
	static uint8_t hello[WIRE_HEADER_BYTES + WIRE_LOGIN_MAX], garbage[512] = "GET / HTTP/1.1\r\n";
	struct cursor c = cursor_pack(hello, WIRE_HEADER_BYTES);

	wire_header_fields(&c, &header);
	if (kind == 1 && peer->sent < sizeof(hello) - 1)
		peer->sent += send(peer->fd, hello + peer->sent, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
	else if (kind == 2)
		send(peer->fd, garbage, sizeof(garbage), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void crowd_turn(const struct address *server, unsigned turn)
{
	for (unsigned i = turn % TURNS; i < PEERS; i += TURNS) {
		if (peer_is_gone(&peers[i]))
			peer_connect(&peers[i], server);
		else
			peer_say(&peers[i], i % 3);
	}
}

/* Comes at a byte from `orders`, goes at the next, and answers each. */
static void crowd_run(const struct address *server, int orders)
{
	char byte;

	for (unsigned i = 0; i < PEERS; i++)
		peers[i].fd = -1;
	while (read(orders, &byte, 1) == 1) {
		for (unsigned turn = 0; turn < TURNS; turn++)
			crowd_turn(server, turn);
		if (write(orders, "", 1) != 1)
			break;
		for (unsigned turn = 0; recv(orders, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN; turn++) {
			deadline_sleep_ms(deadline_in_ms(TURN_MS), TURN_MS);
			crowd_turn(server, turn);
		}
		for (unsigned i = 0; i < PEERS; i++) {
			if (peers[i].fd >= 0)
				close(peers[i].fd);
			peers[i].fd = -1;
		}
		if (write(orders, "", 1) != 1)
			break;
	}
	_exit(0);
}

/* ---- in the parent ---- */

struct crowd {
	struct server *server;
	struct state *state;
	pid_t pid;
	int orders[2];
};

static int descriptors_check(struct error *err)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return error_set(err, -errno, "the limit of descriptors is not known");
	limit.rlim_cur = limit.rlim_max;
	if (limit.rlim_max < PEERS + 64 || setrlimit(RLIMIT_NOFILE, &limit))
		return error_set(err, -EMFILE, "it takes %u descriptors: raise their limit (ulimit -Hn)", PEERS + 64);
	return 0;
}

static int set_up(struct crowd *c, const struct plan *plan, uint64_t bytes, struct error *err)
{
	struct address address;
	int rc = descriptors_check(err);

	if (!rc)
		rc = state_check_fits(1, bytes, err);
	if (!rc)
		rc = server_start(plan->server, plan->scratch, state_pool_bytes(1, bytes), NULL, &c->server, err);
	if (!rc)
		rc = address_parse(server_address(c->server), false, &address, err);
	if (rc)
		return rc;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, c->orders))
		return error_set(err, -errno, "no way to tell the crowd");
	c->pid = child_fork(SIGKILL, err);
	if (!c->pid) {
		close(c->orders[0]);
		crowd_run(&address, c->orders[1]);
	}
	if (c->pid < 0)
		return c->pid;
	return state_open(server_address(c->server), "ofi", 0, 1, bytes, &c->state, err);
}

static void tear_down(struct crowd *c)
{
	if (c->pid > 0)
		child_end(c->pid, SIGKILL);
	for (unsigned i = 0; i < 2; i++) {
		if (c->orders[i] >= 0)
			close(c->orders[i]);
	}
	state_close(c->state);
	server_stop(c->server);
}

/* It comes, or goes. */
static int crowd_order(struct crowd *c, struct error *err)
{
	char byte = 0;
	int rc = 0;

	if (write(c->orders[0], &byte, 1) != 1)
		return error_set(err, -EPIPE, "the crowd is gone");
	rc = child_wait_input(c->orders[0], deadline_in_ms(ANSWER_MS), err);
	if (!rc && read(c->orders[0], &byte, 1) != 1)
		rc = error_set(err, -EPIPE, "the crowd is gone");
	return rc;
}

static int puts_time(struct crowd *c, double *speed, struct error *err)
{
	uint64_t begin_ns = clock_monotonic_ns();
	int rc = 0;

	for (unsigned i = 0; !rc && i < PUTS; i++)
		rc = state_put(c->state, SET_FULL, err);
	*speed = (double)PUTS * (double)c->state->bytes / (double)(clock_monotonic_ns() - begin_ns);
	return rc;
}

/* Beside each other, and first the one, then the other. */
static int measure(struct crowd *c, const struct plan *plan, struct error *err)
{
	unsigned runs = plan->runs ? plan->runs : RUNS;
	struct samples samples = {0};
	double crowded, alone;
	int rc = 0;

	for (unsigned i = 0; !rc && i < WARM_RUNS + runs; i++) {
		if (i % 2)
			rc = puts_time(c, &alone, err);
		if (!rc)
			rc = crowd_order(c, err);
		if (!rc)
			rc = puts_time(c, &crowded, err);
		if (!rc)
			rc = crowd_order(c, err);
		if (!rc && !(i % 2))
			rc = puts_time(c, &alone, err);
		if (!rc && i >= WARM_RUNS)
			samples_add(&samples, crowded, alone, 0);
	}
	return rc ? rc : report_row(plan->report, &(struct row){"checkpoint-crowd", 1, c->state->bytes, .unit = "GB/s"}, &samples, err);
}

int crowd_bench(const struct plan *plan, struct error *err)
{
	struct crowd c = {.orders = {-1, -1}};
	int rc = set_up(&c, plan, plan->bytes ? plan->bytes : BYTES, err);

	if (!rc)
		rc = measure(&c, plan, err);
	if (rc && c.server)
		server_explain(c.server, err);
	tear_down(&c);
	return rc ? error_context(err, "checkpoint-crowd") : 0;
}
