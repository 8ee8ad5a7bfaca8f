#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A job that its owner shares with a group, at the command line; what tools say of users, quotas and administrators.
# shellcheck disable=SC2317 # `ok` calls the functions
. "${0%/*}/lib.sh"
[ "$(id -u)" = 0 ] || skip_all "to be several users takes root"
command -v setpriv >/dev/null || skip_all "there is no setpriv"
plan 21
world=$(run_program world) || bail "world has not been built"

# A copy: the build tree may be root's alone.
{ chmod 711 "$run_dir" && install -m 755 "$pmuctl" "$run_dir/pmuctl"; } || bail "pmuctl cannot be copied"

# as UID GID [ARGUMENT]...: pmuctl, run by that user with that group.
as()
{
	as_uid=$1 as_gid=$2
	shift 2
	(cd / && exec setpriv --reuid "$as_uid" --regid "$as_gid" --clear-groups env HOME=/ \
		"$run_dir/pmuctl" --server "$server" "$@")
}

member()
{
	as 2002 3001 "$@"
}

member_refused()
{
	! member "$@" 2>"$run_dir/refused.err"
}

other()
{
	as 2003 3002 "$@"
}

printf 'quota-sessions = 64\n[user 2002]\nquota-bytes = 3G\n' >"$run_dir/conf"

ok "the server starts with quotas" start_server --config "$run_dir/conf"
ok "a job makes checkpoints" job kept 2 "$world" protect checkpoint checkpoint
ok "to others it does not exist" fails other --user root show kept
ok "sharing it with no group is an error" fails "$pmuctl" -s "$server" share kept
ok "sharing it with an unknown group is an error" refused "$pmuctl" -s "$server" share kept no-such-group
ok "the group is named" grep -qF "there is no group 'no-such-group'" "$run_dir/refused.err"
ok "--run is of share alone" fails "$pmuctl" -s "$server" rm --run kept
ok "its owner shares it" "$pmuctl" -s "$server" share kept 3001
ok "members look at it" member --user root show kept
ok "and verify it" member --user root verify kept
ok "they do not remove it" member_refused --user root rm kept
ok "and are told who may" grep -qF "is shared with your group, but not for that" "$run_dir/refused.err"
ok "to others it still does not exist" fails other --user root show kept
ok "it says with whom it is shared" eval '"$pmuctl" -s "$server" show kept | grep -q "^shared with group 3001, who may look at it"'
ok "--run lets them run it" "$pmuctl" -s "$server" share --run kept 3001
ok "and says so" eval '"$pmuctl" -s "$server" jobs --json | tr -d " \n" | grep -q "\"shared\":\"run\",\"group\":3001"'
ok "a member may fence it" member --user root fence kept
ok "users are shown with their quotas" eval 'member users | grep -q "^2002 .* 3 GiB .* 1/64$"'
ok "administrators see them all" eval '"$pmuctl" -s "$server" users | grep -q "^root "'
ok "nobody shares it any more" "$pmuctl" -s "$server" unshare kept
ok "and it does not exist" fails member --user root show kept
done_testing
