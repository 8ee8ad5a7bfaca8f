/* SPDX-License-Identifier: BSD-3-Clause */
/* interval.c - how long to compute between two checkpoints. */
#include "ckpt/interval.h"

#include <math.h>

#define WEIGHT_OF_NEWEST 0.25
#define WORTH_TELLING	 1.25

void interval_learn(struct interval *interval, double cost_s)
{
	if (interval->known)
		interval->cost_s += WEIGHT_OF_NEWEST * (cost_s - interval->cost_s);
	else
		interval->cost_s = cost_s;
	interval->known = true;
}

double interval_mtbf(double configured_s, double since_launch_s, uint32_t restarts)
{
	double seen_s;

	if (!restarts || since_launch_s <= 0)
		return configured_s;
	seen_s = since_launch_s / restarts;
	return seen_s < configured_s ? seen_s : configured_s;
}

double interval_best(const struct interval *interval, double mtbf_s)
{
	double cost_s = interval->cost_s, best_s;

	if (!interval->known)
		return INTERVAL_FIRST_S;
	best_s = sqrt(2 * cost_s * mtbf_s) - cost_s;
	if (best_s < cost_s)
		best_s = cost_s;
	return best_s < INTERVAL_LEAST_S ? INTERVAL_LEAST_S : best_s;
}

bool interval_changed(struct interval *interval, double seconds)
{
	if (seconds < interval->told_s * WORTH_TELLING && seconds * WORTH_TELLING > interval->told_s)
		return false;
	interval->told_s = seconds;
	return true;
}
