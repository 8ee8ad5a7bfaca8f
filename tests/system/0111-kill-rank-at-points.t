#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# At whatever point of its third checkpoint a rank is killed, the job resumes from the newest complete epoch.
# shellcheck disable=SC2317 # `ok` calls the functions
TIME_LIMIT=240
. "${0%/*}/lib.sh"
have_test_points || skip_all "built without --enable-test-points"
plan 28

# killed POINT: rank 2 is killed at that point (there are three transfers of data in a set), and so the job.
killed()
{
	point_on_rank 2 "$1"
	! stencil_run "$job" "$run_dir/pointed" || { echo "the point was never passed"; return 1; }
	epoch=$(newest_epoch "$job")
}

stencil_is_short
ok "the computation works without Holdfast" stencil_expected
ok "the server starts" start_server
for point in after-begin:kill:3 mid-write:kill:9 mid-write:kill:11 before-commit:kill:3 after-commit:kill:3; do
	job=$(echo "$point" | tr : -)
	ok "$point: the job ends" killed "client.put.$point"
	case $point in
	after-commit*)
		# The others may have come to their commits, or not.
		ok "$point: epoch 2 or 3 is the newest" test "${epoch:-0}" -eq 2 -o "${epoch:-0}" -eq 3
		;;
	*)
		is "$point: epoch 2 is the newest" "$epoch" 2
		;;
	esac
	ok "$point: all that is listed is sound" "$pmuctl" -s "$server" verify "$job"
	ok "$point: the same command, undisturbed, resumes from there" stencil_run "$job"
	is "$point: from the newest complete epoch, to the right result" \
		"$(stencil_resumed "$job") $(stencil_result "$job")" "$epoch $expected"
done
ok "the server stops without complaint" stop_server
done_testing
