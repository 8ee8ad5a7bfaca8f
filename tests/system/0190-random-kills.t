#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Whatever is killed, whenever: no complete epoch is lost, no run starts from zero, every result is right.
TIME_LIMIT=$((120 + ${HOLDFAST_TEST_ROUNDS:-12} * 15))
server_local=yes
. "${0%/*}/lib.sh"
. "${0%/*}/random-faults.sh"
plan "$faults_tests"
program=stencil

computation_expected()
{
	stencil_expected
}

computation_start()
{
	pick ofi local # of the fabric, and of this node
	HOLDFAST_NET=$picked
	export HOLDFAST_NET
	stencil_start job "$rank_program"
}

faults_test
done_testing
