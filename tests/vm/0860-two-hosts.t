#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Ranks on one host, the server on another, verbs between them: a rank is killed, the server's host is killed in the middle of
# a checkpoint, and the link is down for a moment. Each time the job resumes from the newest complete epoch, or goes on, to
# the right result.
# shellcheck disable=SC2034,SC2154 # variables for and of run.sh
vm=none TIME_LIMIT=1000
. "${0%/*}/lib.sh"

port=7300
# What both hosts do first. The key is theirs by the environment that tests get.
host_init()
{
	(umask 077 && echo "$HOLDFAST_TEST_KEY" >"$run_dir/key")
	server=10.7.0.1:$port
	HOLDFAST_SERVER=$server HOLDFAST_KEY_FILE=$run_dir/key
	export HOLDFAST_SERVER HOLDFAST_KEY_FILE
}

# The server's host: metadata on one memory module, slots on the other.
if [ "${1-}" = server ] || [ "${1-}" = server-again ]; then
	run_init && host_init && rdma_up 10.7.0.1 || exit
	if [ "$1" = server ]; then
		block=$(nvdimm_mode 256 fsdax) && device=$(nvdimm_mode 512 devdax) || exit
	else
		block=$(echo /dev/pmem*) device=$(echo /dev/dax*)
	fi
	nvdimm_mount "$block" /tmp/pmem &&
		start_server --pool /tmp/pmem/pool --data "$device" --size 400M --net verbs \
			--fabric-listen "$rdma_address" --auth psk --key-file "$run_dir/key" ||
		wait_for 100 test -s "$run_dir/ready" || exit # two machines are slow
	wait "$server_pid" # until the host is killed
	cat "$run_dir/server.log"
	exit 1
fi

# This machine: boots both, and kills the server's when the ranks' says so.
if [ "${1-}" != ranks ]; then
	run_init || bail "the build tree lacks what this test runs"
	HOLDFAST_TEST_KEY=$(head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n')
	export HOLDFAST_TEST_KEY

	# host NUMBER ROLE [OPTION]...
	host()
	{
		host_number=$1 host_role=$2
		shift 2
		/share/source/tests/vm/boot --link "$run_dir,$host_number" --pid-file "$run_dir/qemu-$host_role" \
			--limit 940 "$@" sh "$0" "$host_role" >"$run_dir/$host_role.out" 2>&1 &
		host_pid=$!
		run_jobs="$run_jobs $host_pid"
	}

	server_host()
	{
		host 1 "$1" --nvdimm 256M --nvdimm 512M --keep-nvdimm "$run_dir/nvdimm" --memory 2G
	}

	kill_is_due()
	{
		grep -q '^# now' "$run_dir/ranks.out" || ! alive "$ranks_pid"
	}

	server_host server
	host 2 ranks --memory 2G
	ranks_pid=$host_pid
	if wait_for 900 kill_is_due && alive "$ranks_pid"; then
		kill -KILL "$(cat "$run_dir/qemu-server")"
		server_host server-again
	fi
	wait "$ranks_pid"
	status=$?
	tr -d '\r' <"$run_dir/ranks.out"
	[ $status -eq 0 ] || diagnose "$run_dir/server.out" "$run_dir/server-again.out"
	exit $status
fi

# The ranks' host.
plan 32
host_init
stencil_size='--nx 200 --ny 150 --steps 40' stencil_delay_ms=0
key_option="--mca hook_holdfast_key_file $run_dir/key"
options="$key_option --mca hook_holdfast_timeout 60"
job_options=$options

server_answers()
{
	"$pmuctl" jobs >/dev/null
}

card_sent()
{
	cat /sys/class/net/card0/statistics/tx_bytes
}

# hung_start JOB: one whose rank 1 hangs in its third checkpoint, before it writes; sets hung.
hung_start()
{
	point_on_rank 1 client.put.after-begin:stop:3
	stencil_start "$1" "$run_dir/pointed"
	wait_for 240 epoch_reached "$1" 2 && hung=$(rank_pid 1) && wait_for 120 stopped "$hung"
}

# resumes JOB TEXT, from $epoch: three tests.
resumes()
{
	stencil_start "$1"
	ok "$2: the same command succeeds" job_wait
	is "$2: it resumed from the newest complete epoch" "$(stencil_resumed "$1")" "$epoch"
	is "$2: its result is that of the undisturbed computation" "$(stencil_result "$1")" "$expected"
}

ok "the soft-RoCE device comes up" rdma_up 10.7.0.2
ok "the server on the other host answers" wait_for 200 server_answers
ok "the computation works without Holdfast" stencil_expected

card=$(card_sent) rdma=$(packets_sent)
ok "killed rank: another is in the midst of a checkpoint" hung_start killed
is "killed rank: the server says how" "$(stat_of server.net)" verbs
ok "killed rank: it can be killed" kill -KILL "$(rank_pid 2)"
ok "killed rank: mpirun reports the failure" fails job_wait
# mpirun continues the one that hangs before it ends it, which may get its set through.
epoch=$(newest_epoch killed)
ok "killed rank: two epochs are complete" test "${epoch:-0}" -ge 2
# Without what each of three segments is rounded up by.
bytes=$(($(stat_of count.commit_bytes) - 3 * 4096 * $(stat_of count.commits)))
ok "killed rank: its sets are more than messages" test "$bytes" -gt 300000
ok "killed rank: they left this host" test $(($(card_sent) - card)) -gt "$bytes"
ok "killed rank: by RDMA, 4096 bytes a packet at most" test $(($(packets_sent) - rdma)) -ge $((bytes / 4096))
ok "killed rank: each byte is sound" "$pmuctl" verify killed
resumes killed "killed rank"

ok "killed host: a rank is in the midst of a checkpoint" hung_start host
echo "# now the server's host is to be killed"
ok "killed host: the server does not answer" wait_for 60 fails server_answers
job_kill
ok "killed host: it is there again" wait_for 200 server_answers
epoch=2
is "killed host: two epochs are complete" "$(newest_epoch host)" $epoch
ok "killed host: each byte is sound" "$pmuctl" verify host
resumes host "killed host"

# A soft-RoCE device that had something to send while its interface was down lets no new connection come about: the
# kernel's own queue pair for connection management stays in error till the device is made anew.
rdma_renew()
{
	rdma link delete rxe0 && rdma link add rxe0 type rxe netdev card0 && wait_for 20 rdma_active
}

job_options="$key_option --mca hook_holdfast_timeout 15 --mca hook_holdfast_reconnect 10"
ok "link cut: a rank is in the midst of a checkpoint" hung_start cut
ok "link cut: the link is down" ip link set card0 down
kill -CONT "$hung"
sleep 3
ok "link cut: it is up again" ip link set card0 up
ok "link cut: the job comes to its end" wait_for 400 gone "$job_pid"
ok "link cut: without a failure" job_wait
ok "link cut: it says what it lacks" said cut "going on without this checkpoint"
is "link cut: it was one run" "$(stencil_resumed cut)" ""
is "link cut: its result is that of the undisturbed computation" "$(stencil_result cut)" "$expected"
ok "link cut: the device is made anew" rdma_renew
done_testing
