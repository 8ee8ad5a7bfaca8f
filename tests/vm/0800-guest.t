#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The virtual machine is what the other tests take it for.
vm='--nvdimm 256M --nvdimm 512M'
. "${0%/*}/lib.sh"
plan 9

listens()
{
	ss -Hltn | grep -q ":$1 "
}

ok "the soft-RoCE device comes up" rdma_up
ibv_devinfo -v -d rxe0 >"$run_dir/devinfo.txt" 2>&1
ok "libibverbs finds it, and its port is up" grep -q 'PORT_ACTIVE' "$run_dir/devinfo.txt"
ok "it has memory windows of type 2B" grep -q 'MEM_WINDOW_TYPE_2B' "$run_dir/devinfo.txt"

ib_write_bw -F -d rxe0 -s 65536 -n 50 >"$run_dir/serves.out" 2>&1 &
run_jobs="$run_jobs $!"
ok "ib_write_bw listens" wait_for 30 listens 18515
ok "ib_write_bw writes to it" timeout 60 ib_write_bw -F -d rxe0 -s 65536 -n 50 "$rdma_address"

character=$(nvdimm_mode 256 devdax)
ok "a memory module becomes a character device" test -c "$character"
block=$(nvdimm_mode 512 fsdax)
ok "another becomes a block device" test -b "$block"
ok "a file system is mounted from it" nvdimm_mount "$block" /tmp/pmem
ok "its files are mapped directly" grep -q '^[^ ]* /tmp/pmem .*dax=always' /proc/mounts
done_testing
