#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# holdfast-mpirun runs what mpirun runs, and as a loop around any mpiexec it starts a failed job again, demanding
# proof that it got to its end.
# shellcheck disable=SC2154 # lib.sh's and run.sh's
TIME_LIMIT=240
. "${0%/*}/lib.sh"
plan 21
programs() { launcher=$(run_program holdfast-mpirun) && mishap=$(run_program mishap) && world=$(run_program world); }
programs || bail "the build tree lacks what this test runs"
options="--oversubscribe --bind-to none"

# looped NAME ARGUMENT...: sets looped_code
looped()
{
	looped_as=$1
	shift
	"$launcher" --loop "$@" >"$run_dir/$looped_as.out" 2>"$run_dir/$looped_as.err" </dev/null
	looped_code=$?
}

# fake CODE...: an mpiexec that ends with these exit codes, one after another, and then with the last.
fake()
{
	mkdir -p "$run_dir/bin"
	printf '%s\n' "$@" >"$run_dir/codes"
	cat >"$run_dir/bin/mpiexec" <<-END
		#!/bin/sh
		echo "incarnation \$HOLDFAST_INCARNATION of \$HOLDFAST_LAUNCH: \$*"
		code=\$(sed -n "\$((HOLDFAST_INCARNATION + 1))p" "$run_dir/codes")
		exit "\${code:-\$(tail -n 1 "$run_dir/codes")}"
	END
	chmod +x "$run_dir/bin/mpiexec"
}

ok "--help says what it does" sh -c "'$launcher' --help | grep -q -- --loop"
ok "without arguments it fails" fails "$launcher"

path=$PATH
PATH=$run_dir/bin:$PATH
fake 7
looped fails -n 2 app
is "a job that fails each time ends with its exit code" "$looped_code" 7
is "after five restarts" "$(grep -c '^incarnation [0-5] ' "$run_dir/fails.out")" 6
is "of one launch" "$(sed 's/.* of \(.*\):.*/\1/' "$run_dir/fails.out" | sort -u | wc -l)" 1
is "each with the arguments" "$(grep -c ': -n 2 app$' "$run_dir/fails.out")" 6
fake 9 75
looped requeue app
is "an exit code that asks for no restart ends the loop" "$looped_code" 75
is "at once" "$(wc -l <"$run_dir/requeue.out")" 2
fake 0
looped unproved app
is "exit code 0 without proof is no success" "$looped_code" 1
ok "and the job is started again" grep -q "the job ended without reaching MPI_Finalize: the job is started again" \
	"$run_dir/unproved.err"
PATH=$path

ok "the server starts" start_server
# shellcheck disable=SC2086 # a list of words
looped real --tune "$tune" $options --mca hook_holdfast_server "$server" -n 2 "$mishap" kill
is "a killed rank: the loop ends with success" "$looped_code" 0
is "after one restart" "$(grep -c 'is started again' "$run_dir/real.err")" 1
is "in which all ranks were there" "$(grep -c 'incarnation 1$' "$run_dir/real.out")" 2
# shellcheck disable=SC2086
looped late --tune "$tune" $options --mca hook_holdfast_server "$server" -n 2 "$mishap" late
is "exit code 3 after MPI_Finalize is the job's" "$looped_code" 3
is "and there is no restart" "$(grep -c 'is started again' "$run_dir/late.err")" 0

unset OMPI_MCA_mca_base_component_path PMIX_MCA_mca_base_component_path
# shellcheck disable=SC2086
TMPDIR=$run_dir "$launcher" $options $one_node --mca hook_holdfast_server "$server" \
	--mca hook_holdfast_job direct -n 2 "$world" protect checkpoint >"$run_dir/direct.out" \
	2>"$run_dir/direct.err" </dev/null
is "under Open MPI the job is protected" "$?" 0
ok "by the plug-in" grep -q '^attached' "$run_dir/direct.out"
is "its checkpoint is there" "$(newest_epoch direct)" 1
is "nothing is said that mpirun alone does not say" "$(grep -cv '^holdfast: job direct' "$run_dir/direct.err")" 0
ok "the server stops without complaint" stop_server
done_testing
