/* SPDX-License-Identifier: BSD-3-Clause */
/* interval.c - when the next checkpoint is due, from what one costs and how often there are failures. */
#include "ckpt/interval.h"

#include "unit.h"

#define ck_about(got, expected) ck_assert_double_eq_tol(got, expected, 1e-9 * (expected) + 1e-12)

/* A struct that has learnt of one checkpoint. */
static struct interval cost(double seconds)
{
	struct interval interval = {.known = false};

	interval_learn(&interval, seconds);
	return interval;
}

START_TEST(the_first_checkpoint_is_due_after_a_minute)
{
	const struct interval nothing = {.known = false};

	ck_about(interval_best(&nothing, 86400), 60);
	ck_about(interval_best(&nothing, 1), 60);
}
END_TEST

START_TEST(best_is_first_order)
{
	struct interval interval = cost(50);

	ck_about(interval_best(&interval, 10000), 950); /* sqrt(2 * 50 * 10000) - 50 */
	interval = cost(2);
	ck_about(interval_best(&interval, 3600), 118);
	interval = cost(0.5);
	ck_about(interval_best(&interval, 86400), 293.438769134);
}
END_TEST

START_TEST(it_never_gets_shorter_than_a_checkpoint_or_a_second)
{
	struct interval interval = cost(100);

	ck_about(interval_best(&interval, 201), 100.499376558);
	ck_about(interval_best(&interval, 199), 100);
	ck_about(interval_best(&interval, 1), 100);
	interval = cost(0.001);
	ck_about(interval_best(&interval, 500), 1);
	ck_about(interval_best(&interval, 0.001), 1);
	interval = cost(0); /* on a coarse clock */
	ck_about(interval_best(&interval, 86400), 1);
}
END_TEST

START_TEST(the_cost_is_a_mean_that_forgets)
{
	struct interval interval = cost(8);

	ck_about(interval.cost_s, 8);
	interval_learn(&interval, 16);
	ck_about(interval.cost_s, 10);
	interval_learn(&interval, 2);
	ck_about(interval.cost_s, 8);
	for (unsigned i = 0; i < 100; i++)
		interval_learn(&interval, 1);
	ck_about(interval.cost_s, 1);
}
END_TEST

START_TEST(failures_that_are_seen_count_where_there_are_more_of_them)
{
	ck_about(interval_mtbf(86400, 1000, 0), 86400);
	ck_about(interval_mtbf(86400, 0, 3), 86400);
	ck_about(interval_mtbf(86400, 1000, 1), 1000);
	ck_about(interval_mtbf(86400, 1000, 4), 250);
	ck_about(interval_mtbf(86400, 1e6, 4), 86400);
}
END_TEST

START_TEST(only_what_differs_much_is_told)
{
	struct interval interval = cost(1);

	ck_assert(interval_changed(&interval, 100));
	ck_assert(!interval_changed(&interval, 100));
	ck_assert(!interval_changed(&interval, 124));
	ck_assert(!interval_changed(&interval, 81));
	ck_assert(interval_changed(&interval, 126));
	ck_assert(!interval_changed(&interval, 102));
	ck_assert(interval_changed(&interval, 100));
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("interval");

	unit_add(suite, "first", the_first_checkpoint_is_due_after_a_minute, 10);
	unit_add(suite, "best", best_is_first_order, 10);
	unit_add(suite, "least", it_never_gets_shorter_than_a_checkpoint_or_a_second, 10);
	unit_add(suite, "cost", the_cost_is_a_mean_that_forgets, 10);
	unit_add(suite, "mtbf", failures_that_are_seen_count_where_there_are_more_of_them, 10);
	unit_add(suite, "told", only_what_differs_much_is_told, 10);
	return suite;
}
