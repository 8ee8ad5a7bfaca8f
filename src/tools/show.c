/* SPDX-License-Identifier: BSD-3-Clause */
/* show.c - pmuctl show: a job's regions and sets; in append mode as chains, a base and its increments each. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include "common/identity.h"
#include "common/share.h"
#include "common/size.h"
#include "tools/pmuctl.h"

static const char *const type_names[ELEMENT_TYPE_END] = {
	[ELEMENT_BYTE] = "byte",	   [ELEMENT_CHAR] = "char",
	[ELEMENT_INT8] = "int8",	   [ELEMENT_UINT8] = "uint8",
	[ELEMENT_INT16] = "int16",	   [ELEMENT_UINT16] = "uint16",
	[ELEMENT_INT32] = "int32",	   [ELEMENT_UINT32] = "uint32",
	[ELEMENT_INT64] = "int64",	   [ELEMENT_UINT64] = "uint64",
	[ELEMENT_FLOAT] = "float",	   [ELEMENT_DOUBLE] = "double",
	[ELEMENT_LONG_DOUBLE] = "long double", [ELEMENT_COMPLEX_FLOAT] = "complex float",
	[ELEMENT_COMPLEX_DOUBLE] = "complex double", [ELEMENT_BOOL] = "bool",
	[ELEMENT_LOGICAL] = "logical",
};

static const char *type_name(uint32_t type)
{
	return type < ELEMENT_TYPE_END && type_names[type] ? type_names[type] : "?";
}

static const char *mode_name(uint32_t mode)
{
	return mode == REGION_APPEND ? "append" : "overwrite";
}

static const char *kind_name(const struct wire_set *set)
{
	return set->info.kind == SET_FULL ? "full" : "increment";
}

/* ---- JSON ---- */

/* `segments_of_set`: its own, or, where it was sent without, those of the set before it. `base`: epoch of the full
 * set that its chain begins with. */
static json_t *set_json(const struct wire_set *set, const struct segment *segments_of_set, uint64_t base)
{
	json_t *segments = json_array();

	for (uint32_t i = 0; i < set->info.segment_count; i++) {
		const struct segment *s = &segments_of_set[i];

		json_array_append_new(segments, json_pack("{s:s, s:s, s:I, s:I}", "name", s->name, "type",
							  type_name(s->type), "element_bytes",
							  (json_int_t)s->element_bytes, "count",
							  (json_int_t)s->count));
	}
	return json_pack("{s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:o}", "epoch", (json_int_t)set->info.epoch, "kind",
			 kind_name(set), "base", (json_int_t)base, "bytes", (json_int_t)set->info.data_bytes,
			 "block_bytes", (json_int_t)set->info.block_bytes, "published",
			 (json_int_t)(set->info.time_ns / 1000000000u), "generation",
			 (json_int_t)set->info.generation, "damaged", (int)set->damaged, "segments", segments);
}

static int region_json(struct pmuctl *ctl, const struct wire_region *region, void *arg)
{
	const struct segment *segments = NULL;
	json_t *sets = json_array(), *out;
	uint64_t base = 0;

	(void)ctl;
	for (uint32_t i = 0; i < region->set_count; i++) {
		if (region->sets[i].info.kind == SET_FULL)
			base = region->sets[i].info.epoch;
		if (region->sets[i].segments || !segments)
			segments = region->sets[i].segments;
		if (segments || !region->sets[i].info.segment_count)
			json_array_append_new(sets, set_json(&region->sets[i], segments, base));
	}
	out = json_pack("{s:I, s:s, s:I, s:I, s:b, s:o}", "rank", (json_int_t)region->rank, "mode",
			mode_name(region->mode), "generation", (json_int_t)region->generation,
			"reserved_bytes", (json_int_t)region->reserved_bytes, "alive", region->alive,
			"sets", sets);
	if (region->mode == REGION_APPEND)
		json_object_set_new(out, "log",
				    json_pack("{s:I, s:I}", "bytes", (json_int_t)region->log_bytes,
					      "used_bytes", (json_int_t)region->log_used_bytes));
	if (region->alive)
		json_object_set_new(out, "primary",
				    json_pack("{s:s, s:I, s:I}", "host", region->host, "pid",
					      (json_int_t)region->pid, "since",
					      (json_int_t)(region->since_ns / 1000000000u)));
	json_array_append_new(arg, out);
	return PMUCTL_OK;
}

/* What JSON cannot hold, since it is no UTF-8, is shown as '?'. */
static json_t *text_json(const char *text)
{
	json_t *string = json_string(text);
	char *copy = string ? NULL : strdup(text);

	for (char *c = copy; c && *c; c++)
		*c = *c & 0x80 ? '?' : *c;
	if (copy)
		string = json_string(copy);
	free(copy);
	return string ? string : json_null();
}

static json_t *command_json(const struct command_line *command)
{
	const char *directory = command_next(command, NULL), *at = directory;
	json_t *arguments;

	if (!directory)
		return json_null();
	arguments = json_array();
	while ((at = command_next(command, at)))
		json_array_append_new(arguments, text_json(at));
	return json_pack("{s:o, s:o}", "directory", text_json(directory), "arguments", arguments);
}

