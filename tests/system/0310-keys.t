#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Without the key nothing is served; a key that others can read is no key; without authentication nobody is
# let in from elsewhere.
# shellcheck disable=SC2317 # `ok` calls the functions
. "${0%/*}/lib.sh"
plan 29
world=$(run_program world) || bail "world has not been built"

key_make()
{
	(umask 077 && head -c 32 /dev/urandom >"$run_dir/$1")
}

# ran NAME KEY [OPTION]...: a run of the job `kept` is refused.
ran()
{
	job_as=$1 job_options="--mca hook_holdfast_key_file $run_dir/$2"
	[ -n "$2" ] || job_options=
	job_refused kept 2 "$world" protect restore checkpoint
}

# server_refused [OPTION]...: so is the server.
server_refused()
{
	refused "$pmu_server" --foreground --pool "$run_dir/other-pool" --size 64M --listen 127.0.0.1:0 "$@"
}

answered()
{
	grep -qFe "$1" "$run_dir/refused.err"
}

key_make key && key_make wrong && key_make open && chmod 644 "$run_dir/open"
HOLDFAST_KEY_FILE=$run_dir/key # pmuctl's
export HOLDFAST_KEY_FILE

ok "the server does not start without a key" server_refused
ok "and says how to make one" answered "--key-file FILE (head -c 32 /dev/urandom > FILE, chmod 600 FILE)"
ok "nor with one that others can read" server_refused --key-file "$run_dir/open"
ok "which is named" answered "$run_dir/open"
ok "nor with one that is not there" server_refused --key-file "$run_dir/none-such"
ok "which is named" answered "$run_dir/none-such"
ok "and no pool was not made" fails test -e "$run_dir/other-pool/metadata"
ok "nor without authentication for everybody" server_refused --auth none --listen 0.0.0.0:0
ok "which it says" answered "--auth none would let anybody in on 0.0.0.0:0"
ok "nor on version 6" server_refused --auth none --listen "[::]:0"

ok "the server starts with a key" start_server --auth psk --key-file "$run_dir/key"
ok "with the key, a job makes checkpoints" job kept 2 "$world" protect checkpoint checkpoint
is "they are there" "$(newest_epoch kept)" 2
unset HOLDFAST_KEY_FILE

ok "without a key, it is refused" ran none ""
ok "and told what the server wants" said none "this server wants authentication 'psk'"
ok "with a wrong key, it is refused" ran wrong wrong
ok "and told so" said wrong "the server does not accept who we are"
ok "it is told what to do" said wrong "key"
ok "with a key that others can read, it is refused" ran open open
ok "and told so" said open "$run_dir/open"
ok "with a key that is not there, it is refused" ran none-such none-such
ok "and told so" said none-such "$run_dir/none-such"
ok "pmuctl is refused, too" refused "$pmuctl" -s "$server" --auth psk --key-file "$run_dir/wrong" rm kept

HOLDFAST_KEY_FILE=$run_dir/key
export HOLDFAST_KEY_FILE
is "nothing is lost" "$(newest_epoch kept)" 2
is "the server has counted them" \
	"$("$pmuctl" -s "$server" stat | awk '$1 == "count.refused_logins" { print ($2 > 0) }')" 1
unset job_as job_options
ok "with the key, the job goes on" job kept 2 "$world" protect restore
ok "from there" grep -q "restore: success, epoch 2" "$run_dir/kept.out"
ok "the key is nowhere in the log" fails grep -qF "$(od -An -tx1 "$run_dir/key" | tr -d ' \n')" \
	"$run_dir/server.log"
ok "the server stops without complaint" stop_server
done_testing
