#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Slots may be kept elsewhere than metadata; the pool remembers where.
# shellcheck disable=SC2317 # `ok` calls the functions
. "${0%/*}/lib.sh"
plan 13
world=$(run_program world) || bail "world has not been built"

slot_files()
{
	find "$1" -path '*/holdfast-slots.*/*' -type f | wc -l
}

mkdir "$run_dir/data"
ok "the server starts with its slots elsewhere" start_server --data "$run_dir/data"
ok "it serves a job" job kept 2 "$world" protect checkpoint
is "whose slots are there" "$(slot_files "$run_dir/data")" 4
is "and not in the pool's directory" "$(find "$run_dir/pool" -type f ! -name lock ! -name metadata)" ""
ok "the server stops" stop_server
ok "it starts again without being told" start_server
is "and has what it had" "$(newest_epoch kept)" 1
ok "every block of it" "$pmuctl" -s "$server" verify kept
ok "a job that is removed" "$pmuctl" -s "$server" rm kept
is "leaves nothing" "$(slot_files "$run_dir/data")" 0
ok "the server stops without complaint" stop_server

ok "what is no directory, and no devdax device, is refused" refused "$pmu_server" --foreground --pool "$run_dir/other" --size 64M --auth none \
	--listen 127.0.0.1:0 --data /dev/null
ok "and says so" grep -q 'no directory, and no devdax device' "$run_dir/refused.err"
done_testing
