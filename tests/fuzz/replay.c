/* SPDX-License-Identifier: BSD-3-Clause */
/* replay.c - main() of a target in builds without libFuzzer: each file that it is given, once. */
#include "fuzz.h"

/* Each input has an allocation of its size, so that tools see a byte too far. */
static int replay(const char *path)
{
	FILE *file = fopen(path, "re");
	uint8_t *data = NULL;
	long size = -1;

	if (file && !fseek(file, 0, SEEK_END))
		size = ftell(file);
	if (size >= 0)
		data = malloc((size_t)size + !size);
	if (!data || fseek(file, 0, SEEK_SET) || fread(data, 1, (size_t)size, file) != (size_t)size) {
		perror(path);
		return EXIT_FAILURE;
	}
	fclose(file);
	fprintf(stderr, "Running: %s\n", path); /* the last one is that which crashed */
	LLVMFuzzerTestOneInput(data, (size_t)size);
	free(data);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	int status = EXIT_SUCCESS;

	for (int i = 1; i < argc && !status; i++)
		status = replay(argv[i]);
	return status;
}