static int show_json(struct pmuctl *ctl)
{
	json_t *regions = json_array(), *out;
	struct wire_job job;
	int rc;

	rc = pmuctl_each_region(ctl, region_json, regions, &job);
	if (rc == PMUCTL_OK) {
		out = json_pack("{s:s, s:I, s:I, s:I, s:I, s:s, s:o, s:o, s:O}", "name", job.name, "uid",
				(json_int_t)job.uid, "ranks", (json_int_t)job.ranks, "complete_epoch",
				(json_int_t)job.complete_epoch, "reserved_bytes",
				(json_int_t)job.reserved_bytes, "shared", pmuctl_share_name(job.share), "group",
				job.share ? json_integer(job.group) : json_null(), "command",
				command_json(&ctl->command), "regions", regions);
		json_dumpf(out, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(out);
	}
	json_decref(regions);
	return rc;
}

/* ---- text ---- */

enum {
	CHAIN_HEAD = 2, /* increments behind the base, and at the end of the chain, that a short drawing shows */
	CHAIN_TAIL = 3,
};

/* `drawn`: the set's place in its chain. */
static void set_print(const char *drawn, const struct wire_set *set)
{
	char size[32];

	printf("  %sepoch %-6" PRIu64 " %-9s %10s in %u segment%s, %s ago (%s), by generation %" PRIu64 "%s\n", drawn,
	       set->info.epoch, kind_name(set), size_format(set->info.data_bytes, size, sizeof(size)),
	       set->info.segment_count, set->info.segment_count == 1 ? "" : "s", pmuctl_age(set->info.time_ns),
	       pmuctl_time(set->info.time_ns), set->info.generation, set->damaged ? ", DAMAGED" : "");
}

static void sets_left_out(const struct wire_set *sets, uint32_t count)
{
	uint64_t bytes = 0;
	char size[32];

	for (uint32_t i = 0; i < count; i++)
		bytes += sets[i].info.data_bytes;
	printf("  |  ... %u more, epochs %" PRIu64 " to %" PRIu64 ", %s ...\n", count, sets[0].info.epoch,
	       sets[count - 1].info.epoch, size_format(bytes, size, sizeof(size)));
}

/* A base, and the increments behind it. */
static void chain_print(const struct pmuctl *ctl, const struct wire_set *sets, uint32_t count)
{
	uint32_t increments = count - 1;

	set_print("*  ", &sets[0]);
	for (uint32_t i = 1; i < count; i++) {
		if (!ctl->all && i == CHAIN_HEAD + 1 && increments > CHAIN_HEAD + CHAIN_TAIL + 1) {
			sets_left_out(&sets[i], increments - CHAIN_HEAD - CHAIN_TAIL);
			i += increments - CHAIN_HEAD - CHAIN_TAIL;
		}
		set_print(i + 1 < count ? "|- " : "`- ", &sets[i]);
	}
}

static void log_print(const struct wire_region *region)
{
	uint64_t used = region->log_used_bytes, all = region->log_bytes;
	char used_size[32], size[32];

	printf("  log: %s of %s used", size_format(used, used_size, sizeof(used_size)),
	       size_format(all, size, sizeof(size)));
	if (all)
		printf(" (%.0f %%)", 100 * (double)used / (double)all);
	putchar('\n');
}

static void chains_print(const struct pmuctl *ctl, const struct wire_region *region)
{
	uint32_t first = 0;

	log_print(region);
	for (uint32_t i = 1; i <= region->set_count; i++) {
		if (i < region->set_count && region->sets[i].info.kind != SET_FULL)
			continue;
		chain_print(ctl, &region->sets[first], i - first);
		first = i;
	}
}

static int region_print(struct pmuctl *ctl, const struct wire_region *region, void *arg)
{
	char size[32];

	(void)arg;
	printf("rank %-6u %s, generation %" PRIu64 ", %s reserved", region->rank,
	       mode_name(region->mode), region->generation,
	       size_format(region->reserved_bytes, size, sizeof(size)));
	if (region->alive)
		printf(", written by process %u on %s since %s\n", region->pid, region->host,
		       pmuctl_time(region->since_ns));
	else
		printf(", no primary\n");
	if (region->mode == REGION_APPEND) {
		chains_print(ctl, region);
		return PMUCTL_OK;
	}
	for (uint32_t i = 0; i < region->set_count; i++)
		set_print("", &region->sets[i]);
	return PMUCTL_OK;
}

int pmuctl_show(struct pmuctl *ctl)
{
	static char line[COMMAND_LINE_BYTES];
	char size[32], group[IDENTITY_NAME_BYTES];
	struct wire_job job;
	int rc;

	if (ctl->json)
		return show_json(ctl);
	rc = pmuctl_each_region(ctl, region_print, NULL, &job);
	if (rc != PMUCTL_OK)
		return rc;
	printf("job %s: %u ranks, %s reserved, ", job.name, job.ranks,
	       size_format(job.reserved_bytes, size, sizeof(size)));
	if (job.complete_epoch)
		printf("newest complete epoch %" PRIu64 "\n", job.complete_epoch);
	else
		printf("no complete epoch\n");
	if (job.share)
		printf("shared with group %s, who may %s\n", identity_group_name(job.group, group),
		       job.share == JOB_SHARE_RUN ? "run it" : "look at it");
	if (ctl->command.bytes)
		printf("run by: %s\n", command_format(&ctl->command, line, sizeof(line)));
	return PMUCTL_OK;
}
