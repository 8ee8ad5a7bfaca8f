/* SPDX-License-Identifier: BSD-3-Clause */
/* pgm.c - grey pictures: reads PGM files (P2 and P5, up to 16 bits a pixel), writes P5. */
#include "pgm.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads a decimal of at most `max`, behind blanks and comments, and the one blank that ends it. */
static bool read_number(FILE *in, uint32_t max, uint32_t *number)
{
	uint32_t value = 0;
	int c = getc(in);

	while (isspace(c) || c == '#') {
		if (c == '#') {
			while (c != '\n' && c != EOF)
				c = getc(in);
		}
		c = getc(in);
	}
	if (!isdigit(c))
		return false;
	for (; isdigit(c); c = getc(in)) {
		value = value * 10 + (uint32_t)(c - '0');
		if (value > max)
			return false;
	}
	*number = value;
	return c == EOF || isspace(c);
}

static bool read_pixel(FILE *in, bool plain, uint32_t white, uint16_t *pixel)
{
	uint32_t value;
	int high = 0, low;

	if (plain) {
		if (!read_number(in, white, &value))
			return false;
	} else {
		if (white > 255)
			high = getc(in);
		low = getc(in);
		if (high == EOF || low == EOF)
			return false;
		value = (uint32_t)high << 8 | (uint32_t)low;
	}
	*pixel = (uint16_t)value;
	return value <= white;
}

static const char *read_open_file(FILE *in, struct picture *picture)
{
	struct picture p = {0};
	char magic[2];
	bool plain;

	if (fread(magic, 1, 2, in) != 2 || magic[0] != 'P' || (magic[1] != '2' && magic[1] != '5'))
		return "this is no grey PGM picture (P2 or P5)";
	plain = magic[1] == '2';
	if (!read_number(in, PGM_SIDE_MAX, &p.width) || !read_number(in, PGM_SIDE_MAX, &p.height) ||
	    !p.width || !p.height || (uint64_t)p.width * p.height > PGM_PIXELS_MAX)
		return "width or height is missing or out of range";
	if (!read_number(in, 65535, &p.white) || !p.white)
		return "the maximum grey value is missing or not within 1 to 65535";

	p.pixels = malloc((size_t)p.width * p.height * sizeof(*p.pixels));
	if (!p.pixels)
		return "out of memory";
	for (size_t i = 0; i < (size_t)p.width * p.height; i++) {
		if (!read_pixel(in, plain, p.white, &p.pixels[i])) {
			free(p.pixels);
			return feof(in) ? "the file ends before its last pixel"
					: "a pixel is unreadable or brighter than the maximum";
		}
	}
	*picture = p;
	return NULL;
}

const char *pgm_read(const char *file, struct picture *picture)
{
	FILE *in = fopen(file, "rb");
	const char *wrong;

	if (!in)
		return strerror(errno);
	wrong = read_open_file(in, picture);
	fclose(in);
	return wrong;
}

const char *pgm_write(const char *file, uint32_t width, uint32_t height, const uint8_t *pixels)
{
	FILE *out = fopen(file, "wb");
	bool written;

	if (!out)
		return strerror(errno);
	written = fprintf(out, "P5\n%u %u\n255\n", width, height) > 0 &&
		  fwrite(pixels, width, height, out) == height;
	if (fclose(out) || !written)
		return strerror(errno);
	return NULL;
}
