#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The machine of a server is killed while a job puts checkpoints into its persistent memory. When it is up again, the
# server has all that was complete, and the job resumes from it.
vm=none TIME_LIMIT=500
. "${0%/*}/lib.sh"

# In the machine: the phase's part, with the pool in the memory module.
if [ -n "${HOLDFAST_VM_GUEST-}" ]; then
	run_init || exit
	stencil_size='--nx 120 --ny 80 --steps 100' stencil_delay_ms=100
	# shellcheck disable=SC2034 # of run.sh
	job_options='--mca hook_holdfast_timeout 60'
	case $1 in
	before)
		stencil_expected || exit
		echo "expected: $expected"
		block=$(nvdimm_mode 1024 fsdax) || exit
		;;
	after) block=/dev/pmem0 ;;
	esac
	nvdimm_mount "$block" /tmp/pmem && start_server --pool /tmp/pmem/pool --size 512M || exit
	[ "$1" = before ] || echo "newest: $(newest_epoch job)"
	stencil_start job
	if [ "$1" = before ]; then
		wait_for 200 epoch_reached job 3 || exit
		echo "complete: $(newest_epoch job)"
		sleep 300 # the machine does not live as long
		exit 1
	fi
	job_wait || { cat "$run_dir/job.err" "$run_dir/server.log"; exit 1; }
	echo "resumed: $(stencil_resumed job)"
	echo "result: $(stencil_result job)"
	exit 0
fi

plan 7
# machine PHASE
machine()
{
	exec /share/source/tests/vm/boot --nvdimm 1G --keep-nvdimm "$run_dir/nvdimm" --limit 240 \
		--pid-file "$run_dir/qemu" sh "$0" "$1" >"$run_dir/$1.out" 2>&1
}

# value PHASE NAME: what the machine printed as that.
value()
{
	tr -d '\r' <"$run_dir/$1.out" | sed -n "s/^$2: //p"
}

printed()
{
	[ -n "$(value "$1" "$2")" ] || ! alive "$machine_pid"
}

machine before &
machine_pid=$!
run_jobs="$run_jobs $machine_pid"
ok "a machine boots, and a job runs in it until epochs are complete" wait_for 240 printed before complete
complete=$(value before complete)
ok "it is known which" test "${complete:-0}" -ge 3
ok "the machine can be killed" kill -KILL "$(cat "$run_dir/qemu")"
wait $machine_pid

ok "it boots again, and the same job succeeds there" eval '(machine after)'
newest=$(value after newest)
ok "the server has what was complete" test "${newest:-0}" -ge "$complete"
is "the job resumed from the newest complete epoch" "$(value after resumed)" "${newest:-none}"
expected=$(value before expected)
is "its result is that of the undisturbed computation" "$(value after result)" "${expected:-none}"
done_testing
