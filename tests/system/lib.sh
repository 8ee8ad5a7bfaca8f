# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
# lib.sh - what every system test starts with: `. "${0%/*}/lib.sh"`. See also run.sh.
#
# A test prints TAP: plan N, then N times one of ok, is, skip. It gets its own scratch directory $run_dir,
# and is ended after TIME_LIMIT seconds (set before sourcing this; default 120).

if [ -z "${HOLDFAST_TEST_TIMED-}" ]; then
	HOLDFAST_TEST_TIMED=yes
	export HOLDFAST_TEST_TIMED
	timeout --kill-after=20 "${TIME_LIMIT:-120}" /bin/sh "$0" "$@" &
	test_pid=$!
	trap 'kill -TERM $test_pid' HUP INT TERM
	wait $test_pid
	test_status=$?
	while kill -0 $test_pid 2>/dev/null; do # the wait was interrupted
		wait $test_pid
	done
	[ $test_status -ne 124 ] || echo "Bail out! not done after ${TIME_LIMIT:-120} seconds"
	exit $test_status
fi

set -u
test_number=0
test_failed=0
builddir=${top_builddir:-$(cd "${0%/*}/../.." && pwd)}
. "${test_library:-${0%/*}}/run.sh"

plan()
{
	echo "1..$1"
	run_init || bail "the build tree lacks what this test runs"
}

# diagnose FILE...: as comments of the test's output.
diagnose()
{
	for test_file in "$@"; do
		[ ! -s "$test_file" ] || sed "s|^|# ${test_file##*/}: |" "$test_file" | tail -n 40
	done
}

