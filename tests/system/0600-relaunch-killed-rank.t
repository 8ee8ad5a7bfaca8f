#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# mpirun of Open MPI 5.0 goes on when ranks are killed, one after another: the same mpirun, the same result.
# shellcheck disable=SC2154 # server_pid and the like are run.sh's
TIME_LIMIT=240
. "${0%/*}/lib.sh"
. "${0%/*}/prte.sh"
prte_plan 12

ok "the computation works without Holdfast" stencil_expected
ok "the server starts" start_server
# shellcheck disable=SC2086,SC2154 # a list of words; lib.sh's
relaunch_start job 4 "$stencil" $stencil_size --every 10 --delay-ms "$stencil_delay_ms"
ok "epochs get complete" wait_for 60 epoch_reached job 3
ok "rank 2 can be killed" kill -KILL "$(rank_pid 2)"
ok "the next incarnation gets further" wait_for 60 epoch_reached job 8
ok "rank 0 can be killed" kill -KILL "$(rank_pid 0)"
ok "mpirun ends with success" job_wait
is "it announced each restart" "$(restarts job)" 2
ok "with the rank and the signal" said job "rank 2 on $(hostname) was killed by signal 9 (Killed)"
is "each incarnation resumed from an epoch" "$(stencil_resumed job | wc -l)" 2
is "the result is that of the undisturbed computation" "$(stencil_result job)" "$expected"
ok "the server stops without complaint" stop_server
done_testing
