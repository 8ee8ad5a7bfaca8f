#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# corpus.t - every decoder takes every input of its corpus, whatever this build is.
set -u

scratch=$(mktemp -d "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")/hf-fuzz.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
TMPDIR=$scratch # for what a target leaves behind when it crashes
export TMPDIR

programs=${top_builddir:?}/tests/fuzz
set -- "${top_srcdir:?}"/tests/fuzz/corpus/*
echo "1..$#"
number=0
for corpus in "$@"; do
	number=$((number + 1))
	target=${corpus##*/}
	promise="$target: $(find "$corpus" -type f | wc -l) inputs"
	if timeout 120 "$programs/$target" "$corpus"/* >"$scratch/log" 2>&1; then
		echo "ok $number - $promise"
	else
		echo "not ok $number - $promise"
		tail -n 60 "$scratch/log" | sed 's/^/# /'
	fi
done
