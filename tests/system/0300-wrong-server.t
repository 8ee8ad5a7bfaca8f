#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A server that is not there, or is something else, ends a job soon, with a message that says so.
# shellcheck disable=SC2317 # `ok` calls the functions
. "${0%/*}/lib.sh"
plan 22
world=$(run_program world) || bail "world has not been built"

asked()
{
	refused "$pmuctl" -s "$address" jobs
}

answered()
{
	grep -qFe "$1" "$run_dir/refused.err"
}

ran()
{
	server=$address
	job_refused "$1" 2 "$world" protect checkpoint
}

address=127.0.0.1:1
ok "nothing listens: pmuctl fails" asked
ok "and says so" answered "127.0.0.1:1 cannot be reached: Connection refused. Is pmu-server running there"
ok "a job ends" ran nothing
ok "and says so" said nothing "127.0.0.1:1 cannot be reached: Connection refused. Is pmu-server running there"
ok "and how to run without" said nothing "hook_holdfast_enable=0 runs it without checkpoints"
is "it has not begun" "$(cat "$run_dir/nothing.out")" ""

address=no-such-host.invalid
ok "wrong host name: pmuctl fails" asked
ok "and says so" answered "host 'no-such-host.invalid' cannot be resolved"
ok "a job ends" ran name
ok "and says so" said name "host 'no-such-host.invalid' cannot be resolved"

ok "something listens that says nothing" listener mute
ok "pmuctl fails" asked
ok "and says so" answered "$address does not answer like a pmu-server: check the address and port"
ok "a job ends" ran mute
ok "and says so" said mute "$address does not answer like a pmu-server: check the address and port"

for how in speaks ends; do
	ok "$how: something listens" listener $how
	ok "$how: pmuctl fails" asked
	ok "$how: and says what to do" answered "check the address and port"
done
address=here:there:7300
ok "no address: pmuctl fails" asked
done_testing
