#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# All faults of docs/reliability.md that can be made here, at random, and whenever: no complete epoch is lost, nothing
# hangs, every result is right. By hand: HOLDFAST_TEST_ROUNDS=1000 HOLDFAST_TEST_SEED=N.
# shellcheck disable=SC2034,SC2086,SC2154,SC2317 # variables and functions of and for random-faults.sh
TIME_LIMIT=$((180 + ${HOLDFAST_TEST_ROUNDS:-20} * 20))
. "${0%/*}/nodes.sh"
. "${0%/*}/lib.sh"
. "${0%/*}/random-faults.sh"
rounds=${HOLDFAST_TEST_ROUNDS:-20}
plan "$faults_tests"
program=stencil
pause=8
lease=4
patience=120
faults='kill_rank kill_rank kill_ranks kill_mpirun kill_all stop_rank kill_ni stop_ni kill_server stop_server
	kill_server_and_all cut cut reset flood full flip flip descriptors'
[ -z "$run_launcher" ] || relaunch=yes
! have_test_points || faults="$faults point_of_rank point_of_rank point_of_server point_of_server"
server_options="--auth psk --key-file $run_dir/key --size 48M --lease $lease --ni-timeout 6 --merge-at 4"
stencil_size='--nx 120 --ny 80 --steps 160' stencil_delay_ms=8

computation_expected()
{
	stencil_expected
}

# In what a job is stored is drawn anew whenever there is none.
computation_start()
{
	"$pmuctl" -s "$server" show job >"$run_dir/show.out" 2>&1
	if [ $? -eq 4 ]; then
		pick full incremental
		mode=$picked
	fi
	job_options="$job_options --mca hook_holdfast_mode $mode"
	job_start job 4 "$rank_program" "$stencil" $stencil_size --every 5 --delay-ms "$stencil_delay_ms"
}

# ---- clock and medium, where there is something to preload ----

inject=$(run_built inject.so -path '*/.libs/*')
grep -q 'fsanitize' "$builddir/config.status" && inject= # they want to be first
if [ -n "$inject" ]; then
	faults="$faults clock clock write_back"
	HOLDFAST_TEST_INJECT=$run_dir/inject
	export HOLDFAST_TEST_INJECT
	head -c 40 /dev/zero >"$HOLDFAST_TEST_INJECT"
	echo "export LD_PRELOAD=$inject" >"$run_dir/preload.sh"
fi

# inject OFFSET FORMAT VALUE...: as tests/unit/inject.h has it.
inject()
{
	perl -e '
		my ($offset, $format, @values) = @ARGV;
		open(my $file, "+<:raw", $ENV{HOLDFAST_TEST_INJECT}) or die "$!\n";
		sysseek($file, $offset, 0);
		syswrite($file, pack($format, @values));
	' "$@"
}

# By up to a year forwards or back, for server and ranks.
fault_clock()
{
	number 32768
	inject 0 'q<' $(((drawn - 16384) * 1925000000000))
}

# The next write-backs of the NI fail: sets are not listed, the job goes on.
fault_write_back()
{
	target=$(ni_pids | head -n 1)
	[ -n "$target" ] || return 0
	number 6
	inject 8 'l<L<' "$target" $((drawn + 1))
}

# ---- what stands still ----

# lull SHORT LONG: one of the two, as doze; the long one seldom.
lull()
{
	pick "$1" "$1" "$1" "$2"
	doze "$picked"
}

fault_stop_rank()
{
	number 4
	target=$(rank_pid "$drawn") && kill -STOP "$target" 2>/dev/null || return 0
	doze 25
	kill -CONT "$target" 2>/dev/null || :
}

# Beyond --ni-timeout it is ended.
fault_stop_ni()
{
	target=$(ni_pids | head -n 1)
	[ -n "$target" ] && kill -STOP "$target" || return 0
	lull 15 80
	kill -CONT "$target" 2>/dev/null || :
}

fault_stop_server()
{
	server_is_away
	kill -STOP "$server_pid"
	doze 30
	kill -CONT "$server_pid"
}

# ---- network ----

# Nothing comes through, for a shorter time than the lease, or a longer one.
fault_cut()
{
	server_is_away
	node_cut 1
	lull 15 $((lease * 15))
	ip link set node1 up
	wait_for 30 server_answers || { trouble "the server cannot be reached any more"; return 1; }
	server_is_away
}

# All connections to the server break.
fault_reset()
{
	ss -K dst 10.77.0.1 >/dev/null 2>&1
}

fault_flood()
{
	perl -MIO::Socket::INET -e '
		my ($to, $seed) = @ARGV;
		srand($seed);
		my @open;
		for (1 .. 150) {
			my $peer = IO::Socket::INET->new(PeerAddr => $to, Timeout => 5) or next;
			my $bytes = rand() < 0.3 ? pack("V v v", 0x31544648, 1, 1) : "";
			$bytes .= chr(int(rand(256))) for 1 .. rand(3000);
			local $SIG{PIPE} = "IGNORE";
			syswrite($peer, $bytes);
			push(@open, $peer) if rand() < 0.7;
		}
		sleep(1);
	' "$server" "$seed"
}

# The server gets no more descriptors than it has, for a second, while others want some.
fault_descriptors()
{
	limit=$(prlimit --pid "$server_pid" --nofile --noheadings --output SOFT) &&
		prlimit --pid "$server_pid" --nofile="$(find "/proc/$server_pid/fd" | wc -l):" || return 1
	server_is_away
	fault_flood
	prlimit --pid "$server_pid" --nofile="${limit##* }:"
	wait_for 30 server_answers || { trouble "the server accepts nobody any more"; return 1; }
}

