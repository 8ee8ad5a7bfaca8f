/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_option.c - clients' configuration file: refused with a sentence, or all is within its limits. */
#include "fuzz.h"

#include <ctype.h>
#include <string.h>
#include "client/option.h"
#include "common/set.h"

/* The file is all that is read. */
static void environment_set(const char *path)
{
	const struct option_text *option;
	char name[64];

	for (size_t i = 0; (option = option_at(i)); i++) {
		snprintf(name, sizeof(name), "HOLDFAST_%s", option->name);
		for (char *c = name; *c; c++)
			*c = (char)toupper((unsigned char)*c);
		unsetenv(name);
	}
	must(!setenv("HOLDFAST_CONFIG", path, 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *path = input_path(data, size);
	struct options options = {0};
	struct error err = {0};

	if (!getenv("HOLDFAST_CONFIG") || strcmp(getenv("HOLDFAST_CONFIG"), path))
		environment_set(path);
	if (options_load(&options, &err)) {
		must(err.code < 0 && *err.text && memchr(err.text, '\0', sizeof(err.text)));
		return 0;
	}
	must(options.auth && options.timeout_ms && options.mtbf_ms && set_block_ok(options.block_bytes));
	must(options.window <= 1000000 && options.threads <= 1000000 && options.chain <= 1000000);
	must(!options.leave_signal || options.leave_signal != options.checkpoint_signal);
	options_free(&options);
	return 0;
}
