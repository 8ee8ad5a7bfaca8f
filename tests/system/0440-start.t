#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# In the background, the command ends when clients may connect, or tells why they never will; what the pool
# survives is said from the start.
# shellcheck disable=SC2317 # `ok` calls the functions
. "${0%/*}/lib.sh"
plan 24
world=$(run_program world) || bail "world has not been built"

# Without --foreground; the ready file is looked at as soon as the command is done.
background()
{
	"$pmu_server" --pool "$run_dir/pool" --size 64M --listen 127.0.0.1:0 --auth none \
		--ready-file "$run_dir/ready" >"$run_dir/background.out" 2>"$run_dir/background.err" </dev/null ||
		return 1
	server=$(cat "$run_dir/ready")
	server_pid=$(stat_of server.pid)
	run_servers="$run_servers $server_pid"
}

ok "the server goes to the background" background
ok "its ready file has its address" grep -qxE '127\.0\.0\.1:[1-9][0-9]*' "$run_dir/ready"
is "and nothing else" "$(wc -l <"$run_dir/ready")" 1
ok "it is a process of its own" alive "$server_pid"
is "in a session of its own" "$(ps -o sid= -p "$server_pid" | tr -d ' ')" "$server_pid"
is "which holds no file of ours" "$(readlink "/proc/$server_pid/fd/0" "/proc/$server_pid/fd/1" \
	"/proc/$server_pid/fd/2" | sort -u)" /dev/null
medium=$(stat_of pool.medium)
survives=$(stat_of pool.survives)
ok "pmuctl tells what the pool survives" test -n "$survives"
ok "the server said the same at its start" \
	grep -qF "pool $run_dir/pool on $medium: what is stored survives $survives" "$run_dir/background.err"
case $(df --output=fstype "$run_dir" | tail -n 1) in
tmpfs) ok "which is true" test "$survives" = "process death" ;;
*) ok "which is true" test "$survives" != "process death" ;;
esac
ok "it serves a job" job kept 2 "$world" protect checkpoint

cp "$run_dir/ready" "$run_dir/ready-before"
ok "a second one in the background ends with a failure" refused "$pmu_server" --pool "$run_dir/pool" \
	--size 64M --listen 127.0.0.1:0 --auth none --ready-file "$run_dir/ready"
ok "and says why" grep -q "is in use by a server: process $server_pid" "$run_dir/refused.err"
ok "it does not say that it is ready" cmp "$run_dir/ready" "$run_dir/ready-before"
ok "a wrong option in the background" refused "$pmu_server" --pool "$run_dir/pool" --size many
ok "is told" grep -q "'many' is not a size" "$run_dir/refused.err"

kill -TERM "$server_pid"
ok "SIGTERM ends it" wait_for 20 gone "$server_pid"
is "nothing of it is left" "$(ps -o stat= -s "$server_pid" | sed '/^Z/d')" ""
ok "it starts again" background
is "with what it had" "$(newest_epoch kept)" 1
rm -f "$run_dir/ready"
ok "a data plane that cannot be" refused "$pmu_server" --foreground --pool "$run_dir/other" --size 64M \
	--listen 127.0.0.1:0 --auth none --ready-file "$run_dir/ready" --net verbs --fabric-listen 192.0.2.1
ok "is told with the reason" grep -q "pool $run_dir/other cannot be served by --net verbs: .* RDMA " "$run_dir/refused.err"
ok "and not only to the first client" test ! -e "$run_dir/ready"
ok "several addresses of libfabric's data plane" refused "$pmu_server" --foreground --pool "$run_dir/other" --size 64M \
	--listen 127.0.0.1:0 --auth none --fabric-listen 127.0.0.1,127.0.0.2
ok "are refused" grep -q "several addresses with --net verbs only" "$run_dir/refused.err"
done_testing
