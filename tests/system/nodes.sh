# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154 # what the scripts set and use
# nodes.sh - nodes for mpirun on one machine: network namespaces on a bridge, with host names of their own and the
# machine's file systems. Sourced before lib.sh, which it lets run in namespaces that are gone with it.
#
# nodes_up COUNT; then mpirun with $nodes_options. Node N is nodeN, 10.77.0.N, with two slots. mpirun itself and the
# test are on none of them: they are 10.77.0.254.

if [ -z "${HOLDFAST_TEST_NODES-}" ]; then
	if ! command -v ip >/dev/null || ! unshare --net --mount --uts true 2>/dev/null; then
		echo "1..0 # SKIP nodes are network namespaces, which need root and iproute2"
		exit 0
	fi
	HOLDFAST_TEST_NODES=yes
	export HOLDFAST_TEST_NODES
	exec unshare --net --mount --uts --propagation private /bin/sh "$0" "$@"
fi
ip link set lo up
nodes_count=0
nodes_address=10.77.0.254

nodes_up()
{
	mkdir -p /run/netns && mount -t tmpfs netns /run/netns || return 1
	ip link add nodes type bridge && ip addr add "$nodes_address/24" dev nodes && ip link set nodes up || return 1
	trap 'nodes_down; run_cleanup' EXIT
	while [ "$nodes_count" -lt "$1" ]; do
		nodes_count=$((nodes_count + 1))
		node_up "$nodes_count" || return 1
		echo "node$nodes_count slots=2" >>"$run_dir/hosts"
	done
	nodes_agent
	nodes_options="--hostfile $run_dir/hosts --mca pml ob1 --mca btl_tcp_if_include 10.77.0.0/24"
	case $(ompi_info --version) in
	*v4.*)
		# A link that is cut is noticed within seconds.
		nodes_options="$nodes_options --mca btl self,vader,tcp --mca plm_rsh_agent $run_dir/agent
			--mca oob_tcp_if_include 10.77.0.0/24 --mca oob_tcp_keepalive_time 2
			--mca oob_tcp_keepalive_intvl 1 --mca oob_tcp_keepalive_probes 2"
		;;
	*)
		nodes_options="$nodes_options --mca btl self,sm,tcp --mca plm_ssh_agent $run_dir/agent
			--mca prte_if_include 10.77.0.0/24"
		;;
	esac
}

node_up()
{
	ip netns add "node$1" && ip link add "node$1" type veth peer name eth0 netns "node$1" &&
		ip link set "node$1" master nodes up && ip -n "node$1" addr add "10.77.0.$1/24" dev eth0 &&
		ip -n "node$1" link set eth0 up && ip -n "node$1" link set lo up
}

# What stands in for ssh.
nodes_agent()
{
	cat >"$run_dir/agent" <<-'END'
		#!/bin/sh
		# agent [OPTION]... NODE COMMAND...
		while [ "${1#-}" != "$1" ]; do shift; done
		node=$1
		shift
		exec ip netns exec "$node" unshare --uts sh -c "hostname $node; cd /; $*"
	END
	chmod +x "$run_dir/agent"
}

# node_pids N: all processes of a node, or of all nodes.
node_pids()
{
	for nodes_each in ${1:-$(seq "$nodes_count")}; do
		ip netns pids "node$nodes_each"
	done
}

# node_kill N: it is switched off.
node_kill()
{
	node_cut "$1"
	node_end "$1"
}

# node_cut N: nothing comes from it or goes to it any more; what runs there runs on.
node_cut()
{
	ip link set "node$1" down
}

node_end()
{
	# shellcheck disable=SC2046 # a list of numbers
	kill -KILL $(node_pids "$1") 2>/dev/null || :
}

# node_back N: what was lost or cut off is there again, empty, and is reached by the others and reaches them.
node_back()
{
	node_end "$1"
	ip link set "node$1" up
	# Whom a node looked for while it was cut off, it holds for unreachable for seconds after: orted gave up by it.
	for nodes_each in $(seq "$nodes_count"); do
		ip -n "node$nodes_each" neigh flush dev eth0
	done
	ip neigh flush dev nodes
	wait_for 30 node_reaches "$nodes_address" ip netns exec "node$1" && wait_for 30 node_reaches "10.77.0.$1" env
}

# node_reaches ADDRESS PREFIX...: a port at which nobody listens is refused by who is there.
node_reaches()
{
	node_peer=$1
	shift
	# shellcheck disable=SC2016 # it is perl's
	"$@" perl -MIO::Socket::INET -e \
		'IO::Socket::INET->new(PeerAddr => $ARGV[0], PeerPort => 9, Timeout => 1); exit !$!{ECONNREFUSED}' "$node_peer"
}

nodes_down()
{
	run_status=$?
	trap '' HUP INT TERM
	# shellcheck disable=SC2046 # a list of numbers
	kill -KILL $(node_pids) 2>/dev/null
	(exit "$run_status")
}
