# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154 # builddir comes from the script, the programs go to it
# run.sh - running servers and MPI jobs from the build tree, for the system tests and ./quickstart.
#
# Sourced by a script that has set `builddir` and then calls run_init. All that is started here is ended
# when the script ends, however it does, and nothing else is.

# Makes the scratch directory $run_dir, in memory where there is room, and finds the programs.
run_init()
{
	run_servers='' run_jobs='' run_orphans='' server='' run_dir=''
	trap 'run_cleanup' EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM

	# Only what a script sets itself may reach the programs: no file of the user's, and not the batch
	# job that this may run in.
	unset SLURM_JOB_ID PBS_JOBID LSB_JOBID JOB_ID
	for run_variable in $(env | sed -n 's/^\(HOLDFAST_[A-Z_]*\)=.*/\1/p'); do
		case $run_variable in
		HOLDFAST_ROOTS | HOLDFAST_TEST_*) ;;
		*) unset "$run_variable" ;;
		esac
	done
	HOLDFAST_CONFIG=/dev/null
	export HOLDFAST_CONFIG

	run_parent=${TMPDIR:-/tmp}
	if [ -w /dev/shm ] && [ "$(df -Pk /dev/shm | awk 'NR == 2 { print $4 }')" -gt 3000000 ]; then
		run_parent=/dev/shm
	fi
	run_dir=$(mktemp -d "$run_parent/holdfast.XXXXXX")

	pmu_server=$(run_program pmu-server) && pmuctl=$(run_program pmuctl) &&
		stencil=$(run_program stencil) && run_open_mpi || return 1

	# A job that is given no server starts one of its own.
	mkdir -m 700 "$run_dir/runtime"
	XDG_STATE_HOME=$run_dir/state XDG_RUNTIME_DIR=$run_dir/runtime HOLDFAST_PMU_SERVER=$pmu_server
	export XDG_STATE_HOME XDG_RUNTIME_DIR HOLDFAST_PMU_SERVER
}

# The path of a program in the build tree: itself, and not libtool's script that would start it.
run_program()
{
	run_found=$(run_built "$1" -perm -u+x -path '*/.libs/*')
	[ -n "$run_found" ] || run_found=$(run_built "$1" -perm -u+x)
	if [ -z "$run_found" ]; then
		echo "$1 has not been built in $builddir" >&2
		return 1
	fi
	readlink -f "$run_found"
}

# run_built NAME [CONDITION]...: a file of that name, but not of another build below this one.
run_built()
{
	run_name=$1
	shift
	find "$builddir" -path "$builddir/build" -prune -o \( -name "$run_name" -type f "$@" -print \) |
		head -n 1
}

# Makes mpirun find the plug-in of the build tree, and start ranks as root and on small machines too. Sets one_node:
# options for ranks that are all on one node, which start in a third of the time where they need not try every network.
run_open_mpi()
{
	run_library=$(run_built 'libholdfast.so.*')
	run_plugin=$(run_built mca_hook_holdfast.so)
	if [ -z "$run_library" ] || [ -z "$run_plugin" ]; then
		echo "libholdfast and its plug-in have not been built in $builddir" >&2
		return 1
	fi
	LD_LIBRARY_PATH=$(dirname "$run_library")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
	OMPI_ALLOW_RUN_AS_ROOT=1
	OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
	export LD_LIBRARY_PATH OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM

	run_sanitizer=$(ldd "$run_plugin" | awk '$1 ~ /^lib[at]san[.]/ { print $3 }')
	[ -z "$run_sanitizer" ] || run_sanitized
	mkdir "$run_dir/components" "$run_dir/none"
	ln -s "$run_plugin" "$run_dir/components/"
	run_launcher=$(run_built mca_errmgr_holdfast.so)
	[ -z "$run_launcher" ] || ln -s "$run_launcher" "$run_dir/components/"
	# Options of mpirun with which it starts failed jobs again.
	restarting='--mca errmgr_holdfast_enable 1 --mca odls_base_sigkill_timeout 0'
	tune=$run_dir/holdfast.tune
	echo "--mca hook_holdfast_enable 1" >"$tune"
	case $(ompi_info --version) in
	*v4.*)
		one_node='--mca pml ob1 --mca btl self,vader'
		echo "--mca btl_vader_backing_directory $run_dir" >>"$tune" # what killed ranks leave there
		echo "--mca mca_base_component_path $run_dir/components:SYSTEM_DEFAULT" >>"$tune"
		;;
	*)
		one_node='--mca pml ob1 --mca btl self,sm'
		echo "--mca btl_sm_backing_directory $run_dir" >>"$tune"
		# Debian's mpirun gives its ranks PMIx's component path, unless both are set beforehand.
		OMPI_MCA_mca_base_component_path=$run_dir/components
		PMIX_MCA_mca_base_component_path=$run_dir/none
		export OMPI_MCA_mca_base_component_path PMIX_MCA_mca_base_component_path
		;;
	esac
	echo "$one_node" | sed 's/ --mca/\n--mca/' >>"$tune"
}

