/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_text.c - what people and the kernel write: addresses, sizes, names of jobs and of slots' files, command lines,
 * lines of /proc/self/maps. The first byte says which of them the others are.
 */
#include "fuzz.h"

#include <netdb.h>
#include <string.h>

/* Nobody is asked for the addresses of names. */
static int numeric_addrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **found)
{
	struct addrinfo numeric = *hints;

	numeric.ai_flags |= AI_NUMERICHOST;
	return getaddrinfo(host, port, &numeric, found);
}

#define getaddrinfo numeric_addrinfo
#include "common/address.c"
#undef getaddrinfo

#include "track/mapped.c" /* what takes one text in these two is not for others */

#define split slotfile_split
#include "pmm/slotfile.c"
#undef split

#include "common/command.h"
#include "common/size.h"
#include "wire/wire.h"

/* What was read can be written, and read again. */
static void address_try(char *text, size_t size)
{
	struct address address, again;
	char written[ADDRESS_TEXT_BYTES], rewritten[ADDRESS_TEXT_BYTES];
	struct error err;

	(void)size;
	if (address_parse(text, false, &address, &err)) {
		must(err.code < 0 && *err.text);
		return;
	}
	address_format(&address, written);
	if (strchr(written, '%') || strchr(written, '(')) /* of an interface, which may not be there */
		return;
	must(!address_parse(written, false, &again, &err) && again.bytes == address.bytes);
	must(!strcmp(address_format(&again, rewritten), written));
	must(address_is_local(&again) == address_is_local(&address));
}

static void size_try(char *text, size_t size)
{
	uint64_t bytes = 1;

	(void)size;
	if (!size_parse(text, &bytes))
		must(*text >= '.' && *text <= '9');
}

static void name_try(char *text, size_t size)
{
	if (wire_job_name_ok(text))
		must(*text && strlen(text) < JOB_NAME_BYTES && !strchr(text, '/') && strlen(text) <= size);
	if (file_number(text))
		must(strlen(text) == FORMAT_FILE_CHARS);
}

static void command_try(char *text, size_t size)
{
	const struct command_line command = {(uint32_t)size, text};
	char written[COMMAND_LINE_BYTES], shorter[16];
	const char *at = NULL;
	size_t bytes = 0;

	if (!command_ok(&command))
		return;
	while ((at = command_next(&command, at)))
		bytes += strlen(at) + 1;
	must(bytes == size && command_equal(&command, &command));
	must(!size || strlen(command_format(&command, written, sizeof(written))) >= 4);
	must(strlen(command_format(&command, shorter, sizeof(shorter))) < sizeof(shorter));
}

static void mapped_try(char *text, size_t size)
{
	struct mapped mapped = {0};
	struct error err;

	if (mapped_parse(text, &mapped))
		return;
	must(mapped.name >= text && mapped.name <= text + size && strlen(mapped.permissions) < sizeof(mapped.permissions));
	mapped_judge(&mapped, &err);
}

static void (*const tries[])(char *text, size_t size) = {address_try, size_try, name_try, command_try, mapped_try};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (!size || *data >= sizeof(tries) / sizeof(tries[0]))
		return 0;
	text = calloc(1, size); /* in place of the first byte, a zero at the end */
	must(text);
	memcpy(text, data + 1, size - 1);
	tries[*data](text, size - 1);
	free(text);
	return 0;
}
