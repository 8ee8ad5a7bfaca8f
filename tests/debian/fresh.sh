#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# fresh.sh - proves that two commands are enough on a fresh Debian with nothing but git.
#
# Usage: tests/debian/fresh.sh RELEASE [COMMAND [ARGUMENT]...]      RELEASE: bookworm or trixie
# Clones this tree (what is committed of it) in a fresh root tree of RELEASE and runs ./quickstart, or the
# command (./check, say), in the clone. Some minutes; needs root or sudo, and a Debian mirror.
set -eu
if [ $# -eq 0 ]; then
	sed -n 's/^# Usage: /usage: /p' "$0" >&2
	exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
release=$1
shift
[ $# -gt 0 ] || set -- ./quickstart
if [ -n "$(git -C "$here" status --porcelain)" ]; then
	echo "fresh.sh: note: what is not committed is not in the clone" >&2
fi
exec "$here/root-tree" "$release" fresh sh -c '
	git -c safe.directory=/src -c safe.directory=/src/.git clone --quiet /src ~/holdfast &&
	cd ~/holdfast &&
	exec "$@"' fresh "$@"
