/* SPDX-License-Identifier: BSD-3-Clause */
/* ckpt_ranks.c - what the ranks of a job agree on, with a fake client in each; TAP from rank 0. */
#include <errno.h>
#include <mpi.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "ckpt/epoch.h"
#include "ckpt/plugin.h"
#include "ckpt/type.h"
#include "common/set.h"
#include "fake_client.h"
#include "holdfast.h"

static int rank, ranks;
static int value;

/* What failed first in this case, on this rank. */
static char why[256];

#define EXPECT(condition)                                                                          \
	do {                                                                                       \
		if (!(condition) && !*why)                                                         \
			snprintf(why, sizeof(why), "%s:%d: %s", __func__, __LINE__, #condition);   \
	} while (0)

#define EXPECT_MESSAGE(job, part) EXPECT(strstr(hf_message(job), part))

static hf_job_t attach(void)
{
	hf_job_t job = NULL;

	EXPECT(hf_attach(MPI_COMM_WORLD, "ranks", &job) == HF_OK);
	if (!job)
		MPI_Abort(MPI_COMM_WORLD, 2);
	EXPECT(hf_protect(job, "value", &value, 1, MPI_INT) == HF_OK);
	return job;
}

/* The code that rank `r` alone has trouble with, and the others HF_EPEER. */
static int code_at(int r, int code)
{
	return rank == r ? code : HF_EPEER;
}

static void newest_epoch_is_held_by_all(void)
{
	const struct {
		uint64_t list[3][4];
		size_t count[3];
		uint64_t bound, newest;
	} cases[] = {
		{{{0}, {0}, {0}}, {0, 0, 0}, UINT64_MAX, 0},
		{{{5, 6}, {5, 6}, {5, 6}}, {2, 2, 2}, UINT64_MAX, 6},
		{{{5, 6}, {5}, {5, 6}}, {2, 1, 2}, UINT64_MAX, 5},
		{{{5, 6}, {5, 7}, {5, 6}}, {2, 2, 2}, UINT64_MAX, 5},
		{{{1, 3, 5, 7}, {2, 3, 6, 8}, {3, 4, 9}}, {4, 4, 3}, UINT64_MAX, 3},
		{{{1, 3, 5, 7}, {1, 4, 6, 8}, {1, 2, 9}}, {4, 4, 3}, UINT64_MAX, 1},
		{{{5}, {6}, {7}}, {1, 1, 1}, UINT64_MAX, 0},
		{{{5, 6}, {0}, {5, 6}}, {2, 0, 2}, UINT64_MAX, 0},
		{{{5, 6}, {5, 6}, {5, 6}}, {2, 2, 2}, 5, 5},
		{{{5, 6}, {5, 6}, {5, 6}}, {2, 2, 2}, 4, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t newest = 99;
		int r = rank % 3;

		EXPECT(!epoch_newest(MPI_COMM_WORLD, cases[i].list[r], cases[i].count[r], cases[i].bound,
				     &newest, NULL));
		if (newest != cases[i].newest && !*why)
			snprintf(why, sizeof(why), "case %zu gives %llu", i, (unsigned long long)newest);
	}
}

static void types_are_mapped(void)
{
	const struct {
		MPI_Datatype type;
		uint32_t element, bytes;
	} good[] = {
		{MPI_BYTE, ELEMENT_BYTE, 1},
		{MPI_CHAR, ELEMENT_CHAR, 1},
		{MPI_INT, ELEMENT_INT32, 4},
		{MPI_LONG, ELEMENT_INT64, 8},
		{MPI_UNSIGNED, ELEMENT_UINT32, 4},
		{MPI_UINT16_T, ELEMENT_UINT16, 2},
		{MPI_FLOAT, ELEMENT_FLOAT, 4},
		{MPI_DOUBLE, ELEMENT_DOUBLE, 8},
		{MPI_LONG_DOUBLE, ELEMENT_LONG_DOUBLE, sizeof(long double)},
		{MPI_C_FLOAT_COMPLEX, ELEMENT_COMPLEX_FLOAT, 8},
		{MPI_C_DOUBLE_COMPLEX, ELEMENT_COMPLEX_DOUBLE, 16},
		{MPI_C_BOOL, ELEMENT_BOOL, 1},
		{MPI_INTEGER, ELEMENT_INT32, 4},
		{MPI_INTEGER8, ELEMENT_INT64, 8},
		{MPI_REAL, ELEMENT_FLOAT, 4},
		{MPI_DOUBLE_PRECISION, ELEMENT_DOUBLE, 8},
		{MPI_DOUBLE_COMPLEX, ELEMENT_COMPLEX_DOUBLE, 16},
		{MPI_LOGICAL, ELEMENT_LOGICAL, 4},
		{MPI_CHARACTER, ELEMENT_CHAR, 1},
	};
	const MPI_Datatype bad[] = {MPI_DOUBLE_INT, MPI_2INT, MPI_DATATYPE_NULL,
				    MPI_C_LONG_DOUBLE_COMPLEX};
	MPI_Datatype three, copy, vector, nested;
	struct element element;
	struct error err;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		EXPECT(!element_of_type(good[i].type, &element, &err));
		if ((element.type != good[i].element || element.bytes != good[i].bytes ||
		     element.count != 1) &&
		    !*why)
			snprintf(why, sizeof(why), "type %zu is %s of %u bytes", i,
				 element_name(element.type), element.bytes);
		EXPECT(element_datatype(element.type, element.bytes) != MPI_DATATYPE_NULL);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		EXPECT(element_of_type(bad[i], &element, &err) == HF_EINVAL && *err.text);

	MPI_Type_contiguous(3, MPI_DOUBLE, &three);
	MPI_Type_dup(three, &copy);
	MPI_Type_contiguous(5, copy, &nested);
	MPI_Type_vector(2, 1, 4, MPI_DOUBLE, &vector);
	EXPECT(!element_of_type(nested, &element, &err));
	EXPECT(element.type == ELEMENT_DOUBLE && element.bytes == 8 && element.count == 15);
	EXPECT(element_of_type(vector, &element, &err) == HF_EINVAL);
	MPI_Type_free(&three);
	MPI_Type_free(&copy);
	MPI_Type_free(&nested);
	MPI_Type_free(&vector);
	MPI_Type_create_f90_real(12, 100, &three);
	EXPECT(!element_of_type(three, &element, &err) && element.type == ELEMENT_DOUBLE);
}

static void segments_are_checked(void)
{
	char name[HF_SEGMENT_NAME_MAX + 2];
	hf_job_t job = attach();
	MPI_Datatype vector;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	EXPECT(hf_protect(job, name, &value, 1, MPI_INT) == HF_EINVAL);
	name[HF_SEGMENT_NAME_MAX] = '\0';
	EXPECT(hf_protect(job, name, &value, 1, MPI_INT) == HF_OK);
	EXPECT(hf_protect(job, "", &value, 1, MPI_INT) == HF_EINVAL);
	EXPECT(hf_protect(job, NULL, &value, 1, MPI_INT) == HF_EINVAL);
	EXPECT(hf_protect(job, "a\nb", &value, 1, MPI_INT) == HF_EINVAL);
	EXPECT(hf_protect(job, "null", NULL, 1, MPI_INT) == HF_EINVAL);
	EXPECT_MESSAGE(job, "null");
	EXPECT(hf_protect(job, "none", NULL, 0, MPI_INT) == HF_OK);
	EXPECT(hf_protect(job, "huge", &value, SIZE_MAX / 4, MPI_DOUBLE) == HF_EINVAL);
	EXPECT(hf_protect(job, "huge", &value, SIZE_MAX, MPI_BYTE) == HF_EINVAL);
	MPI_Type_vector(2, 1, 4, MPI_DOUBLE, &vector);
	EXPECT(hf_protect(job, "holes", &value, 1, vector) == HF_EINVAL);
	EXPECT_MESSAGE(job, "holes");
	MPI_Type_free(&vector);
	EXPECT(hf_protect(NULL, "x", &value, 1, MPI_INT) == HF_EINVAL);
	EXPECT(hf_unprotect(job, "none") == HF_OK);
	EXPECT(hf_unprotect(job, "none") == HF_EINVAL);
	for (int i = 2; i < HF_SEGMENTS_MAX; i++) {
		snprintf(name, sizeof(name), "many-%d", i);
		EXPECT(hf_protect(job, name, NULL, 0, MPI_INT) == HF_OK);
	}
	EXPECT(hf_protect(job, "one more", NULL, 0, MPI_INT) == HF_ENOSPC);
	EXPECT(hf_protect(job, "value", NULL, 0, MPI_INT) == HF_OK);
	EXPECT(hf_detach(job, 0) == HF_OK);
}

static void checkpoint_and_restore(void)
{
	hf_job_t job = attach();
	uint64_t epoch = 77, list[4];
	MPI_Datatype type;
	size_t count, n = 4;
	int got = 0;

	EXPECT(hf_restore(job, &epoch) == HF_ENOCKPT && epoch == 77);
	EXPECT(hf_stored(job, "value", &count, &type) == HF_ENOCKPT);
	for (value = 100 + rank; value < 400; value += 100)
		EXPECT(hf_checkpoint(job, HF_AUTO) == HF_OK);
	EXPECT(hf_epochs(job, list, &n) == HF_OK && n == 2 && list[0] == 2 && list[1] == 3);
	n = 1;
	EXPECT(hf_epochs(job, list, &n) == HF_OK && n == 2 && list[0] == 3);
	EXPECT(hf_detach(job, 0) == HF_OK && !fake_finished());

	job = attach();
	EXPECT(hf_stored(job, "value", &count, &type) == HF_OK && count == 1 && type == MPI_INT32_T);
	EXPECT(hf_stored(job, "other", &count, &type) == HF_ESEGMENT);
	EXPECT(hf_restore(job, &epoch) == HF_OK && epoch == 3 && value == 300 + rank);
	EXPECT(hf_restore_epoch(job, 2) == HF_OK && value == 200 + rank);
	EXPECT(hf_restore_epoch(job, 1) == HF_ENOCKPT && hf_restore_epoch(job, 4) == HF_ENOCKPT);
	EXPECT(hf_restore_epoch(job, 0) == HF_EINVAL);
	EXPECT(hf_read(job, rank, 0, "value", 0, &got, sizeof(got)) == HF_OK && got == 300 + rank);
	EXPECT(hf_read(job, rank, 2, "value", 0, &got, sizeof(got)) == HF_OK && got == 200 + rank);
	EXPECT(hf_read(job, ranks, 0, "value", 0, &got, 4) == HF_EINVAL);
	EXPECT(hf_read(job, -1, 0, "value", 0, &got, 4) == HF_EINVAL);
	EXPECT(hf_read(job, rank, 9, "value", 0, &got, 4) == HF_ENOCKPT);
	EXPECT(hf_read(job, rank, 0, "value", 1, &got, 4) == HF_ESEGMENT);
	EXPECT(hf_checkpoint(job, HF_INCREMENT) == HF_EINVAL);
	EXPECT(hf_hint(job, "value", HF_HINT_VOLATILE) == HF_OK && hf_hint(job, "value", 3) == HF_EINVAL);
	EXPECT(hf_hint(job, "no such", HF_HINT_NONE) == HF_EINVAL);
	EXPECT(hf_checkpoint(job, 17) == HF_EINVAL);
	EXPECT(hf_detach(job, 1) == HF_OK && fake_finished());
	EXPECT(hf_detach(NULL, 1) == HF_OK);
}

static void attach_fails_on_all(void)
{
	hf_job_t job = (hf_job_t)&value;

	if (rank == 1)
		fake_fail(FAKE_OPEN, -EBUSY);
	EXPECT(hf_attach(MPI_COMM_WORLD, "ranks", &job) == code_at(1, HF_EBUSY));
	EXPECT(job == (hf_job_t)&value);
	EXPECT_MESSAGE(NULL, "fake trouble");
	if (rank != 1)
		EXPECT_MESSAGE(NULL, "rank 1");
	EXPECT(fake_count(FAKE_CLOSE) == (rank != 1));
	EXPECT(!fake_finished());
	EXPECT(hf_attach(MPI_COMM_WORLD, "a/b", &job) == code_at(0, HF_EINVAL));
	EXPECT(hf_attach(MPI_COMM_NULL, "a", &job) == HF_EINVAL);
	EXPECT(hf_attach(MPI_COMM_WORLD, "a", NULL) == HF_EINVAL);
	if (rank == 2)
		setenv("HOLDFAST_TIMEOUT", "soon", 1);
	EXPECT(hf_attach(MPI_COMM_WORLD, "a", &job) == code_at(2, HF_ECONFIG));
	EXPECT_MESSAGE(NULL, "HOLDFAST_TIMEOUT");
	unsetenv("HOLDFAST_TIMEOUT");
}

/* No node-local server where others have one named: their checkpoints would never meet. */
static void server_is_named_by_all_or_none(void)
{
	char named[64];
	hf_job_t job;

	snprintf(named, sizeof(named), "%s", getenv("HOLDFAST_SERVER"));
	if (rank == 1)
		unsetenv("HOLDFAST_SERVER");
	EXPECT(hf_attach(MPI_COMM_WORLD, "ranks", &job) == code_at(1, HF_ECONFIG));
	EXPECT_MESSAGE(NULL, "rank 1 has no server named");
	EXPECT_MESSAGE(NULL, "-x HOLDFAST_SERVER");
	setenv("HOLDFAST_SERVER", named, 1);
	job = attach();
	EXPECT(hf_detach(job, 0) == HF_OK);
}

static void codes_of_the_client_are_kept(void)
{
	const struct {
		int client, code;
	} codes[] = {
		{-ENXIO, HF_ESERVER}, {-EACCES, HF_EAUTH}, {-EPROTO, HF_EPROTO},
		{-ERANGE, HF_ERANKS}, {-EMEDIUMTYPE, HF_EMODE}, {-ENOSPC, HF_ENOSPC},
		{-ETIMEDOUT, HF_ETIMEDOUT}, {-ENOMEM, HF_ENOMEM}, {-EIO, HF_EIO}, {-EINVAL, HF_ECONFIG},
		{-ECONNRESET, HF_ESERVER}, {-ECONNREFUSED, HF_ESERVER}, {-EPIPE, HF_ESERVER}, {-ENETRESET, HF_EIO},
	};
	hf_job_t job;

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		fake_fail(FAKE_OPEN, codes[i].client);
		EXPECT(hf_attach(MPI_COMM_WORLD, "ranks", &job) == codes[i].code);
	}
}

static void failed_checkpoint_keeps_the_last(void)
{
	hf_job_t job = attach();
	uint64_t epoch;

	value = 1;
	EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK);
	value = 2;
	if (rank == 1)
		fake_fail(FAKE_PUT, -ENOSPC);
	EXPECT(hf_checkpoint(job, HF_FULL) == code_at(1, HF_ENOSPC));
	EXPECT_MESSAGE(job, "fake trouble");
	EXPECT(value == 2);
	value = 3;
	EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK && fake_kept() == 1);
	value = 4;
	if (rank == 2)
		fake_fail(FAKE_PUT, -EIO);
	EXPECT(hf_checkpoint(job, HF_FULL) == code_at(2, HF_EIO));
	EXPECT(hf_restore(job, &epoch) == HF_OK && epoch == 3 && value == 3);
	EXPECT(hf_detach(job, 0) == HF_OK);
}

