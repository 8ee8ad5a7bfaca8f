/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_client.h - client.h in the memory of one process: sets live until fake_reset(), also after
 * client_close(). Each rank has its own; what it is to do wrong is set here.
 */
#ifndef HOLDFAST_FAKE_CLIENT_H
#define HOLDFAST_FAKE_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

enum fake_call { FAKE_OPEN, FAKE_REFRESH, FAKE_PUT, FAKE_LAYOUT, FAKE_GET, FAKE_CLOSE, FAKE_ASKED, FAKE_RECORD,
		 FAKE_CALLS };

/* Forgets all sets, counts and orders. */
void fake_reset(void);

/* The next call of this kind fails with this -errno. */
void fake_fail(enum fake_call call, int code);

/* The next put is committed, but its reply is lost: -ENXIO, and the list is not told. */
void fake_lose_reply(void);

/* Whether a put from a source waits, before it has taken anything, until this is taken back. */
void fake_hold(bool hold);

/* Reads of this epoch give -EILSEQ from now on. */
void fake_damage(uint64_t epoch);

/* Removes the set of this epoch. */
void fake_drop(uint64_t epoch);

/* Adds an empty set of this epoch. */
void fake_add(uint64_t epoch);

/* How many calls of this kind there were since fake_reset(). */
unsigned fake_count(enum fake_call call);

/* `keep` of the last put, and `finished` of the last close. */
uint64_t fake_kept(void);
bool fake_finished(void);

/* A tool asks the job for a checkpoint, and maybe to leave; it is withdrawn when it is served. */
void fake_ask(uint64_t count, bool leave);

/* What the job told to be served, by which epoch. */
uint64_t fake_served(uint64_t *epoch);

/* The command line that is recorded, as command_format() shows it; "" for none. */
const char *fake_recorded(void);

/* Name, incarnation and force of the last open. */
const char *fake_job(void);
uint32_t fake_incarnation(void);
bool fake_forced(void);

#endif
