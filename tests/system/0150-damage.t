#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A damaged set is found before the application goes on with it: all ranks fall back, and say so; and where
# nothing sound is left the job ends, rather than begin at the beginning.
# shellcheck disable=SC2317 # `ok` calls the functions
TIME_LIMIT=240
. "${0%/*}/lib.sh"
have_test_points || skip_all "built without --enable-test-points"
plan 33
segments=$(run_program segments) || bail "segments has not been built"

# verify JOB: the exit status of pmuctl verify; what it said is in verify.out.
verify()
{
	"$pmuctl" -s "$server" verify "$1" >"$run_dir/verify.out" 2>&1
	echo $?
}

verified()
{
	grep -qF "$1" "$run_dir/verify.out"
}

stencil_is_short
ok "the computation works without Holdfast" stencil_expected
ok "the server starts" start_server

for place in 9000 table; do
	job=flipped-$place
	ok "$place: a job rests with two epochs" stencil_rest "$job" 3
	is "$place: both are sound" "$(verify "$job")" 0
	ok "$place: a bit of rank 1 is flipped" set_flip 1 3 "$place"
	is "$place: pmuctl verify ends with 3" "$(verify "$job")" 3
	ok "$place: and names rank and epoch" verified "rank 1 epoch 3: DAMAGED"
	ok "$place: the same command succeeds" stencil_run "$job"
	ok "$place: it says which epoch is damaged" said "$job" "epoch 3 is damaged (rank 1: "
	ok "$place: and to which one it falls back" said "$job" "falling back to epoch 2"
	is "$place: from there to the right result" "$(stencil_resumed "$job") $(stencil_result "$job")" \
		"2 $expected"
done

ok "a job rests with two epochs" stencil_rest lost 3
ok "one rank's set of each is damaged" eval "set_flip 1 3 9000 && set_flip 3 2 9000"
ok "the same command fails" fails stencil_run lost
ok "as no sound epoch is left" said lost "every complete epoch is damaged"
is "it does not begin at the beginning" "$(cat "$run_dir/lost.out")" ""
ok "what is stored stays" epoch_reached lost 3
ok "until it is given up" "$pmuctl" -s "$server" rm lost

# What is fallen back to may have other segments.
job_start changed 4 "$segments" 99 4
ok "a job whose segments change" wait_for 60 epoch_reached changed 4
job_kill
ok "of which one rank's newest set is damaged" set_flip 2 4 9000
ok "runs again" job changed 4 "$segments" 6
ok "it is told" said changed "falling back to epoch 3"
is "and gets the older one, bit by bit" "$(sed -n 1p "$run_dir/changed.out")" "segments: epoch 3 is right"
ok "the server stops without complaint" stop_server
done_testing
