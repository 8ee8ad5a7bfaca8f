#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A checkpoint that is shipped while the application computes holds what was there at its start, or is none: whichever way
# it is done, and whatever is killed, or freed, meanwhile.
# shellcheck disable=SC2317 # `ok` calls the functions
TIME_LIMIT=480
. "${0%/*}/lib.sh"
have_test_points || skip_all "built without --enable-test-points"
plan 46
world=$(run_program world) || bail "world has not been built"

# In $way, by the variable; rank 0 says which it was.
stencil_async()
{
	stencil_async_as=$1
	shift
	HOLDFAST_ASYNC=$way HOLDFAST_VERBOSE=yes stencil_run "$stencil_async_as" "$@"
}

# Rank 2 is killed in mid-ship, and so the job.
killed()
{
	point_on_rank 2 "snapshot-take:kill:7"
	! stencil_async "$1" "$run_dir/pointed"
}

# Room for the next ones.
remove_jobs()
{
	"$pmuctl" -s "$server" rm "change-$way" && "$pmuctl" -s "$server" rm "free-$way" &&
		"$pmuctl" -s "$server" rm "unmap-$way"
}

# world_holding NAME WORD...: two ranks, whose shipping waits for the word let-go.
world_holding()
{
	world_as=$1
	shift
	: >"$run_dir/hold"
	HOLDFAST_ASYNC=$way HOLDFAST_VERBOSE=yes HOLDFAST_TEST_HOLD=$run_dir/hold \
		HOLDFAST_TEST_POINT=snapshot-take:hold:$hold_at job "$world_as" 2 "$world" "$@"
}

said_out()
{
	grep -qFe "$2" "$run_dir/$1.out"
}

stencil_is_short
stencil_size='--nx 600 --ny 400 --steps 60 --async' # some hundred pages a rank
ok "the computation works without Holdfast" stencil_expected
ok "the server starts" start_server

for way in stage cow; do
	job=run-$way
	ok "$way: undisturbed, it goes to its end" stencil_async "$job"
	if [ $way = cow ] && said "$job" "(cow) does not work here"; then
		skip 18 "userfaultfd cannot be used here"
		break
	fi
	ok "$way: in this way" said "$job" "($way)"
	[ $way = stage ] || ok "$way: with protected pages" grep -q "of [1-9][0-9]* pages that were protected" "$run_dir/$job.err"
	is "$way: with the right result" "$(stencil_result "$job")" "$expected"
	is "$way: and nothing is left" "$(newest_epoch "$job")" ""

	job=kill-$way
	ok "$way: a rank is killed in mid-ship" killed "$job"
	epoch=$(newest_epoch "$job")
	ok "$way: an epoch from before is complete" test "${epoch:-0}" -ge 1
	ok "$way: all that is listed is sound" "$pmuctl" -s "$server" verify "$job"
	ok "$way: the same command resumes" stencil_async "$job"
	is "$way: from there, to the right result" \
		"$(stencil_resumed "$job") $(stencil_result "$job")" "$epoch $expected"

	hold_at=1
	ok "$way: what is changed meanwhile is the next one's" \
		world_holding "change-$way" protect protect-large start change let-go wait change start wait restore
	ok "$way: both are complete" said_out "change-$way" "restore: success, epoch 2"

	ok "$way: who unprotects before it unmaps" \
		world_holding "free-$way" protect protect-mapped checkpoint start let-go unprotect-unmap wait
	is "$way: gets the checkpoint" "$(newest_epoch "free-$way")" 2
	ok "$way: which is sound" "$pmuctl" -s "$server" verify "free-$way"
	if [ $way = stage ]; then
		ok "$way: who unmaps without a word" \
			world_holding "unmap-$way" protect protect-mapped checkpoint start unmap let-go wait
		is "$way: gets it as well" "$(newest_epoch "unmap-$way")" 2
	else
		ok "$way: who unmaps without a word" fails \
			world_holding "unmap-$way" protect protect-mapped checkpoint start unmap let-go wait \
			unprotect-mapped checkpoint
		ok "$way: is told so" said "unmap-$way" "segment 'mapped' was unmapped"
		ok "$way: on the other rank, too" said "unmap-$way" "rank 1 failed: segment 'mapped'"
		is "$way: and the job goes on" "$(newest_epoch "unmap-$way")" 3
	fi
	ok "$way: all that is removed" remove_jobs
done

way=auto HOLDFAST_MODE=incremental
export HOLDFAST_MODE
ok "incremental: a rank is killed in mid-ship" killed increments
epoch=$(newest_epoch increments)
ok "incremental: all that is listed is sound" "$pmuctl" -s "$server" verify increments
ok "incremental: the same command resumes" stencil_async increments
is "incremental: from the newest complete epoch, to the right result" \
	"$(stencil_resumed increments) $(stencil_result increments)" "$epoch $expected"
unset HOLDFAST_MODE

world_rank_fails()
{
	point_on_rank 1 snapshot-take:exit:2
	HOLDFAST_ASYNC=auto job fails 2 "$run_dir/pointed" "$world" protect protect-large checkpoint start wait
}
ok "a rank that ends in mid-ship ends the job" fails world_rank_fails
is "and the epoch before is the newest" "$(newest_epoch fails)" 1
ok "the server stops without complaint" stop_server
done_testing
