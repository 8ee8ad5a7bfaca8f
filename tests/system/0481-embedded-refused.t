#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Where the server of this node's own cannot be, the job ends before it begins, and is told what is in the way
# and what to do.
# shellcheck disable=SC2317 # `ok` calls the functions
. "${0%/*}/lib.sh"
plan 20
world=$(run_program world) || bail "world has not been built"
HOME=$run_dir/home && export HOME
mkdir "$HOME"

# wrong NAME TEXT: two ranks are refused, with the text in one line of rank 0's.
wrong()
{
	ok "$1: the job ends" job_refused "$1" 2 "$world" protect
	is "$1: it is told why, once" "$(grep -cF "$2" "$run_dir/$1.err")" 1
}

: >"$run_dir/state"
wrong "state-directory" \
	"cannot make the directory $run_dir/state/holdfast, for this node's own pool: Not a directory; set the variable pool to another place"
rm "$run_dir/state"

job_options="--mca hook_holdfast_pool $run_dir/missing/pool"
wrong "no-directory" \
	"cannot open $run_dir/missing/pool.start, to start this node's own pmu-server: No such file or directory; make its directory"
job_options="--mca hook_holdfast_pool here"
wrong "relative" 'the variable pool cannot be "here": it is an absolute path'
job_options="--mca hook_holdfast_pool_size 1000T"
wrong "size" "start the server with a smaller --size, or make room; see to that, set the variables pool or pool_size"
unset job_options

chmod 755 "$run_dir/runtime"
wrong "open-directory" "$run_dir/runtime is a directory of uid $(id -u) with mode 755, and is no place for the socket"
"$pmuctl" jobs >"$run_dir/open.out" 2>"$run_dir/open.err"
is "pmuctl does not trust it either" $? 2
ok "and says why" grep -qF "$run_dir/runtime is a directory of uid" "$run_dir/open.err"
chmod 700 "$run_dir/runtime"

if [ "$(id -u)" = 0 ]; then
	chown 12345 "$run_dir/runtime"
	wrong "foreign-directory" "$run_dir/runtime is a directory of uid 12345 with mode 700"
	chown 0 "$run_dir/runtime"
else
	skip 2 "only root can make a directory another user's"
fi

XDG_RUNTIME_DIR=$run_dir/$(printf '%0100d' 0)
wrong "long-path" "is too long for a socket in it, whose path has at most 107 bytes: unset it"
XDG_RUNTIME_DIR=$run_dir/runtime

HOLDFAST_PMU_SERVER=$run_dir/pmu-server
wrong "no-program" "$run_dir/pmu-server cannot be run: No such file or directory"
ok "no server is left" wait_for 20 gone "$(embedded_pid)"
is "nor did any program begin" "$(cat "$run_dir"/*.out)" ""
done_testing