# What a failed test leaves for its reader: its command, what wrote last, and the server.
test_not_ok()
{
	echo "not ok $test_number - $test_name"
	test_failed=1
	# shellcheck disable=SC2012,SC2046 # names of ours
	diagnose "$run_dir/command.log" $(ls -t "$run_dir"/*.out "$run_dir"/*.err 2>/dev/null | head -n 4) \
		"$run_dir/server.log"
}

# ok NAME COMMAND [ARGUMENT]...: the command succeeds. It runs in this shell.
ok()
{
	test_number=$((test_number + 1)) test_name=$1
	shift
	if "$@" >"$run_dir/command.log" 2>&1; then
		echo "ok $test_number - $test_name"
	else
		echo "exit status $? of: $*" >>"$run_dir/command.log"
		test_not_ok
	fi
}

# is NAME GOT EXPECTED: two strings are the same.
is()
{
	test_number=$((test_number + 1)) test_name=$1
	if [ "$2" = "$3" ]; then
		echo "ok $test_number - $test_name"
	else
		printf 'got:      %s\nexpected: %s\n' "$2" "$3" >"$run_dir/command.log"
		test_not_ok
	fi
}

# skip COUNT REASON: the next COUNT tests cannot be made here.
skip()
{
	test_last=$((test_number + $1))
	while [ "$test_number" -lt "$test_last" ]; do
		test_number=$((test_number + 1))
		echo "ok $test_number # SKIP $2"
	done
}

# skip_all REASON, instead of plan.
skip_all()
{
	echo "1..0 # SKIP $1"
	exit 0
}

# bail REASON: nothing further makes sense.
bail()
{
	echo "Bail out! $(echo "$1" | tr '\n' ' ')"
	[ -z "${run_dir-}" ] || diagnose "$run_dir"/*.err "$run_dir/server.log"
	exit 1
}

fails()
{
	! "$@"
}

# The last command of a test.
done_testing()
{
	for test_file in "$run_dir"/sanitizers/*; do
		[ ! -e "$test_file" ] || { cat "$test_file" >&2; bail "a sanitizer has something to say"; }
	done
	exit $test_failed
}

# Does the build have the named moments at which HOLDFAST_TEST_POINT stops it?
have_test_points()
{
	grep -q '^#define HOLDFAST_TEST_POINTS 1' "$builddir/config.h"
}

# The computation that the tests disturb: long enough to be hit in the middle (some 6 s), and a short one for
# tests that hit it at a named point.
stencil_size='--nx 300 --ny 200 --steps 300' stencil_delay_ms=20
stencil_is_short()
{
	stencil_size='--nx 120 --ny 80 --steps 60' stencil_delay_ms=0
}

# stencil_start JOB [PROGRAM [ARGUMENT]...]: in the background, as job_start; below the program, if given.
stencil_start()
{
	test_job=$1
	shift
	# shellcheck disable=SC2086 # a list of words
	job_start "$test_job" 4 "$@" "$stencil" $stencil_size --every 10 --delay-ms "$stencil_delay_ms"
}

# stencil JOB [PROGRAM [ARGUMENT]...]: the same, to its end.
stencil_run()
{
	stencil_start "$@"
	job_wait
}

# The line that it prints at its end.
stencil_result()
{
	grep '^stencil: steps=' "$run_dir/$1.out"
}

# The epoch that it resumed from; nothing where it began at the beginning.
stencil_resumed()
{
	sed -n 's/^stencil: resumed from epoch \([0-9]*\).*/\1/p' "$run_dir/$1.err"
}

# The same computation without Holdfast: sets expected.
stencil_expected()
{
	# shellcheck disable=SC2086 # a list of words
	expected=$(
		unset HOLDFAST_SERVER OMPI_MCA_mca_base_component_path PMIX_MCA_mca_base_component_path
		mpirun.openmpi $one_node --oversubscribe --bind-to none -n 2 \
			"$stencil" $stencil_size 2>"$run_dir/expected.err" </dev/null
	)
	[ -n "$expected" ]
}

# said JOB TEXT: is that on its standard error?
said()
{
	grep -qFe "$2" "$run_dir/$1.err"
}

# A program for stencil_start and job_start: gives rank $1 alone the test point $2.
point_on_rank()
{
	cat >"$run_dir/pointed" <<-END
		#!/bin/sh
		[ "\$OMPI_COMM_WORLD_RANK" != $1 ] || export HOLDFAST_TEST_POINT=$2
		exec "\$@"
	END
	chmod +x "$run_dir/pointed"
}

# stencil_rest JOB EPOCH: runs it until that epoch and the one before are complete, and kills it there.
stencil_rest()
{
	point_on_rank 2 "ckpt-put:stop:$2" # and so no rank gets any further
	stencil_start "$1" "$run_dir/pointed"
	wait_for 60 epoch_reached "$1" "$2" || return 1
	job_kill
}

# stat_of KEY: what the server says of itself under that name.
stat_of()
{
	"$pmuctl" -s "$server" stat | sed -n "s/^$1  *//p"
}

# attached JOB RANKS: have so many of its ranks a session at the moment?
attached()
{
	"$pmuctl" -s "$server" jobs --json 2>/dev/null | tr -d ' \n' |
		grep -q "\"name\":\"$1\",[^}]*\"primaries\":$2,"
}

# Kills all of the job that runs at once, the launcher too.
job_kill()
{
	# shellcheck disable=SC2046 # a list of words
	kill -KILL $(descendants "$job_pid")
	job_wait 2>/dev/null
	return 0
}

# refused COMMAND [ARGUMENT]...: the command fails, and soon: 10 s are promised, a busy machine gets 30 (times $slowness).
refused()
{
	timeout --kill-after=5 $((30 * ${slowness:-1})) "$@" >"$run_dir/refused.out" 2>"$run_dir/refused.err" </dev/null
	test_status=$?
	cat "$run_dir/refused.out" "$run_dir/refused.err"
	if [ $test_status -eq 0 ] || [ $test_status -ge 124 ]; then
		echo "exit status $test_status"
		return 1
	fi
}

# job_refused NAME RANKS PROGRAM [ARGUMENT]...: the same, of a job; its output is in NAME.out and .err.
job_refused()
{
	job_start "$@"
	wait_for 30 gone "$job_pid" || { echo "it still runs after 30 s"; return 1; }
	! job_wait
}

stencil_refused()
{
	stencil_start "$@"
	wait_for 30 gone "$job_pid" || { echo "it still runs after 30 s"; return 1; }
	! job_wait
}

# set_flip RANK EPOCH PLACE: flips a bit of that set (of the only job in the pool) in its slot file: PLACE bytes
# from the start of its data, or in its `table`. With `name` it prints the file's name instead. The table's
# header tells whose set it is (src/wire/table.h).
set_flip()
{
	# shellcheck disable=SC2016 # they are perl's
	perl -e '
		my ($rank, $epoch, $place, @files) = @ARGV;
		for my $name (@files) {
			open(my $file, "+<:raw", $name) or die "$name: $!\n";
			for (my $at = 0; sysseek($file, $at, 0) && sysread($file, my $head, 32) == 32; $at += 4096) {
				my ($magic, $version, $block, $of, $whose) = unpack("a8 V V Q< V", $head);
				next if $magic ne "HFTTABLE" || $of != $epoch || $whose != $rank;
				print("$name\n"), exit 0 if $place eq "name";
				my $to = $place eq "table" ? $at + 200 : $place;
				sysseek($file, $to, 0) && sysread($file, my $byte, 1) == 1 or die "$name: too short\n";
				sysseek($file, $to, 0) && syswrite($file, chr(ord($byte) ^ 4)) == 1 or die "$name: $!\n";
				exit 0;
			}
		}
		die "no set of rank $rank and epoch $epoch\n";
	' "$1" "$2" "$3" "$run_dir"/pool/slots/*
}

# listener HOW [PORT]: something that listens and is no pmu-server; sets address and listener_pid. It says
# nothing (`mute`), `speaks` another language, or `ends` every connection.
listener()
{
	rm -f "$run_dir/port"
	# shellcheck disable=SC2016 # they are perl's
	perl -MSocket -e '
		my ($how, $name, $port) = @ARGV;
		my ($listener, @open);
		socket($listener, PF_INET, SOCK_STREAM, 0) && setsockopt($listener, SOL_SOCKET, SO_REUSEADDR, 1) &&
			bind($listener, pack_sockaddr_in($port, INADDR_LOOPBACK)) && listen($listener, 16)
			or die "$!\n";
		($port) = unpack_sockaddr_in(getsockname($listener));
		open(my $file, ">", "$name.new") or die "$!\n";
		print $file "$port\n";
		close($file);
		rename("$name.new", $name);
		while (accept(my $connection, $listener)) {
			syswrite($connection, "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n") if $how eq "speaks";
			$how eq "ends" ? close($connection) : push(@open, $connection);
			print STDERR "accepted\n";
		}
	' "$1" "$run_dir/port" "${2:-0}" 2>"$run_dir/listener.err" &
	listener_pid=$!
	run_jobs="$run_jobs $listener_pid"
	# shellcheck disable=SC2034 # the caller's
	wait_for 20 test -s "$run_dir/port" && address=127.0.0.1:$(cat "$run_dir/port")
}
