#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The batch script of docs/slurm.md has the job leave when it is warned, requeues it, and goes on in the next run.
# What is Slurm's is played: the warning signal, the job's number, and scontrol.
# shellcheck disable=SC2317 # `ok` calls the functions
TIME_LIMIT=180
. "${0%/*}/lib.sh"
command -v bash >/dev/null || skip_all "the script is bash's, which is not here"
plan 14
sed -n '/^```sh$/,/^```$/p' "${0%/*}/../../docs/slurm.md" | sed '/^```/d' >"$run_dir/script"

mkdir "$run_dir/bin"
cat >"$run_dir/bin/mpirun" <<END
#!/bin/sh
# "--tune holdfast -n RANKS ./app": the plug-in of the build tree, and an application of ours.
[ "\$1 \$2 \$3 \$5" = "--tune holdfast -n ./app" ] || exit 99
echo \$\$ >"$run_dir/mpirun.pid"
. "$run_dir/server.sh"
exec mpirun.openmpi --tune "$tune" --oversubscribe --bind-to none -n "\$4" "$stencil" $stencil_size --delay-ms \$delay_ms
END
cat >"$run_dir/bin/scontrol" <<END
#!/bin/sh
echo "scontrol \$*" >>"$run_dir/scontrol.log"
END
chmod +x "$run_dir/bin/mpirun" "$run_dir/bin/scontrol"
: >"$run_dir/scontrol.log"

# batch NAME DELAY: what Slurm does: starts the script, in the background.
batch()
{
	echo "export HOLDFAST_SERVER=$server; unset HOLDFAST_KEY_FILE; delay_ms=$2" >"$run_dir/server.sh"
	SLURM_JOB_ID=77 SLURM_NTASKS=4 TMPDIR=$run_dir PATH=$run_dir/bin:$PATH \
		bash "$run_dir/script" >"$run_dir/$1.out" 2>"$run_dir/$1.err" </dev/null &
	job_pid=$!
	run_jobs="$run_jobs $job_pid"
}

ok "the page has a script" test -s "$run_dir/script"
ok "which is one" bash -n "$run_dir/script"
ok "the computation works without Holdfast" stencil_expected
ok "the server starts" start_server
batch first 60
ok "the job starts" wait_for 60 attached slurm-77 4
ok "the shell is warned" kill -USR2 "$job_pid"
job_wait
is "the script's status is the job's" "$?" 75
is "the job was requeued, once" "$(cat "$run_dir/scontrol.log")" "scontrol requeue 77"
is "there is no result yet" "$(cat "$run_dir/first.out")" ""
batch second 0
job_wait
is "the next run succeeds" "$?" 0
is "it had gone on from the checkpoint" "$(stencil_resumed second)" 1
is "to the right result" "$(stencil_result second)" "$expected"
is "and nothing is requeued" "$(wc -l <"$run_dir/scontrol.log")" 1
ok "the server stops without complaint" stop_server
done_testing
