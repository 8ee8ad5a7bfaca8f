#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Whatever is killed, whenever, in mode incremental: as 0190. Chains are short, the log comes round often, and the server
# merges sets all the time.
TIME_LIMIT=$((120 + ${HOLDFAST_TEST_ROUNDS:-12} * 15))
. "${0%/*}/lib.sh"
. "${0%/*}/random-faults.sh"
plan $((faults_tests + 2))
program=particles
server_options='--merge-at 4 --keep 2'
more_options='--mca hook_holdfast_mode incremental'
particles=$(run_program particles)

# An epoch is made every tenth of a second or so; an increment is about a seventh of the state.
particles_start()
{
	particles_job=$1
	shift
	job_start "$particles_job" 4 "$@" "$particles" --cells 262144 --shower 4 --steps 300 --every 6 --delay-ms 20
}

computation_expected()
{
	particles_start undisturbed
	job_wait
	expected=$(grep '^particles: steps=' "$run_dir/undisturbed.out")
	[ -n "$expected" ]
}

# Some were seen, of each kind?
chains_seen=0
computation_start()
{
	[ "$("$pmuctl" -s "$server" show job 2>/dev/null | grep -c '^  |- epoch')" -eq 0 ] || chains_seen=$((chains_seen + 1))
	particles_start job "$rank_program"
}

faults_test
ok "chains of several increments were gone on from" test $chains_seen -ge 1
ok "sets were merged" grep -q 'are one set of' "$run_dir/server.log"
done_testing
