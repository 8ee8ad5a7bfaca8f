#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A server that cannot have its pool where it is told to says so, and touches nothing there.
# shellcheck disable=SC2016,SC2317 # the inner shell's variables; `ok` calls the functions
. "${0%/*}/lib.sh"
plan 16

server_refused() # POOL [OPTION]...
{
	pool=$1
	shift
	refused "$pmu_server" --foreground --pool "$pool" --size 64M --listen 127.0.0.1:0 --auth none "$@"
}

answered()
{
	grep -qFe "$1" "$run_dir/refused.err"
}

: >"$run_dir/file"
ok "below a file: the server does not start" server_refused "$run_dir/file/pool"
ok "and says so" answered "cannot make directory $run_dir/file/pool: Not a directory"
ok "below what is not there: it does not start" server_refused "$run_dir/absent/such"
ok "and says so" answered "cannot make directory $run_dir/absent/such: No such file or directory"

mkdir "$run_dir/somebodys" && echo thesis >"$run_dir/somebodys/thesis.txt"
ok "in somebody's directory: it does not start" server_refused "$run_dir/somebodys"
ok "and says what it holds, and what to do" answered "it holds thesis.txt; name an empty or a new directory"
is "which it does not touch" "$(ls -A "$run_dir/somebodys")" thesis.txt

ok "a ready file that cannot be written: it does not start" server_refused "$run_dir/pool" \
	--ready-file "$run_dir/absent/ready"
ok "and says so" answered "--ready-file $run_dir/absent/ready"

# Root may write everywhere but on what is mounted read-only.
if [ "$(id -u)" = 0 ] && ! unshare -m true 2>/dev/null; then
	skip 7 "root without the right to mount cannot make a directory that it cannot write to"
else
	mkdir "$run_dir/locked" && mkdir "$run_dir/locked/empty"
	ok "a pool is made" start_server --pool "$run_dir/locked/pool"
	ok "and left" stop_server
	before=$(cd "$run_dir/locked" && find . -exec cksum {} + 2>/dev/null)
	if [ "$(id -u)" = 0 ]; then
		ok "where nothing can be written: it does not start" refused unshare -m sh -c '
			mount --bind "$2" "$2" && mount -o remount,bind,ro "$2" || exit 0
			"$1" --foreground --pool "$2/new" --size 64M --listen 127.0.0.1:0 --auth none' \
			sh "$pmu_server" "$run_dir/locked"
		ok "and says so" answered "cannot make directory $run_dir/locked/new"
		ok "on a pool, neither" refused unshare -m sh -c '
			mount --bind "$2" "$2" && mount -o remount,bind,ro "$2" || exit 0
			"$1" --foreground --pool "$2/pool" --size 64M --listen 127.0.0.1:0 --auth none' \
			sh "$pmu_server" "$run_dir/locked"
	else
		chmod a-w "$run_dir/locked" "$run_dir/locked/pool" "$run_dir/locked/pool/lock"
		ok "where nothing can be written: it does not start" server_refused "$run_dir/locked/new"
		ok "and says so" answered "cannot make directory $run_dir/locked/new"
		ok "on a pool, neither" server_refused "$run_dir/locked/pool"
		chmod u+w "$run_dir/locked" "$run_dir/locked/pool" "$run_dir/locked/pool/lock"
	fi
	ok "and says so" answered "$run_dir/locked/pool"
	is "which stays as it was" "$(cd "$run_dir/locked" && find . -exec cksum {} + 2>/dev/null)" "$before"
fi
done_testing