static void lost_reply_is_found_again(void)
{
	hf_job_t job = attach();
	uint64_t epoch;

	value = 1;
	EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK);
	value = 2;
	if (rank == 1)
		fake_lose_reply();
	EXPECT(hf_checkpoint(job, HF_FULL) == code_at(1, HF_ESERVER));
	value = 3;
	/* All ranks hold epoch 2 by now: it must be kept, and may be restored. */
	EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK && fake_kept() == 2);
	if (rank == 1)
		fake_lose_reply();
	value = 4;
	EXPECT(hf_checkpoint(job, HF_FULL) == code_at(1, HF_ESERVER));
	value = 5;
	EXPECT(hf_restore(job, &epoch) == HF_OK && epoch == 4 && value == 4);
	EXPECT(hf_detach(job, 0) == HF_OK);
}

static void refresh_that_fails_fails_the_checkpoint(void)
{
	hf_job_t job = attach();

	if (rank == 1) {
		fake_fail(FAKE_PUT, -ENXIO);
		fake_fail(FAKE_REFRESH, -ENXIO);
	}
	EXPECT(hf_checkpoint(job, HF_FULL) == code_at(1, HF_ESERVER));
	EXPECT(hf_checkpoint(job, HF_FULL) == code_at(1, HF_ESERVER));
	EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK);
	EXPECT(hf_detach(job, 0) == HF_OK);
}

