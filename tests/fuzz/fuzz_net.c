/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_net.c - what the data plane gets from the other side: what a connection request carries, and the address that a
 * server names. The first byte says which of them the others are.
 */
#include "net/ofi.c" /* an address is looked at by a function of its own */

#include "fuzz.h"
#include "net/token.h"
#include "net/verbs.h"

#define PEERS 4

/* One uses a token up that it names, and no other, whatever lies behind it. */
static void token_try(const uint8_t *data, size_t size)
{
	uint8_t bytes[NET_TOKEN_BYTES] = {0}, last = 0;
	struct token *list = NULL;
	struct error err;
	uint64_t peer = 0, group = 0;
	bool known;

	for (uint8_t i = 0; i < PEERS; i++) {
		bytes[NET_TOKEN_BYTES - 1] = i;
		token_add(&list, token_new(i, i + 1u, bytes, 1, &err));
	}
	known = size >= NET_TOKEN_BYTES && !memcmp(data, bytes, NET_TOKEN_BYTES - 1) && data[NET_TOKEN_BYTES - 1] < PEERS;
	if (known)
		last = data[NET_TOKEN_BYTES - 1];
	must(token_redeem(&list, data, size, &peer, &group) == known && peer == last && group == (known ? last + 1u : 0));
	must(!token_redeem(&list, data, size, &peer, &group));
	token_clear(&list);
}

/* As what rdma_cm passes on of a request is kept. */
static void private_data_try(const uint8_t *data, size_t size)
{
	struct verbs_event event = {0};

	verbs_event_keep(&event, data, size);
	must(event.bytes <= size && event.bytes <= sizeof(event.data) && !memcmp(event.data, data, event.bytes));
	token_try(event.data, event.bytes);
}

/* All that is not checked here is the provider's to judge, and no longer than there is room for. */
static void address_try(const uint8_t *data, size_t size)
{
	struct net_address address = {0};
	struct sockaddr_storage sockaddrs[NET_RAILS_MAX];
	struct error err;
	int rails;

	if (size < 8)
		return;
	memcpy(&address.format, data, 4);
	memcpy(&address.bytes, data + 4, 4);
	memcpy(address.raw, data + 8, size - 8 < sizeof(address.raw) ? size - 8 : sizeof(address.raw));
	must(!ofi_address_valid(&address) || address.bytes <= sizeof(address.raw));
	rails = verbs_sockaddrs(&address, sockaddrs, &err);
	must(rails <= NET_RAILS_MAX && (rails > 0 || *err.text));
	for (int i = 0; i < rails; i++)
		must(verbs_sockaddr_bytes((struct sockaddr *)&sockaddrs[i]) * (unsigned)rails == address.bytes);
}

static void (*const tries[])(const uint8_t *data, size_t size) = {token_try, private_data_try, address_try};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size && *data < sizeof(tries) / sizeof(tries[0]))
		tries[*data](data + 1, size - 1);
	return 0;
}
