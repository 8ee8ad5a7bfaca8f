#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Three nodes: the loss of a rank, a daemon, a node or a link is survived by the same mpirun.
TIME_LIMIT=400
. "${0%/*}/nodes.sh"
. "${0%/*}/lib.sh"
[ -n "$(run_built mca_errmgr_holdfast.so)" ] || skip_all "this Open MPI has another launcher (0600-)"
plan 32
fail=$(run_program fail) || bail "tests/system/fail has not been built"
nodes_up 3 || bail "the nodes cannot be made"

# on_nodes NAME RANKS PROGRAM...: in the background; sets job_pid.
on_nodes()
{
	name=$1 ranks=$2
	shift 2
	# shellcheck disable=SC2086 # lists of words
	TMPDIR=$run_dir mpirun.openmpi --tune "$tune" $nodes_options $restarting ${more-} --bind-to none -n "$ranks" "$@" \
		>"$run_dir/$name.out" 2>"$run_dir/$name.err" </dev/null &
	job_pid=$!
	run_jobs="$run_jobs $job_pid"
}
off="--mca hook_holdfast_enable 0"

# ends: mpirun ends by itself; its exit status.
ends()
{
	wait_for "${1:-60}" gone "$job_pid" || { echo "mpirun hangs"; return 124; }
	job_wait
}
whole()
{
	on_nodes "$@"
	ends
}
where()
{
	sed -n "s/^incarnation $2: \(rank .*\)/\1/p" "$run_dir/$1.out" | sort | tr '\n' ';'
}

more=$off
ok "a rank on another node" whole remote 4 "$fail" kill@3 --where
ok "is told with its node" grep -q 'holdfast: rank 3 on node2 was killed by signal 9' "$run_dir/remote.err"
is "places stay as they were" "$(where remote 1)" "$(where remote 0)"
ok "again and again" whole places 6 "$fail" kill@5 kill@2,1 segv@0,2 exit3@4,3 --where
is "places stay as they were" "$(where places 4)" "$(where places 0)"
is "all of them" "$(where places 4 | tr ';' '\n' | grep -c rank)" 6

# ---- nodes ----

# strike NAME COMMAND...: once all ranks of incarnation 0 are there.
strike()
{
	on_nodes "$1" 4 "$fail" hang@0 --where
	wait_for 40 grep -q 'rank 3 on node2' "$run_dir/$1.out" || { echo "it did not start"; return 1; }
	shift
	"$@" || return 1
	ends 90
}
ok "a node that is lost" strike lost node_kill 2
ok "is told" grep -q 'holdfast: node node2 was lost: the job is started again' "$run_dir/lost.err"
is "its ranks come to the spare one" "$(where lost 1)" "rank 0 on node1;rank 1 on node1;rank 2 on node3;rank 3 on node3;"
ok "node2 is back" node_back 2
# pids_of NODE PROGRAM
pids_of()
{
	node_pids "$1" | xargs -n 1 ps -o pid=,comm= -p | awk -v name="$2" '$2 == name { print $1 }'
}
kill_daemon()
{
	kill -KILL "$(pids_of 2 orted)"
}
ok "a daemon that is killed" strike daemon kill_daemon
is "costs its node" "$(where daemon 1)" "rank 0 on node1;rank 1 on node1;rank 2 on node3;rank 3 on node3;"
ok "a link that is cut" strike cut node_cut 2
is "does as well" "$(where cut 1)" "rank 0 on node1;rank 1 on node1;rank 2 on node3;rank 3 on node3;"
ok "node2 is back" node_back 2
full()
{
	on_nodes full 6 "$fail" hang@0 --where
	wait_for 40 grep -q 'rank 5 on node3' "$run_dir/full.out" || return 1
	node_kill 3
	fails ends 90
}
ok "without a spare node mpirun ends with an error" full
ok "that says why" grep -q 'holdfast: .*have no room for it' "$run_dir/full.err"
ok "node3 is back" node_back 3
# Its daemon is stopped, and so kills no rank; its connection is as it was.
more="$off --mca errmgr_holdfast_end_timeout 5"
stuck()
{
	on_nodes stuck 4 "$fail" hang@0 --where
	wait_for 40 grep -q 'rank 3 on node2' "$run_dir/stuck.out" || return 1
	kill -STOP "$(pids_of 2 orted)"
	kill -KILL "$(pids_of 1 fail | head -n 1)"
	fails ends 90
}
ok "ranks that cannot be ended are not waited for" stuck
ok "which is said" grep -q 'the job is not started again: what is left of it does not end' "$run_dir/stuck.err"
ok "node2 is back" node_back 2
more="$off --mca errmgr_holdfast_exclude_failed_nodes 1"
ok "a node on which a rank failed can be left out" whole exclude 4 "$fail" kill@1 --where
is "then the job moves" "$(where exclude 1)" "rank 0 on node2;rank 1 on node2;rank 2 on node3;rank 3 on node3;"

# ---- a protected job ----

ok "the computation works without Holdfast" stencil_expected
umask 077
head -c 32 /dev/urandom | base64 >"$run_dir/key"
server=$nodes_address:0
ok "a server for all nodes" start_server --auth psk --key-file "$run_dir/key"
more="--mca hook_holdfast_server $server --mca hook_holdfast_auth psk --mca hook_holdfast_key_file $run_dir/key"
# shellcheck disable=SC2154,SC2086 # stencil_size is a list of words
protected()
{
	on_nodes stencil 4 "$stencil" $stencil_size --every 10 --delay-ms "$stencil_delay_ms"
	wait_for 40 complete || { echo "no checkpoint"; return 1; }
	node_kill 2
	ends 90
}
complete()
{
	HOLDFAST_KEY_FILE=$run_dir/key HOLDFAST_AUTH=psk "$pmuctl" -s "$server" jobs --json |
		grep -q '"complete_epoch": *[1-9]'
}
ok "loses a node, and ends well" protected
is "with the right result" "$(stencil_result stencil)" "$expected"
ok "from a checkpoint" test -n "$(stencil_resumed stencil)"
ok "node2 is back" node_back 2
once_more()
{
	on_nodes late 4 "$fail" late-exit3@3
	ends
}
once_more
is "an exit code after MPI_Finalize is mpirun's, on another node too" "$?" 3
ok "and no restart" fails grep -q 'started again' "$run_dir/late.err"
is "nothing is left running on any node" "$(node_pids | wc -l)" 0
done_testing
