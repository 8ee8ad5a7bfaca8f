# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154 # lib.sh's variables, and the test's
# prte.sh - jobs that mpirun of Open MPI 5.0 starts again. Sourced after lib.sh; prte_plan in place of plan.

prte_plan()
{
	case $(ompi_info --version) in
	*v5.0.*) ;;
	*) skip_all "the launcher of this Open MPI is not PRRTE" ;;
	esac
	[ -e "$builddir/.libs/pmix_mca_errmgr_holdfast.so" ] || skip_all "errmgr/holdfast for PRRTE has not been built"
	plan "$1"
	prte_programs || bail "the build tree lacks what this test runs"
}

# holdfast-mpirun finds the components by itself.
prte_programs()
{
	unset OMPI_MCA_mca_base_component_path PMIX_MCA_mca_base_component_path
	launcher=$(run_program holdfast-mpirun) && mishap=$(run_program mishap)
}

# relaunch_start NAME RANKS PROGRAM [ARGUMENT]...: as job_start, under holdfast-mpirun. Its standard input is
# $job_input, or nothing; $job_options are further ones of mpirun, $job_placement is how it fills nodes.
relaunch_start()
{
	job_name=$1 job_ranks=$2
	shift 2
	# shellcheck disable=SC2086 # a list of words
	env -u HOLDFAST_SERVER TMPDIR="$run_dir" "$launcher" ${job_options-$one_node} \
		--mca btl_sm_backing_directory "$run_dir" --mca hook_holdfast_server "$server" \
		--mca hook_holdfast_job "$job_name" ${job_placement---oversubscribe} --bind-to none -n "$job_ranks" "$@" \
		>"$run_dir/$job_name.out" 2>"$run_dir/$job_name.err" <"${job_input:-/dev/null}" &
	job_pid=$!
	run_jobs="$run_jobs $job_pid"
}

relaunch()
{
	relaunch_start "$@"
	job_wait
}

# mishap WHAT [TIMES [RANK]]: three ranks.
mishap()
{
	relaunch "$1" 3 "$mishap" "$@"
}

# restarts NAME: how many were announced.
restarts()
{
	grep -c 'holdfast: .*: the job is started again' "$run_dir/$1.err"
}

# lines NAME INCARNATION: how many ranks of it there were.
ranks_of()
{
	grep -c "incarnation $2\$" "$run_dir/$1.out"
}

# exit_code COMMAND [ARGUMENT]...
exit_code()
{
	"$@" >&2
	echo $?
}
