#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# hf-bench measures checkpoints and restores over verbs beside perftest, in the same machine.
TIME_LIMIT=300
. "${0%/*}/lib.sh"
plan 4
bench=$builddir/bench/hf-bench

# The ratio of a row is a number above 0.
measured()
{
	sed -n "s/^$1 .*GB\/s *\([0-9.]*\) .*/\1/p" "$run_dir/bench.out" | grep -q '[1-9]'
}

ok "the soft-RoCE device comes up" rdma_up
"$bench" --only checkpoint-verbs --only restore-verbs --bytes 32M --runs 5 --rdma "$rdma_address" >"$run_dir/bench.out" 2>&1
is "verbs are measured" $? 0
sed 's/^/# /' "$run_dir/bench.out"
ok "there is a row of checkpoints" measured checkpoint-verbs
ok "and one of restores" measured restore-verbs
done_testing