static void damage_falls_back_on_all(void)
{
	hf_job_t job = attach();
	uint64_t epoch = 0, list[4];
	size_t n = 4, count;

	for (value = 1; value <= 7; value++)
		EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK);
	if (rank == 1)
		fake_damage(7);
	value = 0;
	EXPECT(hf_restore(job, &epoch) == HF_OK && epoch == 6 && value == 6);
	EXPECT(hf_stored(job, "value", &count, NULL) == HF_OK);
	EXPECT(hf_epochs(job, list, &n) == HF_OK && n == 1 && list[0] == 6);
	/* What was good to restore is what a later checkpoint keeps. */
	value = 8;
	EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK && fake_kept() == 6);
	n = 4;
	EXPECT(hf_epochs(job, list, &n) == HF_OK && n == 2 && list[0] == 6 && list[1] == 8);
	EXPECT(hf_restore_epoch(job, 8) == HF_OK);
	if (rank == 2)
		fake_damage(6);
	EXPECT(hf_restore_epoch(job, 6) == HF_EDAMAGED);
	EXPECT_MESSAGE(job, "rank 2");
	if (rank == 0)
		fake_damage(8);
	EXPECT(hf_restore(job, &epoch) == HF_EDAMAGED);
	EXPECT(hf_restore(job, &epoch) == HF_EDAMAGED);
	EXPECT(hf_stored(job, "value", &count, NULL) == HF_EDAMAGED);
	EXPECT(hf_detach(job, 0) == HF_OK);
}

static void failed_checkpoint_keeps_what_was_fallen_back_to(void)
{
	hf_job_t job = attach();
	uint64_t epoch = 0;

	for (value = 1; value <= 2; value++)
		EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK);
	if (rank == 1)
		fake_damage(2);
	EXPECT(hf_restore(job, &epoch) == HF_OK && epoch == 1);
	if (rank == 2)
		fake_fail(FAKE_PUT, -EIO);
	EXPECT(hf_checkpoint(job, HF_FULL) == code_at(2, HF_EIO));
	EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK && fake_kept() == 1);
	EXPECT(hf_detach(job, 0) == HF_OK);
}

static void damaged_layout_falls_back_at_attach(void)
{
	hf_job_t job = attach();
	uint64_t epoch = 0;

	for (value = 1; value <= 2; value++)
		EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK);
	EXPECT(hf_detach(job, 0) == HF_OK);
	if (rank == 2)
		fake_fail(FAKE_LAYOUT, -EILSEQ);
	job = attach();
	EXPECT(hf_restore(job, &epoch) == HF_OK && epoch == 1 && value == 1);
	EXPECT(hf_detach(job, 0) == HF_OK);
	if (rank == 2)
		fake_fail(FAKE_LAYOUT, -ENXIO);
	EXPECT(hf_attach(MPI_COMM_WORLD, "ranks", &job) == code_at(2, HF_ESERVER));

	/* Where nothing is left, it is the restore that says so. */
	fake_drop(2);
	if (rank == 2)
		fake_fail(FAKE_LAYOUT, -EILSEQ);
	job = attach();
	EXPECT(hf_restore(job, &epoch) == HF_EDAMAGED);
	EXPECT(hf_detach(job, 0) == HF_OK);
}

static void unreachable_server_is_no_missing_checkpoint(void)
{
	hf_job_t job = attach();
	uint64_t epoch = 0;

	value = 1;
	EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK);
	if (rank == 1)
		fake_fail(FAKE_GET, -ENXIO);
	else
		fake_fail(FAKE_GET, -EILSEQ); /* trouble that is not damage comes first */
	EXPECT(hf_restore(job, &epoch) == code_at(1, HF_ESERVER));
	EXPECT(hf_restore(job, &epoch) == HF_OK && epoch == 1);
	/* A set that vanished is damage, not the absence of any. */
	if (rank == 0)
		fake_drop(1);
	EXPECT(hf_restore(job, &epoch) == HF_EDAMAGED);
	EXPECT(hf_detach(job, 0) == HF_OK);
}

