#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# holdfast-restart runs a job's recorded command line again, from the epoch of choice; what it cannot do it says,
# and nothing is lost then.
# shellcheck disable=SC2317 # `ok` calls the functions
TIME_LIMIT=240
. "${0%/*}/lib.sh"
plan 47
world=$(run_program world) || bail "world has not been built"
restart=$(run_program holdfast-restart) || bail "holdfast-restart has not been built"
stencil_is_short

# launcher DIRECTORY ARGUMENTS: what a launcher gives to the ranks from now on; ARGUMENTS are JSON.
launcher()
{
	HOLDFAST_COMMAND_DIR=$1 HOLDFAST_COMMAND=$2
	export HOLDFAST_COMMAND_DIR HOLDFAST_COMMAND
}

# restart [ARGUMENT]...: its status is in restart_status, what it says in restart.out and restart.err.
restart()
{
	# Nothing but what it sets itself tells the job its name, server and epoch; MCA variables would win.
	env -u HOLDFAST_SERVER -u HOLDFAST_COMMAND -u HOLDFAST_COMMAND_DIR TMPDIR="$run_dir" \
		"$restart" -s "$server" "$@" >"$run_dir/restart.out" 2>"$run_dir/restart.err" </dev/null
	restart_status=$?
}

restart_said()
{
	grep -qFe "$1" "$run_dir/restart.err"
}

# The rest of the job "heat" at epochs 3 and 4 of 4 ranks, as it was before anything was tried.
kept()
{
	[ "$(newest_epoch heat)" = 4 ] && "$restart" -s "$server" --list heat | grep -q "^epoch 3 "
}

cat >"$run_dir/again" <<END
#!/bin/sh
[ "\$1" = "two words" ] || exit 99
echo "\$PWD" >"$run_dir/directory"
exec mpirun.openmpi --tune "$tune" --oversubscribe --bind-to none -n 4 \\
	"$stencil" $stencil_size --every 10
END
chmod +x "$run_dir/again"
mkdir "$run_dir/in here"
launcher "$run_dir/in here" '["../again", "two words"]'

ok "the computation works without Holdfast" stencil_expected
ok "the server starts" start_server
ok "a job is killed after epoch 4" stencil_rest heat 4
ok "its command line was recorded without a word" fails said heat "command line"
line="cd '$run_dir/in here' && ../again 'two words'"
ok "pmuctl shows it" eval '"$pmuctl" -s "$server" show heat | grep -qFx "run by: $line"'
ok "also as JSON" eval '"$pmuctl" -s "$server" show heat --json | tr -d " \n" |
	grep -qF "\"arguments\":[\"../again\",\"twowords\"]"'

restart --list heat
is "--list gives the complete epochs" "$(cut -d' ' -f1-2 "$run_dir/restart.out" | tr '\n' ' ')" "epoch 3 epoch 4 "
ok "with time and age" grep -qE "^epoch 4 +20[0-9-]+ [0-9:]+ \([0-9]+ s ago\)$" "$run_dir/restart.out"

restart nobody
is "a job that is not there: the status" "$restart_status" 4
restart --epoch 7 heat
is "an epoch that is not there: the status" "$restart_status" 4
ok "and which there are" restart_said "job heat has no complete epoch 7; there are: 3 4"
restart --epoch 1x heat
is "no number: the status" "$restart_status" 2
ok "nothing is lost" kept

# The ranks look themselves.
HOLDFAST_EPOCH=7 && export HOLDFAST_EPOCH
job_as=missing
ok "a run from an epoch that is not there is refused" stencil_refused heat
ok "and told which there are" said missing \
	"job heat has no complete epoch 7, which the variable 'epoch' names; there are: 4, 3"
is "before the program begins" "$(cat "$run_dir/missing.out")" ""
unset HOLDFAST_EPOCH job_as
ok "nothing is lost" kept

restart --epoch 3 heat
is "a job is run again from an older epoch" "$restart_status" 0
ok "by the recorded command" restart_said "holdfast-restart: job heat: $line"
is "in its directory" "$(cat "$run_dir/directory")" "$run_dir/in here"
ok "it is said that a newer one is passed over" restart_said \
	"holdfast: job heat: going back to epoch 3, as the variable 'epoch' says: newer ones, up to 4, are passed over"
ok "it goes on from there" restart_said "resumed from epoch 3 at step 30"
is "to the right result" "$(cat "$run_dir/restart.out")" "$expected"
is "after which nothing is left" "$(newest_epoch heat)" ""

# Of the newest, by another launcher's command.
ok "a job is killed again" stencil_rest heat 4
launcher "$run_dir" '["./again", "two words"]'
job_as=other
point_on_rank 0 ckpt-put:stop
stencil_start heat "$run_dir/pointed"
ok "another command line is announced" wait_for 60 said other "its command line is not the recorded one."
ok "with what it is, and what it was" said other "Now: cd $run_dir && ./again 'two words'  Before: $line"
ok "it goes on" wait_for 60 epoch_reached heat 5
restart heat
is "a job that is running is left alone: the status" "$restart_status" 1
ok "and the reason" restart_said "job heat is running"
job_kill
unset job_as
wait_for 60 attached heat 0
rm "$run_dir/directory"
restart heat
is "it is run again from the newest epoch" "$restart_status" 0
ok "which is that" restart_said "resumed from epoch 5 at step 50"
is "by the newer command" "$(cat "$run_dir/directory")" "$run_dir"
is "to the right result" "$(cat "$run_dir/restart.out")" "$expected"

# A chosen epoch is where a launch begins, however often it is started again before it has got any further.
ok "a job is killed once more" stencil_rest heat 4
HOLDFAST_EPOCH=3 HOLDFAST_LAUNCH=00112233445566778899aabbccddeeff HOLDFAST_INCARNATION=0
export HOLDFAST_EPOCH HOLDFAST_LAUNCH HOLDFAST_INCARNATION
job_as=first stencil_delay_ms=1000
stencil_start heat
ok "it is run from an older epoch" wait_for 60 said first "resumed from epoch 3 at step 30"
job_kill
HOLDFAST_INCARNATION=1
job_as=second stencil_delay_ms=0
point_on_rank 0 ckpt-put:stop
stencil_start heat "$run_dir/pointed"
ok "its launcher starts it again, and it gets further" wait_for 60 epoch_reached heat 5
is "from the chosen epoch" "$(stencil_resumed second)" 3
job_kill
HOLDFAST_INCARNATION=2
job_as=third
ok "once more" stencil_run heat
is "from its own newest" "$(stencil_resumed third)" 5
unset HOLDFAST_EPOCH HOLDFAST_LAUNCH HOLDFAST_INCARNATION job_as

unset HOLDFAST_COMMAND
job plain 2 "$world" protect checkpoint || bail "world fails"
restart plain
is "a job without a recorded command: the status" "$restart_status" 1
ok "and what to do" restart_said \
	"job plain has no recorded command line, as its launcher gave none: run it again by hand, with HOLDFAST_JOB=plain"

launcher "$run_dir/gone" '["./again"]'
job lost 2 "$world" protect checkpoint || bail "world fails"
restart lost
is "a directory that is gone: the status" "$restart_status" 1
ok "which is named" restart_said "its directory $run_dir/gone: No such file or directory"
launcher "$run_dir" '["mpirun", 1]'
ok "what a launcher garbles is refused" job_refused garbled 2 "$world" protect
ok "and named" said garbled "element 1 of HOLDFAST_COMMAND is no string"
ok "the server stops without complaint" stop_server
done_testing
