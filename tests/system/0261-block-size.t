#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Mode incremental with small blocks: less is sent where changes are scattered; the size may change between two runs.
TIME_LIMIT=300
. "${0%/*}/lib.sh"
plan 22
particles=$(run_program particles)

result()
{
	grep '^particles: steps=' "$run_dir/$1.out"
}

# shipped: bytes of all sets that the server has ever published.
shipped()
{
	"$pmuctl" -s "$server" stat | awk '$1 == "count.commit_bytes" { print $2 }'
}

# sized JOB BLOCK: a job of 3 ranks with 2 MiB each, 30 checkpoints and blocks of this size; $bytes is what it sent.
sized()
{
	bytes=$(shipped)
	job_options="--mca hook_holdfast_mode incremental --mca hook_holdfast_tracker hash --mca hook_holdfast_block $2"
	job "$1" 3 "$particles" --cells 262144 --steps 300 --every 10 || return 1
	bytes=$(($(shipped) - bytes))
	echo "blocks of $2: $bytes bytes"
}

# sets JOB: kind and block size of each set, a line each.
sets()
{
	"$pmuctl" -s "$server" show --json "$1" | awk '/"kind"/ { kind = $2 } /"block_bytes"/ { print kind $2 }'
}

ok "the server starts" start_server
ok "a job has blocks of 64K" sized usual 64K
usual=$bytes expected=$(result usual)
ok "and a result" test -n "$expected"
ok "another has blocks of 4K" sized small 4K
is "the result is the same" "$(result small)" "$expected"
ok "for scattered changes it sent less than a third" test $((3 * bytes)) -lt "$usual"
ok "but all full sets, at least" test "$bytes" -gt $((3 * 2097152))
ok "a third has blocks of 4M" sized large 4M
is "the result is the same" "$(result large)" "$expected"
ok "it sent at least as much as with 64K" test "$bytes" -ge "$usual"

# Killed, and gone on with by another size; verify looks at each set by its own.
start()
{
	job_options="--mca hook_holdfast_mode incremental --mca hook_holdfast_block $1"
	job_start changed 3 "$particles" --cells 262144 --steps 300 --every 10 --delay-ms 20
}

start 4K
ok "epochs get complete" wait_for 60 epoch_reached changed 6
ok "a rank can be killed" kill -KILL "$(rank_pid 1)"
ok "mpirun reports the failure" fails job_wait
is "all sets have small blocks" "$(sets changed | grep -vc ',4096,')" 0
ok "every set is sound" "$pmuctl" -s "$server" verify changed
epoch=$(newest_epoch changed)
start 8K
ok "the job goes on with larger ones" wait_for 60 epoch_reached changed $((epoch + 4))
ok "which begin with a full set a rank" test "$(sets changed | grep -c '"full",8192,')" -ge 3
ok "with increments behind it" test "$(sets changed | grep -c '"increment",8192,')" -ge 6
ok "every set is sound" "$pmuctl" -s "$server" verify changed
ok "and ends" job_wait
is "the result is the same" "$(result changed)" "$expected"
ok "the server stops without complaint" stop_server
done_testing
