#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Memory that an RDMA device cannot register is refused when the server starts, before it is ready: files of a file
# system with DAX, and those of a disk's page cache. By libfabric the first is a medium like others, whose stores last
# when they are out of the processor's caches; those of ranks on the server's node, too, so that COMMIT has nothing to flush.
vm='--nvdimm 512M,mem-ctrl' TIME_LIMIT=400
. "${0%/*}/lib.sh"
plan 48

pool=/tmp/pmem/pool

file_server()
{
	start_server --pool "$pool" --size 200M "$@"
}

# over_verbs [OPTION]...: a server that must not start.
# shellcheck disable=SC2154 # of run.sh
over_verbs()
{
	rm -f "$run_dir/ready"
	refused "$pmu_server" --foreground --size 100M --auth none --listen 127.0.0.1:0 --ready-file "$run_dir/ready" \
		--net verbs --fabric-listen "$rdma_address" "$@"
}

# refused_over_verbs WHAT REASON [OPTION]...
refused_over_verbs()
{
	what=$1 reason=$2
	shift 2
	ok "$what is refused over verbs" over_verbs "$@"
	ok "with the reason" grep -q "cannot be served by --net verbs: .* rxe0 cannot register $reason" "$run_dir/refused.err"
	ok "and the next step" grep -q 'Keep the slots on tmpfs, hugetlbfs or a devdax device' "$run_dir/refused.err"
	ok "it was never ready" test ! -e "$run_dir/ready"
}

# Does the NI map slots past the page cache, so that what is stored needs no call to the file system (VM_SYNC, sf)?
slots_are_direct()
{
	for ni in $(ni_pids); do
		awk '/\/slots\// { slot = 1; next } /^[0-9a-f]+-/ { slot = 0 }
			slot && /^VmFlags:/ { maps++; if (/ sf( |$)/) direct++; slot = 0 }
			END { exit !(maps && maps == direct) }' "/proc/$ni/smaps" || return 1
	done
}

stencil_is_short
# shellcheck disable=SC2034 # of run.sh
job_options='--mca hook_holdfast_timeout 60'
block=$(nvdimm_mode 512 fsdax)
ok "the memory module becomes a disk with a file system" nvdimm_mount "$block" /tmp/pmem
ok "the soft-RoCE device comes up" rdma_up
ok "the computation works without Holdfast" stencil_expected

refused_over_verbs "a pool on a file system with DAX" 'files of a DAX file system (fsdax): it lacks' --pool "$pool"
refused_over_verbs "one with only its slots there" 'files of a DAX file system (fsdax): it lacks' \
	--pool "$run_dir/elsewhere" --data /tmp/pmem

# cycle METHOD: a job and its server are killed, and go on from what METHOD made durable.
cycle()
{
	ok "$1: the same pool is served" file_server
	is "$1: it is known what it is" "$(stat_of pool.medium)" "ext4 (DAX)"
	is "$1: it survives what such memory does" "$(stat_of pool.survives)" "process death, reboot and power loss"
	is "$1: it takes a flush of cache lines" "$(stat_of pool.flush)" "cache lines"
	point_on_rank 2 ckpt-put:stop:4 # it gets no further, however slow this is
	stencil_start job "$run_dir/pointed"
	ok "$1: epochs get complete" wait_for 120 epoch_reached job 3
	ok "$1: slots are mapped without a page cache" slots_are_direct
	is "$1: it made all sets durable" "$(stat_of "count.commits_$1")" "$(stat_of count.commits)"
	ok "$1: rank 2 can be killed" kill -KILL "$(rank_pid 2)"
	ok "$1: mpirun reports the failure" fails job_wait
	epoch=$(newest_epoch job)
	kill_server
	ok "$1: the server starts again, after kill -9" file_server
	is "$1: it has what was complete" "$(newest_epoch job)" "$epoch"
	ok "$1: each byte of it is sound" "$pmuctl" -s "$server" verify job
	stencil_start job
	ok "$1: the same command succeeds" job_wait
	is "$1: it resumed from the newest complete epoch" "$(stencil_resumed job)" "$epoch"
	is "$1: its result is that of the undisturbed computation" "$(stencil_result job)" "$expected"
	ok "$1: the server stops without complaint" stop_server
}
cycle server
# shellcheck disable=SC2034 # of run.sh
server_local=yes
cycle store

ok "the file system can be had without DAX" eval 'umount /tmp/pmem && mount -o dax=never "$block" /tmp/pmem'
refused_over_verbs "a pool in a disk's page cache" 'this memory: the kernel pins no pages of files on a disk' --pool "$pool"
done_testing
