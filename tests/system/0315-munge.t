#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A job whose ranks, and tools, are known to the server by MUNGE: with a munged of the test's own, as MUNGE's user.
. "${0%/*}/lib.sh"
[ -x /usr/sbin/munged ] || skip_all "there is no /usr/sbin/munged: install the package munge"
[ "$(id -u)" = 0 ] || skip_all "munged is to run as its own user, which takes root"
plan 12
world=$(run_program world) || bail "world has not been built"

munge_dir=$run_dir/munge munge_socket=$run_dir/munge/socket
munged_start()
{
	chmod 711 "$run_dir" && mkdir "$munge_dir" && (umask 077 && head -c 64 /dev/urandom >"$munge_dir/key") &&
		chown -R munge: "$munge_dir" || return 1
	setpriv --reuid munge --regid munge --clear-groups /usr/sbin/munged --foreground --key-file "$munge_dir/key" \
		--socket "$munge_socket" --pid-file "$munge_dir/pid" --log-file "$munge_dir/log" \
		--seed-file "$munge_dir/seed" >"$run_dir/munged.out" 2>&1 </dev/null &
	munged_pid=$!
	run_jobs="$run_jobs $munged_pid"
	wait_for 20 test -S "$munge_socket"
}

ok "munged starts" munged_start
ok "the server starts" start_server --auth munge --munge-socket "$munge_socket"
HOLDFAST_AUTH=munge HOLDFAST_MUNGE_SOCKET=$munge_socket # pmuctl's
export HOLDFAST_AUTH HOLDFAST_MUNGE_SOCKET
job_options="--mca hook_holdfast_auth munge --mca hook_holdfast_munge_socket $munge_socket"
ok "a job makes checkpoints" job kept 3 "$world" protect checkpoint checkpoint
is "they are there" "$(newest_epoch kept)" 2
ok "another run of it goes on" job kept 3 "$world" protect restore
ok "from there" grep -q "restore: success, epoch 2" "$run_dir/kept.out"
job_options="--mca hook_holdfast_auth none"
job_as=none
ok "who says nothing of MUNGE is refused" job_refused kept 3 "$world" protect restore
ok "and told what the server wants" said none "this server wants authentication 'munge'"
kill -KILL "$munged_pid"
job_options="--mca hook_holdfast_auth munge --mca hook_holdfast_munge_socket $munge_socket"
job_as=gone
ok "without munged nobody gets in" job_refused kept 3 "$world" protect restore
ok "and is told what is missing" said gone "Is munged running on that node"
unset job_as
ok "the server stops without complaint" stop_server
ok "no secret is in its log" fails grep -q MUNGE: "$run_dir/server.log"
done_testing
