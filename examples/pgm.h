/* SPDX-License-Identifier: BSD-3-Clause */
/* pgm.h - grey pictures: reads PGM files (P2 and P5, up to 16 bits a pixel), writes P5. */
#ifndef PGM_H
#define PGM_H

#include <stdint.h>

#define PGM_SIDE_MAX   65536
#define PGM_PIXELS_MAX (1u << 28)

struct picture {
	uint32_t width, height;
	uint32_t white;	  /* the brightest value: 1 to 65535 */
	uint16_t *pixels; /* malloced; row by row from the top */
};

/* Both return NULL, or in plain words what went wrong; `picture` is then left alone. */
const char *pgm_read(const char *file, struct picture *picture);
const char *pgm_write(const char *file, uint32_t width, uint32_t height, const uint8_t *pixels);

#endif
