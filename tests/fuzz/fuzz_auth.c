/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_auth.c - proofs, seals and key files: nobody gets in who has not the key. The first byte says which of them the
 * others are.
 *
 * What MUNGE's credentials hold is decoded by munged; a proof that is none is seen before.
 */
#include "fuzz.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include "wire/auth.h"

static const struct auth_key server_key = {.bytes = 40, .secret = "what nobody but server and clients knows"};
static const struct auth_key other_key = {.bytes = 32, .secret = {1}};

static void proof_try(const struct auth_ops *auth, const uint8_t *data, size_t size)
{
	static const struct wire_hello hello = {.auth = "psk", .uid = 1, .nonce = {1}};
	static const struct wire_hello_reply challenge = {.auth = "psk", .nonce = {2}};
	struct auth_exchange exchange = {.hello = &hello, .reply = &challenge, .keys = {&server_key, &other_key}, .key_count = 2};
	struct wire_proof proof = {0}, answer = {0};
	struct error err;

	if (wire_unpack(data, size, wire_proof_fields, &proof))
		return;
	/* An input that has the hash of all that would be a find of another kind. */
	must(auth->check(&exchange, &proof, &answer, &err) == -EACCES && *err.text);
	must(auth->confirm(&exchange, &proof, &err) == -EACCES && *err.text);
}

static void psk_try(const uint8_t *data, size_t size)
{
	proof_try(&auth_psk, data, size);
}

/* Of those that are no text; for others a munged would have to be asked. */
static void munge_try(const uint8_t *data, size_t size)
{
	if (!size || data[size - 1])
		proof_try(&auth_munge, data, size);
}

static void seal_try(const uint8_t *data, size_t size)
{
	struct seal sender = {0}, receiver = {0};
	uint8_t *frame;

	if (size < SEAL_BYTES)
		return;
	seal_begin(&sender, false, server_key.secret);
	seal_begin(&receiver, true, server_key.secret);
	frame = malloc(size);
	must(frame);
	memcpy(frame, data, size);
	must(!seal_check(&receiver, frame, size - SEAL_BYTES));
	seal_begin(&receiver, true, server_key.secret);
	seal_set(&sender, frame, size - SEAL_BYTES);
	must(seal_check(&receiver, frame, size - SEAL_BYTES));
	must(!seal_check(&receiver, frame, size - SEAL_BYTES)); /* the same again */
	free(frame);
}

static void key_try(const uint8_t *data, size_t size)
{
	const char *path = input_path(data, size);
	struct auth_key key = {0};
	struct error err;
	int rc;

	must(!chmod(path, 0600));
	rc = auth_key_read(path, &key, &err);
	must(!rc == (size >= AUTH_KEY_BYTES_MIN && size <= AUTH_KEY_BYTES_MAX));
	must(rc ? *err.text : key.bytes == size && !memcmp(key.secret, data, size));
}

static void (*const tries[])(const uint8_t *data, size_t size) = {psk_try, munge_try, seal_try, key_try};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	must(sodium_init() >= 0);
	if (size && *data < sizeof(tries) / sizeof(tries[0]))
		tries[*data](data + 1, size - 1);
	return 0;
}
