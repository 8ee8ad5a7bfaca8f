#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# At whatever point of the third checkpoint the server or its network interface dies, the job goes on when it
# is back; where the job dies too, its next run resumes from the newest complete epoch.
# shellcheck disable=SC2317 # `ok` calls the functions
TIME_LIMIT=400
. "${0%/*}/lib.sh"
have_test_points || skip_all "built without --enable-test-points"
plan 55

start_server_with() # POINT
{
	HOLDFAST_TEST_POINT=$1
	export HOLDFAST_TEST_POINT
	start_server
	started=$?
	unset HOLDFAST_TEST_POINT
	return "$started"
}

# The server ends as after a power failure, if it is not dead yet.
server_gone()
{
	if alive "$server_pid"; then
		kill_server
	else
		wait "$server_pid" 2>/dev/null || :
	fi
}

ni_stopped()
{
	for ni_pid in $(ni_pids); do
		stopped "$ni_pid" && return
	done
	return 1
}

# both_die NAME POINT: the point ends server or NI while the job runs; then everything is killed.
both_die()
{
	job=$1
	start_server_with "$2" || return 1
	stencil_start "$job"
	case $2 in
	ni.*) wait_for 60 ni_stopped || return 1 ;;
	*) wait_for 60 gone "$server_pid" || return 1 ;;
	esac
	# shellcheck disable=SC2046 # a list of words
	kill -KILL $(descendants "$job_pid")
	job_wait 2>/dev/null
	server_gone
	start_server
}

# server_dies NAME POINT: the point ends the server while the job runs, which goes on after a new start.
server_dies()
{
	job=$1
	start_server_with "$2" || return 1
	stencil_start "$job"
	wait_for 60 gone "$server_pid" || return 1
	server_gone
	start_server && job_wait
}

resumed()
{
	echo "$(stencil_resumed "$job") $(stencil_result "$job")"
}

# The numbers count the passages of all four ranks: 9 to 12 belong to epoch 3.
stencil_is_short
ok "the computation works without Holdfast" stencil_expected
for point in pmm.begin.after-withdraw:kill:10 pmm.begin.before-reply:kill:10 ni.commit.before-persist:stop:12 \
	ni.commit.after-persist:stop:12 pmm.commit.before-publish:kill:12 pmm.commit.after-publish:kill:10 \
	pmm.commit.after-publish:kill:12; do
	epoch=2
	[ "$point" != pmm.commit.after-publish:kill:12 ] || epoch=3
	ok "$point: everything dies, the server starts again" both_die "both-$point" "$point"
	is "$point: epoch $epoch is the newest" "$(newest_epoch "$job")" $epoch
	ok "$point: all that is listed is sound" "$pmuctl" -s "$server" verify "$job"
	ok "$point: the job runs to its end" stencil_run "$job"
	is "$point: from there, to the right result" "$(resumed)" "$epoch $expected"
	ok "$point: the server stops" stop_server
done
for point in pmm.begin.after-withdraw:kill:10 pmm.begin.before-reply:kill:10 \
	pmm.commit.before-publish:kill:12 pmm.commit.after-publish:kill:12; do
	ok "$point: the job goes on when the server is back" server_dies "server-$point" "$point"
	is "$point: to the right result, without a restart" "$(resumed)" " $expected"
	ok "$point: and without the loss of a checkpoint" fails said "$job" "going on without"
	stop_server
done
done_testing