static void torn_first_epoch_is_passed_over(void)
{
	uint64_t epoch = 0;
	hf_job_t job;

	if (rank != 1)
		fake_add(1);
	job = attach();
	EXPECT(hf_restore(job, &epoch) == HF_ENOCKPT);
	EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK && fake_kept() == 0);
	EXPECT(hf_restore(job, &epoch) == HF_OK && epoch == 2);
	EXPECT(hf_detach(job, 0) == HF_OK);
}

static void torn_epoch_is_not_restored(void)
{
	uint64_t epoch = 0;
	hf_job_t job = attach();

	value = 5;
	for (int i = 0; i < 5; i++)
		EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK);
	EXPECT(hf_detach(job, 0) == HF_OK);
	if (rank == 0)
		fake_add(6);
	job = attach();
	EXPECT(hf_restore(job, &epoch) == HF_OK && epoch == 5);
	EXPECT(hf_read(job, rank, 6, "value", 0, &value, 4) == HF_ENOCKPT);
	EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK && fake_kept() == 5);
	EXPECT(hf_restore(job, &epoch) == HF_OK && epoch == 7);
	EXPECT(hf_detach(job, 0) == HF_OK);
}

static void segment_that_differs_stops_before_reading(void)
{
	hf_job_t job = attach();
	double other = 2.5;
	unsigned gets;

	value = 1;
	EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK);
	value = 9;
	gets = fake_count(FAKE_GET);
	if (rank == 1)
		EXPECT(hf_protect(job, "other", &other, 1, MPI_DOUBLE) == HF_OK);
	EXPECT(hf_restore(job, NULL) == code_at(1, HF_ESEGMENT));
	EXPECT_MESSAGE(job, "other");
	if (rank == 1) {
		EXPECT(hf_unprotect(job, "other") == HF_OK);
		EXPECT(hf_protect(job, "value", &value, 1, MPI_FLOAT) == HF_OK);
	}
	EXPECT(hf_restore(job, NULL) == code_at(1, HF_ESEGMENT));
	EXPECT_MESSAGE(job, "float");
	if (rank == 1)
		EXPECT(hf_protect(job, "value", &value, 0, MPI_INT) == HF_OK);
	EXPECT(hf_restore(job, NULL) == code_at(1, HF_ESEGMENT));
	EXPECT(fake_count(FAKE_GET) == gets && value == 9);
	/* What is stored and not protected is left alone. */
	EXPECT(hf_unprotect(job, "value") == HF_OK);
	EXPECT(hf_restore(job, NULL) == HF_OK && value == 9);
	EXPECT(hf_detach(job, 0) == HF_OK);
}

/* A checkpoint that is under way until fake_hold(false). */
static void start_held(hf_job_t job)
{
	fake_hold(true);
	EXPECT(hf_checkpoint_start(job, HF_FULL) == HF_OK);
}

static void asynchronous_checkpoint_is_of_its_start(void)
{
	hf_job_t job = attach();
	int complete = -1, other = 0;
	uint64_t epoch = 0;

	EXPECT(hf_checkpoint_test(job, &complete) == HF_OK && complete == 1);
	EXPECT(hf_checkpoint_wait(job) == HF_OK);
	value = 1;
	start_held(job);
	value = 2;
	EXPECT(hf_checkpoint_test(job, &complete) == HF_OK && complete == 0);
	/* What is protected now, and how, is the next one's. */
	EXPECT(hf_protect(job, "other", &other, 1, MPI_INT) == HF_OK);
	EXPECT(hf_unprotect(job, "value") == HF_OK);
	EXPECT(hf_read(job, rank, 1, "value", 0, &other, 4) == HF_ENOCKPT);
	fake_hold(false);
	EXPECT(hf_checkpoint_wait(job) == HF_OK && fake_count(FAKE_PUT) == 1);
	EXPECT(hf_checkpoint_test(job, &complete) == HF_OK && complete == 1);
	EXPECT(hf_unprotect(job, "other") == HF_OK);
	EXPECT(hf_protect(job, "value", &value, 1, MPI_INT) == HF_OK);
	EXPECT(hf_restore(job, &epoch) == HF_OK && epoch == 1 && value == 1);
	EXPECT(hf_detach(job, 0) == HF_OK);
}

static void asynchronous_checkpoint_fails_on_all(void)
{
	hf_job_t job = attach();
	int complete = -1;
	uint64_t epoch = 0;

	value = 1;
	EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK);
	value = 2;
	if (rank == 1)
		fake_fail(FAKE_PUT, -EIO);
	start_held(job);
	fake_hold(false);
	while (!hf_checkpoint_test(job, &complete) && !complete)
		;
	EXPECT(hf_checkpoint_test(job, &complete) == (rank == 1 ? HF_EIO : HF_OK) && complete == 1);
	EXPECT(hf_checkpoint_wait(job) == code_at(1, HF_EIO));
	EXPECT_MESSAGE(job, rank == 1 ? "fake" : "rank 1");
	EXPECT(hf_checkpoint_wait(job) == HF_OK); /* it has been told */
	EXPECT(hf_restore(job, &epoch) == HF_OK && epoch == 1 && value == 1);
	EXPECT(hf_checkpoint_start(job, HF_FULL) == HF_OK && hf_checkpoint_wait(job) == HF_OK && fake_kept() == 1);
	EXPECT(hf_restore(job, &epoch) == HF_OK && epoch == 3);
	EXPECT(hf_detach(job, 0) == HF_OK);
}

/* One rank cannot begin: the others' sets, that were begun, are of no epoch. */
static void asynchronous_checkpoint_starts_on_all_or_none(void)
{
	hf_job_t job = attach();
	uint64_t epoch = 0;

	EXPECT(hf_checkpoint_start(job, rank == 2 ? 77 : HF_FULL) == code_at(2, HF_EINVAL));
	EXPECT(hf_checkpoint_wait(job) == HF_OK);
	EXPECT(hf_restore(job, &epoch) == HF_ENOCKPT);
	value = 3;
	EXPECT(hf_checkpoint_start(job, HF_AUTO) == HF_OK);
	EXPECT(hf_checkpoint_wait(job) == HF_OK);
	EXPECT(hf_restore(job, &epoch) == HF_OK && epoch == 2 && value == 3);
	EXPECT(hf_detach(job, 0) == HF_OK);
}

