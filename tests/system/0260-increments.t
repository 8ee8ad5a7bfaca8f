#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Mode incremental: checkpoints are increments, a chain of them is restored after a kill -9, and by whichever tracker
# the result is the same.
TIME_LIMIT=300
. "${0%/*}/lib.sh"
plan 34
particles=$(run_program particles)

result()
{
	grep '^particles: steps=' "$run_dir/$1.out"
}

resumed()
{
	sed -n 's/^particles: resumed from epoch \([0-9]*\).*/\1/p' "$run_dir/$1.err"
}

# particles_start JOB [ARGUMENT]...: some 6 s of it, and 30 checkpoints.
particles_start()
{
	particles_job=$1
	shift
	# shellcheck disable=SC2086 # none, or one word
	job_start "$particles_job" 3 ${pointed-} "$particles" --steps 300 --every 10 --delay-ms 20 "$@"
}

# sets KIND: bytes of all sets of that kind, a line each.
sets()
{
	"$pmuctl" -s "$server" show chained --all | awk -v kind="$1" '$2 == "epoch" && $4 == kind'
}

ok "the server starts" start_server
particles_start plain
ok "the computation works in mode full" job_wait
expected=$(result plain)
ok "and has a result" test -n "$expected"

job_options='--mca hook_holdfast_mode incremental --mca hook_holdfast_tracker hash'
point_on_rank 1 ckpt-put:stop:9 # and so no rank gets any further
pointed=$run_dir/pointed
particles_start chained
pointed=
ok "epochs get complete" wait_for 60 epoch_reached chained 8
ok "one full set a rank" test "$(sets full | wc -l)" -eq 3
ok "and increments behind it" test "$(sets increment | wc -l)" -ge 18
ok "which are all smaller" test "$(sets increment | grep -c ' 8 MiB in ')" -eq 0
ok "a rank can be killed" kill -KILL "$(rank_pid 1)"
ok "mpirun reports the failure" fails job_wait
epoch=$(newest_epoch chained)
ok "every set is sound" "$pmuctl" -s "$server" verify chained

# drawn TEXT [OPTION]: how many lines of what is shown of the job that begin so.
drawn()
{
	"$pmuctl" -s "$server" show chained ${2:+"$2"} | grep -c "^  $1"
}
ok "pmuctl draws a chain for each rank" test "$(drawn '\*  epoch 1  .* full ')" -eq 3
is "the middle of which is left out" "$(drawn '|  \.\.\. [0-9]* more, epochs 4 to ')" 3
is "the others are shown" "$(drawn '|- epoch .* increment .* ago (.*')/$(drawn '`- epoch .* increment ')" 12/3
is "with --all, all of them" "$(($(drawn '|- epoch' --all) + $(drawn '`- epoch' --all)))" "$(sets increment | wc -l)"
is "the log's use is told" "$(drawn 'log: .* of .* used ([0-9]* %)')" 3
"$pmuctl" -s "$server" show chained --json | tr -d ' \n' >"$run_dir/show.json"
is "a program is told the log" "$(grep -o '"log":{"bytes":[1-9][0-9]*,"used_bytes":[1-9][0-9]*}' "$run_dir/show.json" | wc -l)" 3
is "and the base of each increment" "$(grep -o '"kind":"increment","base":1,' "$run_dir/show.json" | wc -l)" \
	"$(sets increment | wc -l)"

job_options='--mca hook_holdfast_mode full'
ok "it is not gone on with in mode full" fails job chained 3 "$particles"
ok "which is said" grep -q 'is stored in incremental mode and is run in full mode' "$run_dir/chained.err"

job_options='--mca hook_holdfast_mode incremental --mca hook_holdfast_tracker auto --mca hook_holdfast_chain 4'
particles_start chained
ok "the same command goes on" job_wait
is "from the newest complete epoch" "$(resumed chained)" "$epoch"
is "to the same result" "$(result chained)" "$expected"

# Killed again and again, by a tracker that watches writes where there is one.
failures=0
job_options='--mca hook_holdfast_mode incremental'
point_on_rank 1 ckpt-put:stop:7
pointed=$run_dir/pointed
for round in 1 2 3; do
	particles_start again
	wait_for 60 epoch_reached again $((round * 6)) || break
	kill -KILL "$(rank_pid $((round % 3)))"
	job_wait || failures=$((failures + 1))
done
pointed=
is "killed three times" $failures 3
particles_start again
ok "it ends well" job_wait
is "with the same result" "$(result again)" "$expected"
# The stencil, of a plate that is warm in one corner.
perl -e 'print "P5\n1200 800\n255\n"; for my $y (0 .. 799) { print chr($y < 9 ? 255 : 0) x 9, "\0" x 1191 }' \
	>"$run_dir/corner.pgm"
stencil_size="--input $run_dir/corner.pgm --steps 100" stencil_delay_ms=20
ok "the stencil works without Holdfast" stencil_expected
stencil_start plate
ok "its epochs get complete" wait_for 60 epoch_reached plate 4
ok "a rank of it can be killed" kill -KILL "$(rank_pid 0)"
ok "mpirun reports that" fails job_wait
ok "there are increments" test "$("$pmuctl" -s "$server" show plate | grep -c '^  [|`]- epoch')" -ge 4
epoch=$(newest_epoch plate)
stencil_start plate
ok "the same stencil goes on" job_wait
is "from there" "$(stencil_resumed plate)" "$epoch"
is "to the result that it has without Holdfast" "$(stencil_result plate)" "$expected"
ok "the server stops without complaint" stop_server
done_testing
