/* SPDX-License-Identifier: BSD-3-Clause */
/* token.h - the one-time tokens by which a target knows its peers. The caller locks. */
#ifndef HOLDFAST_TOKEN_H
#define HOLDFAST_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/error.h"
#include "common/fabric.h"

struct token;

/* A token that works `uses` times: once a rail. */
struct token *token_new(uint64_t peer, uint64_t group, const uint8_t bytes[NET_TOKEN_BYTES], unsigned uses,
			struct error *err);

/* Uses the token that `data` begins with, and takes it out of the list at its last use; false: there is none. */
bool token_redeem(struct token **list, const void *data, size_t bytes, uint64_t *peer, uint64_t *group);

/* In the place of another of the peer's. */
void token_add(struct token **list, struct token *token);

/* Forgets the peer's, and all. */
void token_remove(struct token **list, uint64_t peer);
void token_clear(struct token **list);

#endif
