/* SPDX-License-Identifier: BSD-3-Clause */
/* stat.c - pmuctl stat. */
#include <stdlib.h>
#include <jansson.h>
#include "tools/pmuctl.h"

static json_t *value_json(const char *text)
{
	char *end;
	long long number = strtoll(text, &end, 10);

	return *text && !*end ? json_integer(number) : json_string(text);
}

int pmuctl_stat(struct pmuctl *ctl)
{
	struct wire_stat_reply reply = {0};
	json_t *out = json_object();
	int rc;

	rc = pmuctl_call(ctl, WIRE_STAT, NULL, wire_stat_reply_fields, &reply);
	for (uint32_t i = 0; i < reply.count; i++) {
		if (ctl->json)
			json_object_set_new(out, reply.stats[i].key, value_json(reply.stats[i].value));
		else
			printf("%-22s %s\n", reply.stats[i].key, reply.stats[i].value);
	}
	if (rc == PMUCTL_OK && ctl->json) {
		json_dumpf(out, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(out);
	free(reply.stats);
	return rc;
}
