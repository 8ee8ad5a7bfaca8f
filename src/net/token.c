/* SPDX-License-Identifier: BSD-3-Clause */
/* token.c - the one-time tokens by which a target knows its peers. */
#include "net/token.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct token {
	struct token *next;
	uint64_t peer, group;
	unsigned uses; /* that are left */
	uint8_t bytes[NET_TOKEN_BYTES];
};

struct token *token_new(uint64_t peer, uint64_t group, const uint8_t bytes[NET_TOKEN_BYTES], unsigned uses,
			struct error *err)
{
	struct token *token = malloc(sizeof(*token));

	if (!token) {
		error_nomem(err, "a token");
		return NULL;
	}
	token->peer = peer;
	token->group = group;
	token->uses = uses;
	memcpy(token->bytes, bytes, NET_TOKEN_BYTES);
	return token;
}

static void token_drop(struct token **at)
{
	struct token *token = *at;

	*at = token->next;
	sodium_memzero(token, sizeof(*token));
	free(token);
}

bool token_redeem(struct token **list, const void *data, size_t bytes, uint64_t *peer, uint64_t *group)
{
	struct token **found = NULL;

	/* All are compared, and each in constant time: the answer's delay tells nothing. */
	for (struct token **at = list; *at && bytes >= NET_TOKEN_BYTES; at = &(*at)->next) {
		if (!sodium_memcmp((*at)->bytes, data, NET_TOKEN_BYTES))
			found = at;
	}
	if (!found)
		return false;
	*peer = (*found)->peer;
	*group = (*found)->group;
	if (!--(*found)->uses)
		token_drop(found);
	return true;
}

void token_remove(struct token **list, uint64_t peer)
{
	while (*list) {
		if ((*list)->peer == peer)
			token_drop(list);
		else
			list = &(*list)->next;
	}
}

void token_add(struct token **list, struct token *token)
{
	token_remove(list, token->peer);
	token->next = *list;
	*list = token;
}

void token_clear(struct token **list)
{
	while (*list)
		token_drop(list);
}
