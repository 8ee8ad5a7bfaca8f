/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * auth_none.c - no proof. On a UNIX socket the server takes the uid from the kernel; on loopback it takes
 * the client's word, so that everybody on the machine is one user. Other addresses refuse it.
 */
#include "wire/auth.h"

static int none_prove(struct auth_exchange *exchange, struct wire_proof *proof, struct error *err)
{
	(void)exchange;
	(void)err;
	proof->bytes = 0;
	return 0;
}

static int none_check(struct auth_exchange *exchange, const struct wire_proof *proof,
		      struct wire_proof *answer, struct error *err)
{
	(void)exchange;
	(void)proof;
	(void)err;
	answer->bytes = 0;
	return 0;
}

static int none_confirm(const struct auth_exchange *exchange, const struct wire_proof *answer,
			struct error *err)
{
	(void)exchange;
	(void)answer;
	(void)err;
	return 0;
}

const struct auth_ops auth_none = {
	.abi = AUTH_ABI,
	.name = "none",
	.any_address = false,
	.needs_key = false,
	.prove = none_prove,
	.check = none_check,
	.confirm = none_confirm,
};
