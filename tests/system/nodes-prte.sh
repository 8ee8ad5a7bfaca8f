# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154 # run_dir is lib.sh's, nodes_options the test's
# nodes-prte.sh - three nodes on one machine, for Open MPI 5.0: network namespaces on a bridge, with host names of
# their own and the machine's file systems. Sourced before lib.sh, which it lets run in namespaces that are gone
# with it; nodes_up makes the nodes. mpirun itself runs on none of them.

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

# Makes node1 to node3 with two slots each, and tells mpirun to use them.
nodes_up()
{
	mkdir -p /run/netns && mount -t tmpfs netns /run/netns &&
		ip link add hfbridge type bridge && ip addr add 10.77.0.1/24 dev hfbridge &&
		ip link set hfbridge up || return 1
	for node in 1 2 3; do
		ip netns add node$node && ip link add hfnode$node type veth peer name eth0 netns node$node &&
			ip link set hfnode$node master hfbridge up &&
			ip -n node$node addr add 10.77.0.1$node/24 dev eth0 &&
			ip -n node$node link set eth0 up && ip -n node$node link set lo up || return 1
		echo "node$node slots=2" >>"$run_dir/hosts"
	done
	cat >"$run_dir/agent" <<-'END'
		#!/bin/sh
		# stands in for ssh: agent [OPTION]... NODE COMMAND...
		while [ "${1#-}" != "$1" ]; do shift; done
		node=$1
		shift
		exec ip netns exec "$node" unshare --uts sh -c "hostname $node; $*"
	END
	chmod +x "$run_dir/agent"
	nodes_options="--hostfile $run_dir/hosts --mca plm_ssh_agent $run_dir/agent --mca pml ob1 --mca btl self,sm,tcp
		--mca btl_tcp_if_include 10.77.0.0/24 --mca prte_if_include 10.77.0.0/24"
}

# node_lost NODE: it is switched off.
node_lost()
{
	node_cut "$1"
	# shellcheck disable=SC2046 # a list of words
	kill -KILL $(ip netns pids "$1")
}

# node_cut NODE: nothing comes from it or goes to it any more; what runs there runs on.
node_cut()
{
	ip link set "hf$1" down
}

# node_back NODE: what was lost or cut off is there again, empty, and reaches the server.
node_back()
{
	# shellcheck disable=SC2046 # a list of words
	kill -KILL $(ip netns pids "$1") 2>/dev/null
	ip link set "hf$1" up && wait_for 30 node_connects "$1"
}

node_connects()
{
	# shellcheck disable=SC2016 # it is perl's
	ip netns exec "$1" perl -MIO::Socket::INET -e \
		'exit !IO::Socket::INET->new(PeerAddr => $ARGV[0], Timeout => 1)' "$server"
}
