#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# mpirun of Open MPI 5.0 goes on when a node is lost or cannot be reached, as long as others have room.
# shellcheck disable=SC2154 # run.sh's
TIME_LIMIT=400
. "${0%/*}/nodes.sh"
. "${0%/*}/lib.sh"
. "${0%/*}/prte.sh"
prte_plan 27
ok "three nodes are there" nodes_up 3
ok "the computation works without Holdfast" stencil_expected
server=$nodes_address:0
head -c 32 /dev/urandom >"$run_dir/key" && chmod 600 "$run_dir/key"
ok "the server starts" start_server --auth psk --key-file "$run_dir/key"
job_options="$nodes_options --mca hook_holdfast_key_file $run_dir/key"

# stencil_on NAME [RANKS]
stencil_on()
{
	# shellcheck disable=SC2086,SC2154 # a list of words; lib.sh's
	relaunch_start "$1" "${2:-4}" "$stencil" $stencil_size --every 10 --delay-ms "$stencil_delay_ms"
	ok "$1: epochs get complete" wait_for 60 key_epoch_reached "$1" 3
}

key_epoch_reached()
{
	HOLDFAST_KEY_FILE=$run_dir/key epoch_reached "$@"
}

# goes_on NAME RESTARTS
goes_on()
{
	ok "$1: mpirun ends with success" job_wait
	is "$1: it restarted" "$(restarts "$1")" "$2"
	is "$1: the result is that of the undisturbed computation" "$(stencil_result "$1")" "$expected"
}

# Over TCP the survivors call MPI_Abort, which says nothing of the cause.
ok "a rank on another node is killed: mpirun ends with success" relaunch killed 6 "$mishap" kill 1 3
ok "it is told which" said killed "rank 3 on node2 was killed by signal 9"
is "all ranks were there in the end" "$(ranks_of killed 1)" 6
ok "ranks on all nodes are killed, twice: mpirun ends with success" relaunch several 6 "$mishap" several 2
is "each time is one restart" "$(restarts several)" 2
is "all ranks were there in the end" "$(ranks_of several 2)" 6

stencil_on lost
ok "node2 can be switched off" node_kill 2
goes_on lost 1
ok "lost: it is told" said lost "node node2 was lost"
ok "node2 is back" node_back 2

stencil_on cut
ok "node2 can be cut off" node_cut 2
goes_on cut 1
ok "node2 is back" node_back 2

job_placement=
stencil_on full 6
ok "a node of a job that needs all of them can be switched off" node_kill 3
ok "full: mpirun fails" fails job_wait
ok "full: it is told" said full "its ranks cannot be placed or started"
is "no process is left on any node" "$(node_pids)" ""
done_testing
