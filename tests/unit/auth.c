/* SPDX-License-Identifier: BSD-3-Clause */
/* auth.c - proofs: each side's is accepted from who holds the key, in just that exchange. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "unit.h"
#include "wire/auth.h"

static struct error err;
static struct wire_hello hello = {1, 1, "psk", 1000, 100, 4711, "node", {1, 2, 3}};
static struct wire_hello_reply reply = {1, "psk", 0, {4, 5, 6}};
static struct auth_key key = {32, "0123456789abcdef0123456789abcde"};
static struct auth_key other = {32, "0123456789abcdef0123456789abcdX"};

START_TEST(both_sides_prove_the_key)
{
	struct auth_exchange exchange = {.hello = &hello, .reply = &reply, .keys = {&key}, .key_count = 1};
	struct wire_proof proof = {0}, answer = {0};

	ck_assert(!auth_psk.prove(&exchange, &proof, &err));
	ck_assert(!auth_psk.check(&exchange, &proof, &answer, &err));
	ck_assert(!auth_psk.confirm(&exchange, &answer, &err));
}
END_TEST

START_TEST(another_key_proves_nothing)
{
	struct auth_exchange ours = {.hello = &hello, .reply = &reply, .keys = {&key}, .key_count = 1};
	struct auth_exchange theirs = {.hello = &hello, .reply = &reply, .keys = {&other}, .key_count = 1};
	struct wire_proof proof = {0}, answer = {0};

	ck_assert(!auth_psk.prove(&theirs, &proof, &err));
	ck_assert_int_eq(auth_psk.check(&ours, &proof, &answer, &err), -EACCES);
	ck_assert(!auth_psk.check(&theirs, &proof, &answer, &err));
	ck_assert_int_eq(auth_psk.confirm(&ours, &answer, &err), -EACCES);
}
END_TEST

START_TEST(a_proof_is_worth_nothing_in_another_exchange)
{
	struct wire_hello other_hello[4] = {hello, hello, hello, hello};
	struct wire_hello_reply other_reply = reply;
	struct auth_exchange exchange = {.hello = &hello, .reply = &reply, .keys = {&key}, .key_count = 1}, changed = exchange;
	struct wire_proof proof = {0}, answer = {0};

	ck_assert(!auth_psk.prove(&exchange, &proof, &err));
	other_reply.nonce[31] ^= 1;
	changed.reply = &other_reply;
	ck_assert_int_eq(auth_psk.check(&changed, &proof, &answer, &err), -EACCES);
	changed = exchange;
	other_hello[0].nonce[0] ^= 1;
	other_hello[1].uid = 0;
	other_hello[2].gid = 0;
	strcpy(other_hello[3].host, "nodf");
	for (unsigned i = 0; i < 4; i++) {
		changed.hello = &other_hello[i];
		ck_assert_int_eq(auth_psk.check(&changed, &proof, &answer, &err), -EACCES);
	}
}
END_TEST

START_TEST(a_proof_cannot_be_reflected)
{
	struct auth_exchange exchange = {.hello = &hello, .reply = &reply, .keys = {&key}, .key_count = 1};
	struct wire_proof proof = {0};

	ck_assert(!auth_psk.prove(&exchange, &proof, &err));
	ck_assert_int_eq(auth_psk.confirm(&exchange, &proof, &err), -EACCES);
}
END_TEST

START_TEST(a_proof_of_another_length_is_refused)
{
	struct auth_exchange exchange = {.hello = &hello, .reply = &reply, .keys = {&key}, .key_count = 1};
	struct wire_proof proof = {0}, answer = {0};

	ck_assert(!auth_psk.prove(&exchange, &proof, &err));
	proof.bytes--;
	ck_assert_int_eq(auth_psk.check(&exchange, &proof, &answer, &err), -EACCES);
	proof.bytes = 0;
	ck_assert_int_eq(auth_psk.check(&exchange, &proof, &answer, &err), -EACCES);
}
END_TEST

START_TEST(key_files_are_private)
{
	static const struct {
		mode_t mode;
		size_t bytes;
		int code;
	} files[] = {
		{0600, 32, 0},	     {0400, 4096, 0},	    {0640, 32, -EPERM},	 {0604, 32, -EPERM},
		{0600, 31, -EINVAL}, {0600, 4097, -EINVAL}, {0600, 0, -EINVAL},
	};
	char path[] = "/tmp/holdfast-key.XXXXXX", bytes[4097] = {1};
	struct auth_key read;
	int fd = mkstemp(path);

	for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		ck_assert(!ftruncate(fd, 0));
		ck_assert_int_eq(pwrite(fd, bytes, files[i].bytes, 0), (ssize_t)files[i].bytes);
		ck_assert(!fchmod(fd, files[i].mode));
		ck_assert_msg(auth_key_read(path, &read, &err) == files[i].code, "file %u", i);
		if (!files[i].code)
			ck_assert_uint_eq(read.bytes, files[i].bytes);
	}
	close(fd);
	unlink(path);
	ck_assert_int_eq(auth_key_read(path, &read, &err), -ENOENT);
	ck_assert_int_eq(auth_key_read("/dev/null", &read, &err), -EINVAL);
}
END_TEST

START_TEST(methods_are_found_by_name)
{
	ck_assert_ptr_eq(auth_find("psk"), &auth_psk);
	ck_assert_ptr_eq(auth_find("none"), &auth_none);
	ck_assert_ptr_null(auth_find("other"));
	ck_assert(auth_psk.any_address && !auth_none.any_address);
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("auth");

	unit_add(suite, "psk", both_sides_prove_the_key, 10);
	unit_add(suite, "psk", another_key_proves_nothing, 10);
	unit_add(suite, "psk", a_proof_is_worth_nothing_in_another_exchange, 10);
	unit_add(suite, "psk", a_proof_cannot_be_reflected, 10);
	unit_add(suite, "psk", a_proof_of_another_length_is_refused, 10);
	unit_add(suite, "key", key_files_are_private, 10);
	unit_add(suite, "methods", methods_are_found_by_name, 10);
	return suite;
}
