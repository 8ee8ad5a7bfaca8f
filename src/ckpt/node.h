/* SPDX-License-Identifier: BSD-3-Clause */
/* node.h - which ranks of a job are on one node. */
#ifndef HOLDFAST_CKPT_NODE_H
#define HOLDFAST_CKPT_NODE_H

#include <mpi.h>

struct node {
	int rank, ranks; /* of the job, on this node */
};

/* Collective on comm. Returns an MPI error code. */
int node_find(MPI_Comm comm, struct node *node);

#endif
