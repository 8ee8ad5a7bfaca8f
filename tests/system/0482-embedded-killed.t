#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A job whose server is this node's own starts it again when it is killed, and goes on.
# shellcheck disable=SC2317 # `ok` calls the functions
. "${0%/*}/lib.sh"
plan 11
HOME=$run_dir/home && export HOME
mkdir "$HOME"

# Killed, and its network interface with it.
server_killed()
{
	kill -KILL "$1" && wait_for 20 gone "$1"
}

ok "the computation works without Holdfast" stencil_expected
stencil_start job
ok "epochs get complete" wait_for 60 epoch_reached job 3
first=$(embedded_pid)
ok "the server can be killed" server_killed "$first"
ok "further epochs get complete" wait_for 60 epoch_reached job 8
second=$(embedded_pid)
ok "with a new server" test "$second" != "$first"
ok "it can be killed, too" server_killed "$second"
ok "the job comes to its end" job_wait
is "its result is that of the undisturbed computation" "$(stencil_result job)" "$expected"
is "it never began anew" "$(stencil_resumed job)" ""
ok "there is a server at the end" alive "$(embedded_pid)"
is "which was announced at the beginning only" "$(grep -c "no server is named" "$run_dir/job.err")" 1
done_testing