# ---- room and damage ----

# Two others want two thirds of the pool each.
fault_full()
{
	full_pids='' was=$job_pid options=$job_options
	for filler in filler1 filler2; do
		job_options=
		job_start "$filler" 1 "$stencil" --nx 1000 --ny 1900 --steps 4 --every 1 --delay-ms 200
		full_pids="$full_pids $job_pid"
	done
	job_pid=$was job_options=$options
	for filler in $full_pids; do
		if ! wait_for "$patience" gone "$filler" || ! wait "$filler"; then
			trouble "a job in a full pool ends badly"
			return 1
		fi
	done
	cat "$run_dir/filler1.err" "$run_dir/filler2.err" >"$run_dir/filler.err"
	said filler "no room" || { say "the pool was not full"; cat "$run_dir/filler.err" >&3; }
}

# complete_epochs: those of which each rank has a full set, in order.
complete_epochs()
{
	"$pmuctl" -s "$server" show job --json | sed -n 's/.*"epoch": *\([0-9]*\).*/\1/p' | sort -n | uniq -c | awk '$1 == 4 { print $2 }'
}

# A bit of one rank's newest set, or of one before: all fall back to the one before, and say so.
fault_flip()
{
	job_kill
	epochs=$(complete_epochs)
	newest=$(echo "$epochs" | tail -n 1) older=$(echo "$epochs" | tail -n 2 | head -n 1)
	# There is nothing to fall back to; nor when both slots are damaged.
	if [ "$mode" = incremental ] || [ "${older:-$newest}" = "$newest" ] || [ "${flipped:-none}" = "$older" ] ||
		[ "${flipped:-none}" = "$newest" ]; then
		run_again
		return
	fi
	run_check && epochs_check && sets_check || return 1
	pick "$newest" "$newest" "$older"
	flipped=$picked
	number 4
	rank=$drawn
	pick 3 9000 table
	set_flip "$rank" "$flipped" "$picked" || return 1
	say "rank $rank, epoch $flipped of $newest, $picked"
	before=$older
	run_start
	if [ "$flipped" = "$newest" ]; then
		complete=$older
		wait_for "$patience" eval 'gone "$job_pid" || [ -n "$(stencil_resumed job)" ]' || { trouble "the job hangs"; return 1; }
		if ! said job "epoch $newest is damaged (rank $rank: " || ! said job "falling back to epoch $older"; then
			trouble "damage is not told"
			return 1
		fi
	fi
}

# ---- named points ----

# A rank dies or hangs there.
fault_point_of_rank()
{
	pick client.get.mid-read client.put.after-begin client.put.mid-write client.put.before-commit client.put.after-commit \
		ckpt-put
	point=$picked
	pick kill kill stop
	how=$picked
	number 4
	rank=$drawn
	number 5
	point=$point:$how:$((drawn + 1))
	say "rank $rank: $point"
	job_kill
	echo "$point" >"$run_dir/point.$rank"
	run_again || return 1
	wait_for "$patience" eval 'gone "$job_pid" || point_reached' || { trouble "the job hangs"; return 1; }
	if [ "$how" = stop ]; then
		doze 20
		job_kill
		run_again
	elif [ "$restarts" = no ] || gone "$job_pid"; then
		run_again
	fi
}
point_reached()
{
	# Before it is killed it has removed the file; then it is another process.
	[ ! -e "$run_dir/point.$rank" ] || return 1
	target=$(rank_pid "$rank") || return 0
	[ "$(cat "$run_dir/pointed.$rank")" != "$target" ] || stopped "$target"
}

# The server or its NI dies or hangs there.
fault_point_of_server()
{
	pick pmm.begin.after-withdraw pmm.begin.before-reply pmm.commit.before-publish pmm.commit.after-publish \
		pmm.open.before-reply pmm.read.granted ni.commit.before-persist ni.commit.after-persist \
		set-withdrawn set-publish set-published pmm.merge.before-publish pmm.merge.after-publish ni.merge.copying
	number 20
	point=$picked:kill:$((drawn + 1))
	say "$point"
	server_is_away
	kill_server
	server_prefix="$server_in env HOLDFAST_TEST_POINT=$point"
	start_server $server_options || return 1
	server_prefix=$server_in
	wait_for 2 gone "$server_pid" || :
	server_is_away
	kill_server 2>/dev/null
	start_server $server_options
}

nodes_up 1 || bail "the node cannot be made"
cat >"$run_dir/server" <<END
#!/bin/sh
[ ! -e "$run_dir/preload.sh" ] || . "$run_dir/preload.sh"
exec "\$@"
END
chmod +x "$run_dir/server"
cat >"$run_dir/rank.sh" <<END
if mv "$run_dir/point.\$OMPI_COMM_WORLD_RANK" "$run_dir/point.now.\$OMPI_COMM_WORLD_RANK" 2>/dev/null; then
	echo \$\$ >"$run_dir/pointed.\$OMPI_COMM_WORLD_RANK"
	HOLDFAST_TEST_POINT=\$(cat "$run_dir/point.now.\$OMPI_COMM_WORLD_RANK")
	export HOLDFAST_TEST_POINT
fi
[ ! -e "$run_dir/preload.sh" ] || . "$run_dir/preload.sh"
END
server_in="ip netns exec node1 $run_dir/server"
server_prefix=$server_in
(umask 077 && head -c 32 /dev/urandom | base64 >"$run_dir/key")
HOLDFAST_KEY_FILE=$run_dir/key HOLDFAST_AUTH=psk
export HOLDFAST_KEY_FILE HOLDFAST_AUTH
server=10.77.0.1:0
faults_test
done_testing