static void any_collective_call_agrees_on_the_end(void)
{
	uint64_t epoch = 0, list[4];
	hf_job_t job = attach();
	size_t n = 4;
	int due;

	value = 1;
	EXPECT(hf_checkpoint_start(job, HF_FULL) == HF_OK);
	EXPECT(hf_epochs(job, list, &n) == HF_OK && n == 1 && list[0] == 1);
	EXPECT(hf_checkpoint_start(job, HF_FULL) == HF_OK);
	EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK && fake_kept() == 2);
	value = 4;
	EXPECT(hf_checkpoint_start(job, HF_FULL) == HF_OK);
	EXPECT(hf_restore(job, &epoch) == HF_OK && epoch == 4 && value == 4);
	EXPECT(hf_checkpoint_start(job, HF_FULL) == HF_OK);
	EXPECT(hf_restore_epoch(job, 5) == HF_OK);

	/* hf_due() does not wait for it; and the result is hf_checkpoint_wait()'s to tell. */
	if (rank == 0)
		fake_fail(FAKE_PUT, -EIO);
	fake_hold(rank == 2);
	EXPECT(hf_checkpoint_start(job, HF_FULL) == HF_OK);
	EXPECT(hf_due(job, &due) == HF_OK && !due);
	n = 4;
	fake_hold(false);
	EXPECT(hf_epochs(job, list, &n) == HF_OK && list[n - 1] == 5);
	EXPECT(hf_checkpoint_wait(job) == code_at(0, HF_EIO));
	EXPECT(hf_checkpoint_start(job, HF_FULL) == HF_OK);
	EXPECT(hf_checkpoint_start(job, HF_FULL) == HF_OK);
	EXPECT(hf_detach(job, 0) == HF_OK && fake_kept() == 7);
	job = attach();
	EXPECT(hf_restore(job, &epoch) == HF_OK && epoch == 8);
	EXPECT(hf_detach(job, 0) == HF_OK);
}

/* One that leaves by exit() must not touch what the parent's thread is at. */
static void child_has_none_under_way(void)
{
	hf_job_t job = attach();
	int complete = -1, status = -1;
	pid_t child;

	value = 1;
	start_held(job);
	child = fork();
	if (!child) {
		bool none = hf_checkpoint_test(job, &complete) == HF_OK && complete == 1 && hf_checkpoint_wait(job) == HF_OK;

		_exit(none ? 0 : 1);
	}
	EXPECT(waitpid(child, &status, 0) == child && status == 0);
	EXPECT(hf_checkpoint_test(job, &complete) == HF_OK && complete == 0);
	fake_hold(false);
	EXPECT(hf_checkpoint_wait(job) == HF_OK);
	EXPECT(hf_detach(job, 0) == HF_OK);
}

/* A wish is fulfilled by a checkpoint that starts after it, and the server is not asked over a client in use. */
static void wish_is_for_what_starts_after_it(void)
{
	hf_job_t job = attach();
	uint64_t epoch = 0;
	unsigned asked;
	int due = 0;

	start_held(job);
	asked = fake_count(FAKE_ASKED);
	if (!rank)
		raise(SIGUSR1);
	EXPECT(hf_due(job, &due) == HF_OK && due);
	EXPECT(fake_count(FAKE_ASKED) == asked);
	fake_hold(false);
	EXPECT(hf_checkpoint_wait(job) == HF_OK);
	EXPECT(hf_due(job, &due) == HF_OK && due);
	EXPECT(hf_checkpoint_start(job, HF_AUTO) == HF_OK);
	EXPECT(hf_checkpoint_wait(job) == HF_OK);
	EXPECT(hf_due(job, &due) == HF_OK && !due);
	EXPECT(hf_restore(job, &epoch) == HF_OK && epoch == 2);
	EXPECT(hf_detach(job, 0) == HF_OK);
}

static void fenced_is_for_good(void)
{
	hf_job_t job = attach();

	if (rank == 1)
		fake_fail(FAKE_PUT, -ESTALE);
	EXPECT(hf_checkpoint(job, HF_FULL) == code_at(1, HF_EFENCED));
	EXPECT(hf_checkpoint(job, HF_FULL) == code_at(1, HF_EFENCED));
	EXPECT(hf_checkpoint(job, HF_FULL) == code_at(1, HF_EFENCED));
	EXPECT_MESSAGE(job, "rank 1");
	EXPECT(hf_detach(job, 0) == HF_OK);

	/* So is it when a read finds out. */
	fake_reset();
	job = attach();
	EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK);
	if (rank == 1)
		fake_fail(FAKE_GET, -ESTALE);
	EXPECT(hf_restore(job, NULL) == code_at(1, HF_EFENCED));
	EXPECT(hf_checkpoint(job, HF_FULL) == code_at(1, HF_EFENCED));
	EXPECT(hf_detach(job, 0) == HF_OK);
}

/* Both epochs are damaged; and what was found so is not tried again when the lists are agreed anew. */
static void damaged_epochs_do_not_come_back(void)
{
	hf_job_t job = attach();
	unsigned gets;

	for (value = 1; value <= 2; value++)
		EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK);
	fake_damage(1);
	fake_damage(2);
	EXPECT(hf_restore(job, NULL) == HF_EDAMAGED);
	fake_fail(FAKE_PUT, -EEXIST);
	EXPECT(hf_checkpoint(job, HF_FULL) != HF_OK);
	gets = fake_count(FAKE_GET);
	EXPECT(hf_restore(job, NULL) == HF_EDAMAGED);
	EXPECT(fake_count(FAKE_GET) == gets);
	EXPECT(hf_detach(job, 0) == HF_OK);
}

/* As a launcher that starts the job for the n-th time after so many crashes in a row. Only rank 0 is asked. */
static void incarnation(const char *n, const char *crashes)
{
	setenv("HOLDFAST_LAUNCH", "00112233445566778899aabbccddeeff", 1);
	setenv("HOLDFAST_INCARNATION", n, 1);
	setenv("HOLDFAST_CRASHES", rank ? "100" : crashes, 1);
}

static void no_launcher(void)
{
	unsetenv("HOLDFAST_LAUNCH");
	unsetenv("HOLDFAST_INCARNATION");
	unsetenv("HOLDFAST_CRASHES");
}

/* One incarnation that restores `epoch`, whose value is the same, and gets no further. */
static void restores(uint64_t expected)
{
	hf_job_t job = attach();
	uint64_t epoch = 0;

	EXPECT(hf_restore(job, &epoch) == HF_OK && epoch == expected && value == (int)expected);
	EXPECT(hf_detach(job, 0) == HF_OK);
}

static void an_epoch_that_two_crashed_from_is_passed_over(void)
{
	uint64_t list[4];
	size_t n = 4;
	hf_job_t job = attach();

	value = 1;
	EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK);
	value = 2;
	EXPECT(hf_protect(job, "more", NULL, 0, MPI_INT) == HF_OK);
	EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK);
	EXPECT(hf_detach(job, 0) == HF_OK);
	incarnation("1", "1");
	restores(2);

	incarnation("2", "2");
	restores(1);
	incarnation("3", "3");
	job = attach();
	EXPECT(hf_stored(job, "more", NULL, NULL) == HF_ESEGMENT);
	EXPECT(hf_epochs(job, list, &n) == HF_OK && n == 1 && list[0] == 1);
	EXPECT(hf_restore(job, list) == HF_OK && list[0] == 1 && value == 1);
	/* Nor when the lists are agreed anew. */
	if (rank == 1)
		fake_fail(FAKE_PUT, -EIO);
	EXPECT(hf_checkpoint(job, HF_FULL) == code_at(1, HF_EIO));
	EXPECT(hf_restore(job, list) == HF_OK && list[0] == 1);
	EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK && fake_kept() == 1);
	EXPECT(hf_restore(job, list) == HF_OK && list[0] == 4);
	EXPECT(hf_detach(job, 0) == HF_OK);
	no_launcher();
}