# In a build with sanitizers: mpirun itself is none, and takes components of ours only where their library came first. What
# it leaves to the end of its process is not ours; leaks are looked for by other tests. What a sanitizer says goes to
# $run_dir/sanitizers/.
run_sanitized()
{
	mkdir "$run_dir/sanitized"
	# Not by LD_PRELOAD: what mpirun starts, shells for instance, would have it, too, and is not made for it.
	run_loader=$(ldd "$run_plugin" | awk '$1 ~ /^[/].*[/]ld-/ { print $1 }')
	mkdir -m 1777 "$run_dir/sanitizers" # some processes are other users'
	for run_name in mpirun mpirun.openmpi mpiexec; do
		cat >"$run_dir/sanitized/$run_name" <<-END
			#!/bin/sh
			exec $run_loader --argv0 $run_name --preload $run_sanitizer $(command -v "$run_name") "\$@"
		END
		chmod +x "$run_dir/sanitized/$run_name"
	done
	PATH=$run_dir/sanitized:$PATH
	run_tests=$(readlink -f "${top_srcdir:-$builddir/../..}/tests")
	# Programs that are to die of a signal do.
	run_options=log_path=$run_dir/sanitizers/said:handle_segv=0:handle_sigbus=0:handle_sigfpe=0
	ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}$run_options:detect_leaks=0:suppressions=$run_tests/asan.supp
	UBSAN_OPTIONS=${UBSAN_OPTIONS:+$UBSAN_OPTIONS:}$run_options:print_stacktrace=1
	# Threads that a destructor of a library joins are taken for lost.
	TSAN_OPTIONS=${TSAN_OPTIONS:+$TSAN_OPTIONS:}$run_options:report_signal_unsafe=0:report_thread_leaks=0
	TSAN_OPTIONS=$TSAN_OPTIONS:suppressions=$run_tests/tsan.supp
	export PATH ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS
}

# What is waited for takes most of the processor itself where it starts programs: none here.
run_uptime()
{
	read -r run_now run_rest </proc/uptime
	run_now=${run_now%.*}
}

# wait_for SECONDS COMMAND [ARGUMENT]...: until the command succeeds; fails when the time is over. It is tried each
# tenth of a second (or $wait_step).
wait_for()
{
	run_uptime
	run_deadline=$((run_now + $1))
	shift
	until "$@"; do
		run_uptime
		[ "$run_now" -le "$run_deadline" ] || return 1
		sleep "${wait_step:-0.1}"
	done
}

# process_state PID: sets run_state to the letter that the kernel has for it; empty where there is no such process.
process_state()
{
	run_state=
	[ -r "/proc/$1/status" ] || return 0
	while read -r run_key run_value run_rest; do
		[ "$run_key" != State: ] || { run_state=$run_value; break; }
	done 2>/dev/null <"/proc/$1/status" || :
}

alive()
{
	process_state "$1"
	# A zombie is dead: it only waits for us to notice.
	case $run_state in
	'' | Z | X) return 1 ;;
	esac
}

# stopped PID: it hangs at a test point, or by SIGSTOP.
stopped()
{
	process_state "$1"
	[ "$run_state" = T ]
}

gone()
{
	! alive "$1"
}

# The process, its children, and theirs, one a line.
descendants()
{
	echo "$1"
	for run_child in $(pgrep -P "$1"); do
		descendants "$run_child"
	done
}

