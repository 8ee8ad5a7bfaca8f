#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A set that the pool has no room for is not made, the job goes on without it, and no epoch is lost, of this
# job or another.
# shellcheck disable=SC2317 # `ok` calls the functions
. "${0%/*}/lib.sh"
plan 18
world=$(run_program world) || bail "world has not been built"

written()
{
	grep -qFe "$2" "$run_dir/$1.out"
}

ok "a server does not start with more than its file system has" refused "$pmu_server" --foreground \
	--pool "$run_dir/huge" --size 1000000T --listen 127.0.0.1:0 --auth none
ok "and says what to do" grep -q "start the server with a smaller --size, or make room" "$run_dir/refused.err"

ok "the computation works without Holdfast" stencil_expected
ok "the server starts with little room" start_server --size 3M
stencil_start neighbour
ok "a job makes checkpoints" wait_for 60 epoch_reached neighbour 1
neighbour=$job_pid

# Two ranks: a small segment, and then one of 64 MiB besides.
ok "another has one that does not fit, and goes on" fails job growing 2 "$world" protect checkpoint \
	protect-large checkpoint unprotect-large checkpoint
ok "it is told so" written growing "checkpoint: there is no room, epoch 0"
ok "and what to do" said growing "--size"
is "once" "$(grep -c '^checkpoint: there is no room' "$run_dir/growing.out")" 1
is "what fits is made afterwards" "$(tail -n 1 "$run_dir/growing.out")" "checkpoint: success, epoch 0"
growing=$(newest_epoch growing)
ok "the newest epoch is that one" test "${growing:-0}" -ge 2
ok "a later run restores it" job growing 2 "$world" protect restore detach
ok "from there" written growing "restore: success, epoch $growing"

job_pid=$neighbour
ok "the neighbour goes on to its end" job_wait
is "without any word of this" "$(cat "$run_dir/neighbour.err")" ""
is "to the right result" "$(stencil_result neighbour)" "$expected"
is "what is done takes no room" \
	"$("$pmuctl" -s "$server" stat | awk '$1 == "pool.reserved_bytes" { print $2 }')" 0
ok "the server stops without complaint" stop_server
done_testing