static void who_asks_for_an_epoch_gets_it(void)
{
	hf_job_t job = attach();

	for (value = 1; value <= 2; value++)
		EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK);
	EXPECT(hf_detach(job, 0) == HF_OK);
	restores(2);
	incarnation("2", "2");
	job = attach();
	EXPECT(hf_restore_epoch(job, 2) == HF_OK && value == 2);
	EXPECT(hf_detach(job, 0) == HF_OK);
	no_launcher();
	restores(2);
	incarnation("4", "4");
	job = attach();
	EXPECT(hf_restore_epoch(job, 1) == HF_OK && value == 1);
	value = 3;
	EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK && fake_kept() == 2);
	EXPECT(hf_restore(job, NULL) == HF_OK && value == 3); /* it is not given up */
	EXPECT(hf_detach(job, 0) == HF_OK);
	/* A new launch is somebody's own decision. */
	incarnation("0", "9");
	restores(3);
	restores(3);
	incarnation("5", "9");
	restores(2);
	no_launcher();
	restores(3);
}

static void progress_ends_a_crash_loop(void)
{
	hf_job_t job = attach();

	for (value = 1; value <= 2; value++)
		EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK);
	EXPECT(hf_detach(job, 0) == HF_OK);
	restores(2);
	restores(2);
	incarnation("4", "4");
	job = attach();
	value = 3;
	EXPECT(hf_restore(job, NULL) == HF_OK && value == 1);
	value = 3;
	EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK && fake_kept() == 1);
	EXPECT(hf_detach(job, 0) == HF_OK);
	incarnation("5", "5");
	restores(3);
	incarnation("6", "6");
	restores(1);
	no_launcher();
}

static void what_others_broke_is_no_crash_loop(void)
{
	hf_job_t job = attach();

	for (value = 1; value <= 2; value++)
		EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK);
	EXPECT(hf_detach(job, 0) == HF_OK);
	for (int i = 0; i < 5; i++) {
		incarnation("7", i == 4 ? "1" : "0");
		restores(2);
	}
	no_launcher();
}

/* An incarnation that took some of the regions over never ran, and so did not crash. */
static void an_attachment_that_failed_is_no_crash(void)
{
	hf_job_t job = attach();

	for (value = 1; value <= 2; value++)
		EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK);
	EXPECT(hf_detach(job, 0) == HF_OK);
	incarnation("1", "1");
	if (rank == 1)
		fake_fail(FAKE_OPEN, -ENXIO);
	EXPECT(hf_attach(MPI_COMM_WORLD, "ranks", &job) == code_at(1, HF_ESERVER));
	incarnation("2", "2");
	restores(2);
	incarnation("3", "3");
	restores(1);
	no_launcher();
}

static void what_a_launcher_says_is_checked_on_all(void)
{
	hf_job_t job;

	incarnation("1", "many");
	EXPECT(hf_attach(MPI_COMM_WORLD, "ranks", &job) == code_at(0, HF_ECONFIG));
	EXPECT_MESSAGE(NULL, "HOLDFAST_CRASHES");
	no_launcher();
}

static void due_is_the_same_everywhere(void)
{
	hf_job_t job;
	int due = 7;

	if (!rank)
		setenv("HOLDFAST_INTERVAL", "0", 1);
	job = attach();
	EXPECT(hf_due(job, &due) == HF_OK && due == 0);
	EXPECT(hf_detach(job, 0) == HF_OK);
	/* Rank 0's clock counts. */
	setenv("HOLDFAST_INTERVAL", rank ? "1000" : "0.05", 1);
	job = attach();
	EXPECT(hf_due(job, &due) == HF_OK && due == 0);
	MPI_Barrier(MPI_COMM_WORLD);
	for (double end = MPI_Wtime() + 0.1; MPI_Wtime() < end;)
		;
	EXPECT(hf_due(job, &due) == HF_OK && due == 1);
	EXPECT(hf_checkpoint(job, HF_AUTO) == HF_OK);
	EXPECT(hf_due(job, &due) == HF_OK && due == 0);
	EXPECT(hf_due(job, NULL) == HF_EINVAL);
	EXPECT(hf_detach(job, 0) == HF_OK);
	/* Chosen: a minute before anything is known, and with this much trouble the least after. */
	setenv("HOLDFAST_INTERVAL", "auto", 1);
	setenv("HOLDFAST_MTBF", "0.001", 1);
	job = attach();
	for (double end = MPI_Wtime() + 1.1; MPI_Wtime() < end;)
		;
	EXPECT(hf_due(job, &due) == HF_OK && due == 0);
	EXPECT(hf_checkpoint(job, HF_AUTO) == HF_OK);
	for (double end = MPI_Wtime() + 1.1; MPI_Wtime() < end;)
		;
	MPI_Barrier(MPI_COMM_WORLD);
	EXPECT(hf_due(job, &due) == HF_OK && due == 1);
	EXPECT(hf_detach(job, 0) == HF_OK);
	unsetenv("HOLDFAST_MTBF");
	unsetenv("HOLDFAST_INTERVAL");
}

static int due(hf_job_t job)
{
	int answer = 7;

	EXPECT(hf_due(job, &answer) == HF_OK);
	return answer;
}

static void signal_on_one_rank_is_a_checkpoint_of_all(void)
{
	hf_job_t job = attach();

	EXPECT(!due(job));
	if (rank == 2)
		raise(SIGUSR1);
	EXPECT(due(job) == 1);
	EXPECT(due(job) == 1);
	EXPECT(hf_checkpoint(job, HF_AUTO) == HF_OK);
	EXPECT(!due(job));
	/* One that fails has had its chance. */
	if (rank == 1)
		raise(SIGUSR1);
	if (rank == 0)
		fake_fail(FAKE_PUT, -ENOSPC);
	EXPECT(due(job) == 1);
	EXPECT(hf_checkpoint(job, HF_AUTO) == code_at(0, HF_ENOSPC));
	EXPECT_MESSAGE(job, "fake trouble");
	EXPECT(!due(job));
	EXPECT(hf_detach(job, 0) == HF_OK);
}

static volatile sig_atomic_t own_signals;

static void own_handler(int number)
{
	(void)number;
	own_signals++;
}

static void (*handler_of(int number))(int)
{
	struct sigaction now;

	sigaction(number, NULL, &now);
	return now.sa_handler;
}