# start_server [OPTION]...: a pmu-server on $run_dir/pool, which has 20 seconds (times $slowness) to be ready. Sets
# server (its address) and server_pid. A second one goes on where the first was: same pool, same address. Most tests are
# of the fabric, though the server is on the ranks' node; with server_local=yes these copy by themselves where they may choose.
start_server()
{
	rm -f "$run_dir/ready"
	${server_prefix-} "$pmu_server" --foreground --pool "$run_dir/pool" --size 1G --listen "${server:-127.0.0.1:0}" \
		--auth none --ready-file "$run_dir/ready" --local="${server_local:-no}" "$@" >>"$run_dir/server.log" 2>&1 </dev/null &
	server_pid=$!
	run_servers="$run_servers $server_pid"
	if ! wait_for $((20 * ${slowness:-1})) server_started || ! alive "$server_pid"; then
		echo "pmu-server did not start:" >&2
		tail -n 20 "$run_dir/server.log" >&2
		return 1
	fi
	server=$(sed -n 1p "$run_dir/ready")
	HOLDFAST_SERVER=$server
	export HOLDFAST_SERVER
}

server_started()
{
	[ -s "$run_dir/ready" ] || ! alive "$server_pid"
}

# stop_server: as an administrator does. Its exit status is the server's; 124 if it does not end.
stop_server()
{
	kill -TERM "$server_pid"
	wait_for 20 gone "$server_pid" || return 124
	wait "$server_pid"
}

# kill_server: as a power failure does.
kill_server()
{
	run_orphans="$run_orphans $(pgrep -P "$server_pid" | tr '\n' ' ')"
	kill -KILL "$server_pid"
	wait "$server_pid" 2>/dev/null || :
}

# The processes of the network interface, one a user.
ni_pids()
{
	pgrep -P "$server_pid"
}

# job_start NAME RANKS PROGRAM [ARGUMENT]...: in the background; sets job_pid. Its output goes to
# $run_dir/NAME.out and .err; of a second run at the same time, with job_as=OTHER, to OTHER.out and .err. Name
# and server ($server; "": none) reach it through the plug-in only. $job_options are further ones of mpirun.
job_start()
{
	job_name=$1 job_ranks=$2 job_output=$run_dir/${job_as:-$1}
	shift 2
	# Now: the job may take its time to, and what it said the last time is nothing that it says.
	: >"$job_output.out"
	: >"$job_output.err"
	# shellcheck disable=SC2086 # a list of words
	env -u HOLDFAST_SERVER TMPDIR="$run_dir" \
		mpirun.openmpi --tune "$tune" ${server:+--mca hook_holdfast_server "$server"} \
		--mca hook_holdfast_job "$job_name" ${job_options-} --oversubscribe --bind-to none \
		-n "$job_ranks" "$@" >"$job_output.out" 2>"$job_output.err" </dev/null &
	job_pid=$!
	run_jobs="$run_jobs $job_pid"
}

# Its exit status is mpirun's.
job_wait()
{
	wait "$job_pid"
}

job()
{
	job_start "$@"
	job_wait
}

# rank_pid RANK: the process of that rank of the job that runs.
rank_pid()
{
	for run_pid in $(descendants "$job_pid"); do
		if tr '\0' '\n' 2>/dev/null <"/proc/$run_pid/environ" |
			grep -qx "OMPI_COMM_WORLD_RANK=$1"; then
			echo "$run_pid"
			return
		fi
	done
	return 1
}

# The process of the server that jobs without a server started.
embedded_pid()
{
	cat "$run_dir"/state/holdfast/*/pool/lock 2>/dev/null
}

# newest_epoch JOB: the newest complete one; nothing where there is no such job.
newest_epoch()
{
	"$pmuctl" ${server:+-s "$server"} show "$1" --json 2>/dev/null |
		sed -n 's/.*"complete_epoch": *\([0-9]*\).*/\1/p' | head -n 1
}

# epoch_reached JOB EPOCH: is it complete, or a newer one?
epoch_reached()
{
	run_epoch=$(newest_epoch "$1")
	[ "${run_epoch:-0}" -ge "$2" ]
}

run_cleanup()
{
	run_status=$?
	trap '' HUP INT TERM
	run_doomed=
	for run_pid in $run_jobs $run_servers; do
		run_doomed="$run_doomed $(descendants "$run_pid" | tr '\n' ' ')"
	done
	# Whoever wrote itself into the lock of a pool here: servers that jobs started, too.
	for run_pid in $run_orphans $(find "$run_dir/" -name lock -type f -exec cat {} + 2>/dev/null); do
		# The number may be another's by now.
		[ "$(readlink "/proc/$run_pid/exe")" != "$pmu_server" ] || run_doomed="$run_doomed $run_pid"
	done
	# shellcheck disable=SC2086 # a list of words
	[ -z "$run_doomed" ] || kill -KILL $run_doomed 2>/dev/null || :
	wait
	[ -z "$run_dir" ] || rm -rf "$run_dir"
	exit "$run_status"
}
