/* SPDX-License-Identifier: BSD-3-Clause */
/* auth.c - methods of authentication by name, and their key file. */
#include "wire/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct auth_ops *const methods[] = {&auth_munge, &auth_psk, &auth_none};

const struct auth_ops *auth_find(const char *name)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (methods[i]->abi == AUTH_ABI && !strcmp(methods[i]->name, name))
			return methods[i];
	}
	return NULL;
}

static void hash_message(crypto_auth_hmacsha256_state *state, wire_fields_fn *fields, const void *m)
{
	uint8_t packed[512];
	struct cursor c = cursor_pack(packed, sizeof(packed));

	fields(&c, (void *)(uintptr_t)m); /* packing does not write to it */
	crypto_auth_hmacsha256_update(state, packed, (size_t)(c.at - packed));
}

void auth_mac(const struct auth_exchange *exchange, const uint8_t *key, size_t bytes, const char *label,
	      uint8_t mac[AUTH_MAC_BYTES])
{
	crypto_auth_hmacsha256_state state;

	crypto_auth_hmacsha256_init(&state, key, bytes);
	crypto_auth_hmacsha256_update(&state, (const uint8_t *)label, strlen(label) + 1);
	hash_message(&state, wire_hello_fields, exchange->hello);
	hash_message(&state, wire_hello_reply_fields, exchange->reply);
	crypto_auth_hmacsha256_final(&state, mac);
}

static int key_file_check(const char *path, int fd, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return error_set(err, -errno, "key file %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "key file %s is no regular file", path);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return error_set(err, -EPERM, "key file %s belongs to uid %u, not to us: chown it", path,
				 st.st_uid);
	if (st.st_mode & 077)
		return error_set(err, -EPERM,
				 "key file %s may be read by others (mode %03o): chmod 600 it and, if they "
				 "may have read it, make a new key",
				 path, st.st_mode & 0777);
	if (st.st_size < AUTH_KEY_BYTES_MIN || st.st_size > AUTH_KEY_BYTES_MAX)
		return error_set(err, -EINVAL,
				 "key file %s has %lld bytes, a key has %d to %d: "
				 "head -c 32 /dev/urandom makes one",
				 path, (long long)st.st_size, AUTH_KEY_BYTES_MIN, AUTH_KEY_BYTES_MAX);
	return 0;
}

int auth_key_read(const char *path, struct auth_key *key, struct error *err)
{
	ssize_t n;
	int fd, rc;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return error_set(err, -errno, "key file %s: %s", path, strerror(errno));
	rc = key_file_check(path, fd, err);
	if (rc)
		goto err_close;
	n = read(fd, key->secret, sizeof(key->secret));
	if (n < AUTH_KEY_BYTES_MIN) {
		rc = error_set(err, n < 0 ? -errno : -EINVAL, "key file %s cannot be read whole", path);
		goto err_close;
	}
	key->bytes = (size_t)n;
err_close:
	close(fd);
	return rc;
}