static void signals_are_the_applications_first(void)
{
	hf_job_t job, other;

	own_signals = 0;
	signal(SIGUSR1, own_handler);
	job = attach();
	EXPECT(handler_of(SIGUSR1) == own_handler && handler_of(SIGUSR2) != SIG_DFL);
	raise(SIGUSR1);
	EXPECT(own_signals == 1 && !due(job));
	/* What it puts in our place stays. */
	signal(SIGUSR2, own_handler);
	EXPECT(hf_detach(job, 0) == HF_OK);
	EXPECT(handler_of(SIGUSR1) == own_handler && handler_of(SIGUSR2) == own_handler);
	signal(SIGUSR1, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);

	/* Caught as long as any job wants it. */
	job = attach();
	other = attach();
	EXPECT(hf_detach(job, 0) == HF_OK && handler_of(SIGUSR1) != SIG_DFL);
	raise(SIGUSR1);
	EXPECT(due(other) == 1);
	EXPECT(hf_detach(other, 0) == HF_OK && handler_of(SIGUSR1) == SIG_DFL);
	/* What came before does not count. */
	job = attach();
	EXPECT(!due(job));
	EXPECT(hf_detach(job, 0) == HF_OK);

	setenv("HOLDFAST_CHECKPOINT_SIGNAL", "none", 1);
	setenv("HOLDFAST_LEAVE_SIGNAL", "SIGALRM", 1);
	job = attach();
	EXPECT(handler_of(SIGUSR1) == SIG_DFL && handler_of(SIGUSR2) == SIG_DFL);
	EXPECT(handler_of(SIGALRM) != SIG_DFL);
	EXPECT(hf_detach(job, 0) == HF_OK && handler_of(SIGALRM) == SIG_DFL);
	unsetenv("HOLDFAST_CHECKPOINT_SIGNAL");
	unsetenv("HOLDFAST_LEAVE_SIGNAL");
}

static void wish_is_asked_for_by_rank_0_and_told_when_served(void)
{
	uint64_t epoch = 99;
	hf_job_t job;
	double begin;
	unsigned most;

	fake_ask(17, false); /* the others' server is not asked */
	if (rank)
		fake_ask(99, true);
	job = attach();
	EXPECT(due(job) == 1);
	EXPECT(hf_checkpoint(job, HF_AUTO) == HF_OK);
	EXPECT(fake_served(&epoch) == (rank ? 0 : 17) && epoch == !rank);
	EXPECT(fake_count(FAKE_ASKED) == (rank ? 0 : 2));
	EXPECT(!due(job));
	begin = MPI_Wtime();
	for (int i = 0; i < 1000; i++)
		EXPECT(!due(job));
	most = 3 + (unsigned)(2 * (MPI_Wtime() - begin));
	EXPECT(fake_count(FAKE_ASKED) <= most);
	EXPECT(hf_detach(job, 0) == HF_OK);

	/* A failure is told as well; and without a server nothing is asked, which is no error. */
	fake_ask(18, false);
	job = attach();
	if (rank == 1)
		fake_fail(FAKE_PUT, -EIO);
	EXPECT(due(job) == 1);
	EXPECT(hf_checkpoint(job, HF_AUTO) == code_at(1, HF_EIO));
	EXPECT(rank || (fake_served(&epoch) == 18 && !epoch));
	EXPECT(hf_detach(job, 0) == HF_OK);
	fake_ask(19, false);
	job = attach();
	fake_fail(FAKE_ASKED, -ENXIO);
	EXPECT(!due(job));
	EXPECT(hf_detach(job, 0) == HF_OK);
}

static void chosen_epoch_is_restored_and_newer_ones_passed_over(void)
{
	uint64_t epoch = 0;
	hf_job_t job = attach();

	for (value = 1; value <= 2; value++)
		EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK);
	EXPECT(hf_detach(job, 0) == HF_OK);

	/* None that is not there; it is said before anything can be lost. */
	setenv("HOLDFAST_EPOCH", rank ? "0" : "9", 1); /* rank 0's counts */
	EXPECT(hf_attach(MPI_COMM_WORLD, "ranks", &job) == HF_ENOCKPT);
	EXPECT_MESSAGE(NULL, "no complete epoch 9");
	EXPECT_MESSAGE(NULL, "there are: 2, 1");
	setenv("HOLDFAST_EPOCH", rank ? "7" : "1", 1);
	job = attach();
	EXPECT(hf_restore(job, &epoch) == HF_OK && epoch == 1 && value == 1);
	/* A checkpoint that fails does not bring the newer one back. */
	if (rank == 2)
		fake_fail(FAKE_PUT, -EIO);
	EXPECT(hf_checkpoint(job, HF_FULL) == code_at(2, HF_EIO));
	EXPECT(hf_restore(job, &epoch) == HF_OK && epoch == 1);
	EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK && fake_kept() == 1);
	EXPECT(hf_restore(job, &epoch) == HF_OK && epoch == 4);
	EXPECT(hf_detach(job, 0) == HF_OK);

	/* The launcher's restarts go on from the newest. */
	setenv("HOLDFAST_INCARNATION", "1", 1);
	job = attach();
	EXPECT(hf_restore(job, &epoch) == HF_OK && epoch == 4);
	EXPECT(hf_detach(job, 0) == HF_OK);
	unsetenv("HOLDFAST_INCARNATION");

	/* Damage of the chosen one is not the newer one's turn. */
	job = attach();
	if (rank == 1)
		fake_damage(1);
	EXPECT(hf_restore(job, &epoch) == HF_EDAMAGED);
	EXPECT_MESSAGE(job, "epoch 1, which was chosen, is damaged");
	EXPECT(hf_detach(job, 0) == HF_OK);
	fake_reset();
	for (uint64_t i = 1; i <= 3; i++)
		fake_add(i);
	setenv("HOLDFAST_EPOCH", "2", 1);
	if (rank == 1)
		fake_fail(FAKE_LAYOUT, -EILSEQ);
	EXPECT(hf_attach(MPI_COMM_WORLD, "ranks", &job) == HF_OK);
	EXPECT(hf_restore(job, &epoch) == HF_OK && epoch == 1);
	fake_fail(FAKE_PUT, -EIO);
	EXPECT(hf_checkpoint(job, HF_FULL) == HF_EIO);
	EXPECT(hf_restore(job, &epoch) == HF_OK && epoch == 1);
	EXPECT(hf_detach(job, 0) == HF_OK);
	unsetenv("HOLDFAST_EPOCH");
}

static void command_line_is_recorded_where_a_launcher_gives_it(void)
{
	hf_job_t job = attach();

	EXPECT(!fake_count(FAKE_RECORD));
	EXPECT(hf_detach(job, 0) == HF_OK);
	setenv("HOLDFAST_COMMAND", "[\"mpirun\", \"-n\", \"3\", \"./my app\"]", 1);
	job = attach();
	EXPECT(!fake_count(FAKE_RECORD)); /* no directory */
	EXPECT(hf_detach(job, 0) == HF_OK);
	setenv("HOLDFAST_COMMAND_DIR", "/home/me", 1);
	job = attach();
	EXPECT(!strcmp(fake_recorded(), rank ? "" : "cd /home/me && mpirun -n 3 './my app'"));
	EXPECT(hf_detach(job, 0) == HF_OK);
	/* What fails here does no harm. */
	fake_fail(FAKE_RECORD, -EIO);
	job = attach();
	EXPECT(hf_checkpoint(job, HF_FULL) == HF_OK);
	EXPECT(hf_detach(job, 0) == HF_OK);
	/* Nobody will look for a job that was not named. */
	fake_reset();
	EXPECT(hf_attach(MPI_COMM_WORLD, NULL, &job) == HF_OK && !fake_count(FAKE_RECORD));
	EXPECT(hf_detach(job, 0) == HF_OK);

	setenv("HOLDFAST_COMMAND", "[\"mpirun\", 3]", 1);
	EXPECT(hf_attach(MPI_COMM_WORLD, "ranks", &job) == code_at(0, HF_ECONFIG));
	EXPECT_MESSAGE(NULL, "element 1 of HOLDFAST_COMMAND");
	unsetenv("HOLDFAST_COMMAND");
	unsetenv("HOLDFAST_COMMAND_DIR");
}

