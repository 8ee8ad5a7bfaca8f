/* SPDX-License-Identifier: BSD-3-Clause */
/* node.c - which ranks of a job are on one node. */
#include "ckpt/node.h"

int node_find(MPI_Comm comm, struct node *node)
{
	MPI_Comm all;
	int rc = PMPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &all);

	if (rc != MPI_SUCCESS)
		return rc;
	rc = PMPI_Comm_rank(all, &node->rank);
	if (rc == MPI_SUCCESS)
		rc = PMPI_Comm_size(all, &node->ranks);
	PMPI_Comm_free(&all);
	return rc;
}
