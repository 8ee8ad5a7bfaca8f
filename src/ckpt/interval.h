/* SPDX-License-Identifier: BSD-3-Clause */
/* interval.h - how long to compute between two checkpoints, where the user does not say. Arithmetic only. */
#ifndef HOLDFAST_INTERVAL_H
#define HOLDFAST_INTERVAL_H

#include <stdbool.h>
#include <stdint.h>

#define INTERVAL_FIRST_S 60.0 /* while no checkpoint has told what one costs */
#define INTERVAL_LEAST_S 1.0

struct interval {
	bool known;    /* cost_s is */
	double cost_s; /* of a checkpoint: the mean of all, each weighing a quarter less than its successor */
	double told_s; /* what interval_changed() was last given and found new; 0: nothing yet */
};

/* A checkpoint took so long. */
void interval_learn(struct interval *interval, double cost_s);

/*
 * The mean time between failures to reckon with: the configured one, or what was seen, where that is shorter.
 * So many restarts in so many seconds since the launch; 0 seconds: it is not known when that was.
 */
double interval_mtbf(double configured_s, double since_launch_s, uint32_t restarts);

/*
 * Seconds from the end of one checkpoint to the next, so that the least time is lost to checkpoints and to
 * failures: sqrt(2 C M) - C, with the cost C of a checkpoint and the mean time M between failures; not
 * less than C, nor INTERVAL_LEAST_S. INTERVAL_FIRST_S while C is not known.
 *
 * J. W. Young, A first order approximation to the optimum checkpoint interval, Communications of the ACM
 * 17 (1974), pages 530-531; J. T. Daly, A higher order estimate of the optimum checkpoint interval for
 * restart dumps, Future Generation Computer Systems 22 (2006), pages 303-312, of which this is the first
 * order.
 */
double interval_best(const struct interval *interval, double mtbf_s);

/* Whether that is so far from what was told before (a quarter, either way) that it is worth telling. */
bool interval_changed(struct interval *interval, double seconds);

#endif