static void finished_needs_all_ranks(void)
{
	hf_job_t job = attach();

	EXPECT(hf_detach(job, rank != 2) == HF_OK && !fake_finished());
	job = attach();
	if (rank == 1)
		fake_fail(FAKE_CLOSE, -ENXIO);
	EXPECT(hf_detach(job, 1) == code_at(1, HF_ESERVER) && fake_finished());
	EXPECT_MESSAGE(NULL, "fake trouble");
}

static void name_is_the_same_everywhere(void)
{
	char first[JOB_NAME_BYTES];
	hf_job_t job;

	EXPECT(!hf_world());
	EXPECT(hf_attach(MPI_COMM_WORLD, NULL, &job) == HF_OK);
	snprintf(first, sizeof(first), "%s", fake_job());
	MPI_Bcast(first, (int)sizeof(first), MPI_BYTE, 0, MPI_COMM_WORLD);
	EXPECT(!strcmp(first, fake_job()));
	EXPECT(!strncmp(first, "mpirun-", 7) && strlen(first) == 7 + 16);
	EXPECT(hf_detach(job, 0) == HF_OK);

	setenv("HOLDFAST_LAUNCH", "00112233445566778899aabbccddeeff", 1);
	setenv("HOLDFAST_INCARNATION", "3", 1);
	setenv("HOLDFAST_TAKEOVER", "yes", 1);
	EXPECT(hf_plugin_attach() == HF_OK && hf_world());
	EXPECT(!strcmp(fake_job(), "mpirun-0011223344556677") && fake_incarnation() == 3);
	EXPECT(fake_forced());
	EXPECT(hf_protect(hf_world(), "value", &value, 1, MPI_INT) == HF_OK);
	EXPECT(hf_plugin_detach() == HF_OK && !hf_world() && fake_finished());
	unsetenv("HOLDFAST_TAKEOVER");

	setenv("SLURM_JOB_ID", "123", 1);
	EXPECT(hf_plugin_attach() == HF_OK && !strcmp(fake_job(), "slurm-123") && !fake_forced());
	EXPECT(hf_protect(hf_world(), "value", &value, 1, MPI_INT) == HF_OK);
	EXPECT(hf_plugin_detach() == HF_OK && fake_finished());
	setenv("HOLDFAST_JOB", "configured", 1);
	EXPECT(hf_plugin_attach() == HF_OK && !strcmp(fake_job(), "configured"));
	EXPECT(hf_option_override("job", "mca") == HF_OK);
	EXPECT(hf_attach(MPI_COMM_WORLD, NULL, &job) == HF_OK && !strcmp(fake_job(), "mca"));
	EXPECT(hf_detach(job, 0) == HF_OK);
	EXPECT(hf_option_override("job", NULL) == HF_OK);
	/* The application may detach the plug-in's job itself. */
	EXPECT(hf_detach(hf_world(), 1) == HF_OK && !hf_world() && fake_finished());
	EXPECT(hf_plugin_detach() == HF_OK);
	unsetenv("SLURM_JOB_ID");
	unsetenv("HOLDFAST_JOB");

	setenv("HOLDFAST_LAUNCH", "00", 1);
	EXPECT(hf_attach(MPI_COMM_WORLD, NULL, &job) == code_at(0, HF_ECONFIG));
	unsetenv("HOLDFAST_LAUNCH");
	setenv("HOLDFAST_INCARNATION", "x", 1);
	EXPECT(hf_attach(MPI_COMM_WORLD, NULL, &job) == code_at(0, HF_ECONFIG));
	unsetenv("HOLDFAST_INCARNATION");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} cases[] = {
#define CASE(name) {#name, name}
		CASE(newest_epoch_is_held_by_all),
		CASE(types_are_mapped),
		CASE(segments_are_checked),
		CASE(checkpoint_and_restore),
		CASE(attach_fails_on_all),
		CASE(server_is_named_by_all_or_none),
		CASE(codes_of_the_client_are_kept),
		CASE(failed_checkpoint_keeps_the_last),
		CASE(lost_reply_is_found_again),
		CASE(refresh_that_fails_fails_the_checkpoint),
		CASE(damage_falls_back_on_all),
		CASE(failed_checkpoint_keeps_what_was_fallen_back_to),
		CASE(damaged_epochs_do_not_come_back),
		CASE(damaged_layout_falls_back_at_attach),
		CASE(unreachable_server_is_no_missing_checkpoint),
		CASE(torn_first_epoch_is_passed_over),
		CASE(torn_epoch_is_not_restored),
		CASE(segment_that_differs_stops_before_reading),
		CASE(asynchronous_checkpoint_is_of_its_start),
		CASE(asynchronous_checkpoint_fails_on_all),
		CASE(asynchronous_checkpoint_starts_on_all_or_none),
		CASE(any_collective_call_agrees_on_the_end),
		CASE(child_has_none_under_way),
		CASE(wish_is_for_what_starts_after_it),
		CASE(fenced_is_for_good),
		CASE(an_epoch_that_two_crashed_from_is_passed_over),
		CASE(who_asks_for_an_epoch_gets_it),
		CASE(progress_ends_a_crash_loop),
		CASE(what_others_broke_is_no_crash_loop),
		CASE(an_attachment_that_failed_is_no_crash),
		CASE(what_a_launcher_says_is_checked_on_all),
		CASE(due_is_the_same_everywhere),
		CASE(signal_on_one_rank_is_a_checkpoint_of_all),
		CASE(signals_are_the_applications_first),
		CASE(wish_is_asked_for_by_rank_0_and_told_when_served),
		CASE(chosen_epoch_is_restored_and_newer_ones_passed_over),
		CASE(command_line_is_recorded_where_a_launcher_gives_it),
		CASE(finished_needs_all_ranks),
		CASE(name_is_the_same_everywhere),
	};
	const size_t count = sizeof(cases) / sizeof(cases[0]);
	int failures = 0;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &ranks);
	if (!rank)
		printf("1..%zu\n", count);
	for (size_t i = 0; i < count; i++) {
		int bad, any;

		fake_reset();
		*why = '\0';
		cases[i].run();
		bad = *why != '\0';
		if (bad)
			fprintf(stderr, "rank %d: %s (message: %s)\n", rank, why, hf_message(NULL));
		MPI_Allreduce(&bad, &any, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
		failures += any;
		if (!rank) {
			printf("%sok %zu - %s\n", any ? "not " : "", i + 1, cases[i].name);
			fflush(stdout);
		}
	}
	fake_reset();
	MPI_Finalize();
	return failures != 0;
}
