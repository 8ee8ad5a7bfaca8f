#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The unit for systemd leaves the server little to reach, and lets its network interfaces confine themselves.
# shellcheck disable=SC2317 # `ok` calls the functions
. "${0%/*}/lib.sh"
plan 2
unit=$builddir/docs/pmu-server.service

# What the unit allows, of system calls that it names by themselves.
allows()
{
	for call in "$@"; do
		grep -q "^SystemCallFilter=@system-service .*\b$call\b" "$unit" || return 1
	done
}

ok "its filter has what network interfaces confine themselves with" allows seccomp landlock_create_ruleset \
	landlock_restrict_self
if systemd-analyze security --offline=yes "$unit" >"$run_dir/security.out" 2>"$run_dir/security.err"; then
	# The number is ten times what it prints.
	ok "its exposure is below 2 of 10" systemd-analyze security --offline=yes --threshold=20 "$unit"
else
	skip 1 "there is no systemd-analyze of systemd 250 or newer"
fi
done_testing
