#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A job that names no server gets one of this node's own: one for all, which outlives the job, has what the
# next run needs, is found by pmuctl, and ends when nobody needs it.
# shellcheck disable=SC2317 # `ok` calls the functions
TIME_LIMIT=240
. "${0%/*}/lib.sh"
plan 32
world=$(run_program world) || bail "world has not been built"
HOME=$run_dir/home && export HOME
mkdir "$HOME"
pool=$run_dir/state/holdfast/$(uname -n)/pool

# Those that serve the pool: the owner of the metadata, and not its network interface.
servers()
{
	for found in $(pgrep -x pmu-server); do
		tr '\0' ' ' <"/proc/$found/cmdline" 2>/dev/null | grep -qF -- "--pool $pool " && echo "$found"
	done
}

# Pipes whose other end is another's, and files in our directory but for the pool's.
descriptors_of_others()
{
	find "/proc/$1/fd" \( -lname 'pipe:*' -o -lname "$run_dir/*" \) -exec readlink {} + |
		grep -v -e "^$pool/" -e "^$pool\$" | sort | uniq -u
}

ended()
{
	wait_for 60 gone "$job_pid" || { echo "it still runs after 60 s"; return 1; }
	job_wait
}

ok "the computation works without Holdfast" stencil_expected
"$pmuctl" jobs >"$run_dir/none.out" 2>"$run_dir/none.err"
is "where none runs, pmuctl fails" $? 1
ok "says so, and where its pool would be" grep -qF \
	"no server is named, and no pmu-server of your own runs on this node (its pool is $pool;" "$run_dir/none.err"
ok "and leaves nothing behind" fails test -e "$run_dir/state"

job_start first 8 "$world" protect checkpoint
ok "a job of 8 ranks without a server comes to its end" ended
first=$(embedded_pid)
ok "its server is there" alive "$first"
is "one for all" "$(servers)" "$first"
is "it was announced once, with its pool" "$(grep -cF \
	"no server is named: a pmu-server of this node's own was started, with its pool in $pool" \
	"$run_dir/first.err")" 1
is "it belongs to no terminal or job" "$(ps -o sid= -p "$first" | tr -d ' ')" "$first"
is "it holds none of the job's pipes or files" "$(descriptors_of_others "$first")" ""
is "pmuctl finds it" "$(newest_epoch first)" 1
is "and asks the right one" "$("$pmuctl" stat | sed -n 's/^pool.directory  *//p')" "$pool"

stencil_start heat
ok "a job makes checkpoints there" wait_for 60 epoch_reached heat 3
ok "and is told nothing, as nothing is new" fails said heat "no server is named"
job_kill
ok "killed with its launcher, it leaves the server alone" alive "$first"
epoch=$(newest_epoch heat)
ok "the same command again" stencil_run heat
is "resumes from there" "$(stencil_resumed heat)" "$epoch"
is "and computes the same" "$(stencil_result heat)" "$expected"
is "with the same server" "$(servers)" "$first"

kill -KILL "$first"
ok "the server can be killed" wait_for 20 gone "$first"
"$pmuctl" jobs >"$run_dir/none.out" 2>"$run_dir/none.err"
is "pmuctl has none any more" $? 1
job_options="--mca hook_holdfast_pool_idle 2"
job_as=again
ok "the next job starts it again" job first 8 "$world" protect restore
unset job_options job_as
ok "and says so" said again "was started, with its pool in $pool"
ok "what was there is there" grep -q "restore: success, epoch 1" "$run_dir/again.out"
second=$(embedded_pid)
ok "it is another one" test "$second" != "$first"
ok "which ends by itself when it is idle" wait_for 60 gone "$second"
ok "and takes its socket along" fails ls "$run_dir"/runtime/*.sock

head -c 32 /dev/urandom >"$run_dir/key" && chmod 600 "$run_dir/key"
job_options="--mca hook_holdfast_pool $run_dir/elsewhere --mca hook_holdfast_pool_size 100M
	--mca hook_holdfast_key_file $run_dir/key"
ok "with a pool that is named, and a key that is for other servers" job placed 2 "$world" protect checkpoint
unset job_options
ok "it is announced" said placed "with its pool in $run_dir/elsewhere"
HOLDFAST_POOL=$run_dir/elsewhere && export HOLDFAST_POOL
is "pmuctl finds it by the same variable" "$(newest_epoch placed)" 1
is "its size is what was asked for" "$("$pmuctl" stat | sed -n 's/^pool.size_bytes  *//p')" 104857600
unset HOLDFAST_POOL
"$pmuctl" jobs >"$run_dir/none.out" 2>"$run_dir/none.err"
is "and not without" $? 1
done_testing
