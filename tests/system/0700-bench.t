#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# hf-bench measures what it is asked for, says how much an increment ships, and knows its rows' names; plot draws them.
# shellcheck disable=SC2317 # `ok` calls the functions
TIME_LIMIT=300
. "${0%/*}/lib.sh"
plan 26
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

# All rows have a value and a limit.
are_measured()
{
	awk '/"(value|limit)":/ { n++; bad += !($2 + 0 > 0) } END { exit !(n == 2 * rows) || bad }' rows="$1" "$run_dir/rows.json"
}

# It was begun and ended within the work's time.
is_within()
{
	awk -v value="$(field value 1)" -v stopped="$(field stopped_ms 1)" -v total="$(field total_ms 1)" \
		'BEGIN { exit !(stopped > 0 && stopped <= total && total <= value) }'
}

# Where there is nothing but hf-bench.
without_mpirun()
{
	env PATH="$run_dir" "$bench" --dir "$run_dir" --runs 1 --bytes 4M --only instead-mpiio --only instead-write --ranks 1 \
		--json "$run_dir/rows.json" >"$run_dir/bench.out" 2>"$run_dir/bench.err"
}

plot()
{
	sh "${0%/*}/../../bench/plot" "$@" >"$run_dir/plot.out" 2>"$run_dir/plot.err"
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

ok "the work beside an asynchronous checkpoint is measured" bench --bytes 4M --json "$run_dir/rows.json" --only async-overhead
ok "the checkpoint lies within it" is_within
ok "asynchronous checkpoints are measured" bench --bytes 4M --json "$run_dir/rows.json" \
	--only async-stage-stop --only async-cow-stop
cow=async-cow-stop
! grep -q '^hf-bench: copy-on-write checkpoints are left out' "$run_dir/bench.err" || cow=
is "in both ways, where the kernel has both" "$(field name 1) $(field name 2)" "async-stage-stop $cow"

ok "a row is left out where there is no mpirun" without_mpirun
is "the others are measured" "$(field name 1) $(field name 2)" "instead-write "
ok "and the reason is told" said bench 'instead-mpiio is left out: there is no mpirun'
ok "what users would use instead is measured" bench --bytes 4M --json "$run_dir/rows.json" \
	--only instead-write --only instead-mpiio --only instead-dd
is "each by one rank and by two" "$(field name 1) $(field ranks 2) $(field name 4) $(field ranks 4) $(field name 6)" \
	"instead-write 2 instead-mpiio 2 instead-dd"
ok "with a value and a limit" are_measured 6

if command -v gnuplot >/dev/null && command -v jq >/dev/null && command -v xmllint >/dev/null; then
	ok "its rows are drawn" plot -o "$run_dir/plots" "$run_dir/rows.json"
	# shellcheck disable=SC2012 # names of ours
	is "one picture each" "$(ls "$run_dir/plots" | tr '\n' ' ')" "instead-dd.svg instead-mpiio.svg instead-write.svg "
	ok "which are XML" xmllint --noout "$run_dir/plots/instead-dd.svg" "$run_dir/plots/instead-mpiio.svg" \
		"$run_dir/plots/instead-write.svg"
else
	skip 3 "plots need gnuplot, jq and xmllint"
fi
done_testing
