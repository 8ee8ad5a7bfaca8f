/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_ni_wire.c - what PMM and NI say to each other. The first byte says which message the others are. */
#include "message.h"

#include "common/error.h"
#include "wire/ni_wire.h"

enum { REQUEST, REPLY, MERGE, MESSAGES, MERGE_FILE = MESSAGES };

static void free_merge(void *m)
{
	ni_merge_free(m);
}

static const struct message messages[MESSAGES] = {
	[REQUEST] = MESSAGE(ni_request, ni_request_fields, NULL),
	[REPLY] = MESSAGE(ni_reply, ni_reply_fields, NULL),
	[MERGE] = MESSAGE(ni_merge, ni_merge_fields, free_merge),
};

/* As the NI gets it: what came can be given on. */
static void merge_try(const uint8_t *data, size_t size)
{
	struct ni_merge merge, again;
	struct error err;
	int fd;

	if (!ni_merge_unpack(input_fd(data, size), &merge, &err)) {
		must(!ni_merge_pack(&merge, &fd, &err));
		must(!ni_merge_unpack(fd, &again, &err));
		must(again.source_count == merge.source_count);
		must(!memcmp(again.sources, merge.sources, merge.source_count * sizeof(*merge.sources)));
		close(fd);
		ni_merge_free(&again);
	}
	ni_merge_free(&merge);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size || size > WIRE_PAYLOAD_MAX)
		return 0;
	if (*data < MESSAGES)
		message_try(&messages[*data], data + 1, size - 1);
	else if (*data == MERGE_FILE)
		merge_try(data + 1, size - 1);
	return 0;
}
