/* SPDX-License-Identifier: BSD-3-Clause */
/* state.c - a rank's memory, and its region for increments of it. */
#include "state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "common/size.h"
#include "report.h"

static uint64_t next(uint64_t *random)
{
	*random = *random * 6364136223846793005u + 1442695040888963407u;
	return *random;
}

int state_memory(uint64_t bytes, uint64_t seed, uint8_t **memory, struct error *err)
{
	uint64_t random = seed;
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return error_nomem(err, "a buffer");
	for (uint64_t i = 0; i < bytes / sizeof(uint64_t); i++)
		((uint64_t *)at)[i] = next(&random);
	*memory = at;
	return 0;
}

int state_open(const char *server, const char *net, uint32_t rank, uint32_t ranks, uint64_t bytes, struct state **state,
	       struct error *err)
{
	struct client_options options = {
		.server = server, .net = net, .provider = strcmp(net, "local") ? PROVIDER : NULL, .auth = "none"};
	struct client_identity identity = {
		.job = "state", .rank = rank, .ranks = ranks, .mode = REGION_APPEND, .launch = "hf-bench"};
	struct state *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return error_nomem(err, "a rank");
	s->rank = rank;
	s->bytes = bytes;
	s->blocks = (bytes + SET_BLOCK_DEFAULT - 1) / SET_BLOCK_DEFAULT;
	s->random = rank + 1;
	s->changed = calloc(s->blocks, sizeof(*s->changed));
	rc = s->changed ? state_memory(bytes, rank + 1, &s->memory, err) : error_nomem(err, "a rank");
	if (!rc)
		rc = client_open(&options, &identity, &s->client, err);
	if (rc) {
		state_close(s);
		return rc;
	}
	s->segment = (struct client_segment){.segment = {"data", ELEMENT_BYTE, 1, bytes}, .at = s->memory};
	*state = s;
	return 0;
}

int state_use_huge_pages(struct state *state, struct error *err)
{
	const uint64_t room = state->bytes + (2u << 20);
	void *at = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return error_nomem(err, "a buffer");
	munmap(state->memory, state->bytes);
	madvise(at, room, MADV_HUGEPAGE);
	state->memory = at;
	for (uint64_t i = 0; i < state->bytes / sizeof(i); i++)
		((uint64_t *)at)[i] = i * 6364136223846793005u;
	state->segment.at = at;
	return 0;
}

void state_close(struct state *state)
{
	if (!state)
		return;
	client_close(state->client, true, NULL);
	if (state->memory)
		munmap(state->memory, state->bytes);
	free(state->changed);
	free(state);
}

static void change_block(struct state *state, uint64_t block)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t begin = block * SET_BLOCK_DEFAULT, end = begin + SET_BLOCK_DEFAULT;
	struct segment_range *last = &state->changed[state->changed_count];

	if (end > state->bytes)
		end = state->bytes;
	for (uint64_t at = begin; at < end; at += page)
		state->memory[at]++;
	if (state->changed_count && last[-1].offset + last[-1].bytes == begin) {
		last[-1].bytes += end - begin;
		return;
	}
	*last = (struct segment_range){begin, end - begin};
	state->changed_count++;
}

/* Each choice of so many blocks is as likely as any other (Knuth's algorithm S). */
void state_change(struct state *state, uint64_t blocks)
{
	uint64_t wanted = blocks;

	state->changed_count = 0;
	for (uint64_t block = 0; wanted && block < state->blocks; block++) {
		if ((next(&state->random) >> 33) % (state->blocks - block) >= wanted)
			continue;
		change_block(state, block);
		wanted--;
	}
}

int state_put(struct state *state, enum set_kind kind, struct error *err)
{
	enum set_kind written = kind;
	int rc = client_put(state->client, state->epoch + 1, state->epoch, &written, &state->segment, 1, err);

	if (rc)
		return rc;
	state->epoch++;
	if (written == kind)
		return 0;
	return error_set(err, -ENOSPC, "the log has no room for an increment: choose more with --bytes");
}

uint64_t state_set_bytes(const struct state *state)
{
	const struct set_info *sets;
	size_t count = client_sets(state->client, &sets);

	return count ? sets[count - 1].data_bytes + sets[count - 1].table_bytes : 0;
}

bool state_fits(unsigned ranks, uint64_t bytes)
{
	uint64_t need = ranks * bytes * 4 + ranks * bytes / 16 + 2ull * POOL_OVERHEAD;

	return need < (uint64_t)sysconf(_SC_AVPHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

int state_check_fits(unsigned ranks, uint64_t bytes, struct error *err)
{
	char size[32];

	if (state_fits(ranks, bytes))
		return 0;
	return error_set(err, -ENOMEM,
			 "%u rank(s) of %s need four times that in free memory: choose less with --bytes or --ranks",
			 ranks, size_format(bytes, size, sizeof(size)));
}

bool state_leaves_out(const struct plan *plan, const char *row, unsigned ranks, uint64_t bytes)
{
	if (plan->bytes || state_fits(ranks, bytes))
		return false;
	report_note("leaving out %s: not enough free memory; choose less with --bytes", row);
	return true;
}

uint64_t state_pool_bytes(unsigned ranks, uint64_t bytes)
{
	return SLOTS_MAX * ranks * (bytes + bytes / 64) + POOL_OVERHEAD;
}
