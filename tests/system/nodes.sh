# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154 # what the scripts set and use
# nodes.sh - nodes for mpirun on one machine: network namespaces on a bridge, each with a host name of its own.
#
# nodes_up COUNT; then mpirun with $nodes_options. Node N is nodeN, 10.77.PREFIX.N; the launcher is on the bridge.

nodes_count=0

# Does this machine let us? Network namespaces need its administrator.
nodes_possible()
{
	[ "$(id -u)" -eq 0 ] && command -v ip >/dev/null && command -v unshare >/dev/null &&
		ip netns add "hf$$" 2>/dev/null && ip netns del "hf$$"
}

nodes_up()
{
	nodes_prefix=$(($$ % 250)) nodes_tag=hf$$
	ip link add "${nodes_tag}b" type bridge || return 1
	trap 'nodes_down; run_cleanup' EXIT
	ip addr add "10.77.$nodes_prefix.254/24" dev "${nodes_tag}b"
	ip link set "${nodes_tag}b" up
	while [ "$nodes_count" -lt "$1" ]; do
		nodes_count=$((nodes_count + 1))
		node_up "$nodes_count" || return 1
	done
	nodes_agent=$run_dir/agent
	cat >"$nodes_agent" <<-END
		#!/bin/sh
		# Stands in for ssh: [OPTION]... nodeN COMMAND
		while [ "\${1#-}" != "\$1" ]; do shift; done
		node=\$1
		shift
		exec ip netns exec "$nodes_tag\${node#node}" unshare --uts sh -c "hostname \$node
		OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
		export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
		LD_LIBRARY_PATH='$LD_LIBRARY_PATH'
		export LD_LIBRARY_PATH
		cd /
		\$*"
	END
	chmod +x "$nodes_agent"
	nodes_options="--mca plm_rsh_agent $nodes_agent --mca oob_tcp_if_include 10.77.$nodes_prefix.0/24
		--mca btl_tcp_if_include 10.77.$nodes_prefix.0/24 --mca pml ob1 --mca btl self,vader,tcp
		--mca orte_keep_fqdn_hostnames 1"
}

node_up()
{
	ip netns add "$nodes_tag$1" || return 1
	ip link add "${nodes_tag}v$1" type veth peer name eth0 netns "$nodes_tag$1" || return 1
	ip link set "${nodes_tag}v$1" master "${nodes_tag}b" up
	ip -n "$nodes_tag$1" addr add "10.77.$nodes_prefix.$1/24" dev eth0
	ip -n "$nodes_tag$1" link set eth0 up
	ip -n "$nodes_tag$1" link set lo up
}

# node_pids N: all processes of a node.
node_pids()
{
	ip netns pids "$nodes_tag$1"
}

# node_kill N: as a power failure does, for the others: no process, no packet.
node_kill()
{
	ip link set "${nodes_tag}v$1" down
	# shellcheck disable=SC2046 # a list of numbers
	kill -KILL $(node_pids "$1") 2>/dev/null || :
}

# node_cut N: its link is dead, its processes do not know.
node_cut()
{
	ip link set "${nodes_tag}v$1" down
}

node_back()
{
	ip link set "${nodes_tag}v$1" up
}

nodes_down()
{
	run_status=$?
	trap '' HUP INT TERM
	while [ "$nodes_count" -gt 0 ]; do
		# shellcheck disable=SC2046 # a list of numbers
		kill -KILL $(node_pids "$nodes_count") 2>/dev/null || :
		ip netns del "$nodes_tag$nodes_count"
		nodes_count=$((nodes_count - 1))
	done
	ip link del "${nodes_tag}b"
	(exit "$run_status")
}
