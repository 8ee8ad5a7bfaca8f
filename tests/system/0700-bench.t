#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# hf-bench measures what it is asked for, says how much an increment ships, and knows its rows' names.
# shellcheck disable=SC2317 # `ok` calls the functions
TIME_LIMIT=300
. "${0%/*}/lib.sh"
plan 13
bench=$builddir/bench/hf-bench
[ -x "$bench" ] || bail "hf-bench has not been built"

bench()
{
	timeout 120 "$bench" --dir "$run_dir" --runs 1 "$@" >"$run_dir/bench.out" 2>"$run_dir/bench.err"
}

# field NAME NUMBER: of the NUMBERth row in the file.
field()
{
	sed -n "s/^ *\"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$run_dir/rows.json" | sed -n "$2p"
}

# The bytes of the set are those of the changed blocks, and at most a tenth more.
ships_little()
{
	awk -v dirty="$(field dirty_bytes 1)" -v shipped="$(field shipped_bytes 1)" \
		'BEGIN { exit !(dirty > 0 && shipped >= dirty && shipped <= 1.1 * dirty) }'
}

# RATIO: the first row's, where there is but one run: the limit over the value.
ratio_is_inverse()
{
	awk -v value="$(field value 1)" -v limit="$(field limit 1)" -v ratio="$(field ratio 1)" \
		'BEGIN { q = limit / value / ratio; exit !(q > 0.99 && q < 1.01) }'
}

ok "increments and chains are measured" bench --bytes 8M --json "$run_dir/rows.json" \
	--only increment-1pct --only increment-100pct --only restore-chain-10 --tracker hash
is "the rows that were asked for, and no others" "$(field name 1) $(field name 2) $(field name 3) $(field name 4)" \
	"increment-1pct increment-100pct restore-chain-10 "
is "1 % of 128 blocks is one" "$(field dirty_bytes 1)" 65536
is "100 % is all" "$(field dirty_bytes 2)" 8388608
ok "an increment ships what changed, and little more" ships_little
ok "its ratio is that of a full checkpoint to it" ratio_is_inverse
is "the tracker is the one asked for" "$(field tracker 1)" hash

ok "a row that does not exist is refused" fails bench --only increment-2pct
ok "and named" said bench "there is no 'increment-2pct'"
ok "a tracker that does not exist is refused" fails bench --bytes 8M --only increment-1pct --tracker guess
ok "and named" said bench 'there is no tracker "guess"'
ok "verbs without a device are refused" fails bench --only checkpoint-verbs
ok "and the option is named" said bench 'name an address that it has with --rdma'
done_testing
