#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Segments that come and go, grow, shrink and differ from rank to rank are restored as they were, bit by bit.
# shellcheck disable=SC2317 # `ok` calls the functions
. "${0%/*}/lib.sh"
plan 16
segments=$(run_program segments) || bail "segments has not been built"

# Runs until epoch $1 is complete, and kills rank $2 then.
run_until()
{
	job_start job 4 "$segments" 99 "$1"
	wait_for 60 epoch_reached job "$1" || return 1
	kill -KILL "$(rank_pid "$2")"
	! job_wait
}

said()
{
	grep -qx "segments: $1" "$run_dir/job.out"
}

ok "the server starts" start_server
for epoch in 1 2 7; do
	ok "epoch $epoch gets complete, and a rank is killed" run_until "$epoch" $((epoch % 4))
	is "it is the newest" "$(newest_epoch job)" "$epoch"
	[ "$epoch" -eq 1 ] || ok "the run had resumed from the one before" said "epoch $before is right"
	before=$epoch
done
ok "a last run goes to its end" job job 4 "$segments" 12
ok "it had resumed from epoch 7" said "epoch 7 is right"
ok "all that is stored is sound" "$pmuctl" -s "$server" verify job
ok "the sets of a named job can be restored after its end" job job 4 "$segments" 12
ok "bit by bit" said "epoch 12 is right"
is "each rank's set was another" "$("$pmuctl" -s "$server" show job | awk '$2 == 12 { print $4, $5 }' | sort -u | wc -l)" 4
ok "the server stops without complaint" stop_server
done_testing
