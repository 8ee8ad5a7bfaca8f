#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Ranks whose node is gone, without a word, have no session any more when the lease is over: the job can be run elsewhere.
# shellcheck disable=SC2154 # nodes.sh has them
. "${0%/*}/nodes.sh"
. "${0%/*}/lib.sh"
plan 9
mishap=$(run_program mishap) || bail "mishap has not been built"
nodes_up 1 || bail "the node cannot be made"
(umask 077 && head -c 32 /dev/urandom | base64 >"$run_dir/key")
HOLDFAST_KEY_FILE=$run_dir/key HOLDFAST_AUTH=psk
export HOLDFAST_KEY_FILE HOLDFAST_AUTH
server=$nodes_address:0

# All of it on node1. Its ranks sleep: nobody says anything.
silent_start()
{
	# shellcheck disable=SC2154 # lib.sh
	TMPDIR=$run_dir ip netns exec node1 mpirun.openmpi --tune "$tune" --mca hook_holdfast_server "$server" \
		--mca hook_holdfast_job silent --oversubscribe --bind-to none -n 2 "$mishap" sleeps \
		>"$run_dir/silent.out" 2>"$run_dir/silent.err" </dev/null &
	job_pid=$!
	run_jobs="$run_jobs $job_pid"
	wait_for 30 attached silent 2
}

ok "a server with a short lease" start_server --auth psk --key-file "$run_dir/key" --lease 4
ok "a job on a node" silent_start
sleep 6
ok "keeps its sessions without a word, beyond the lease" attached silent 2
job_as=second
ok "nobody else may run it" job_refused silent 2 "$mishap" none
ok "as it is running" said second "is running: rank"
node_cut 1
ok "its node is cut off: its sessions end" wait_for 30 attached silent 0
ok "for want of a sign of life" grep -q 'session .* of job silent rank 1 .* ends: Connection timed out' "$run_dir/server.log"
ok "and it can be run elsewhere" job silent 2 "$mishap" none
ok "the server stops without complaint" stop_server
done_testing
