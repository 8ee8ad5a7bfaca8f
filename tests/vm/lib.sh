# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154 # variables of the tests, and of the system tests' library
# lib.sh - what every test in a virtual machine starts with: `. "${0%/*}/lib.sh"`.
#
# Outside a machine it boots one with the options $vm (tests/vm/boot) and runs the same test in it; with vm=none, the
# test itself boots machines. Within, all is as in the system tests (tests/system/lib.sh). Everything takes some ten
# times as long there: TIME_LIMIT is 240 seconds by default, and the machine gets a minute more.

if [ -z "${HOLDFAST_TEST_TIMED-}" ]; then
	if [ ! -d /share/build ]; then # not even in the root tree
		exec "${0%/*}/run" --host sh "/share/source/tests/vm/${0##*/}"
	fi
	TIME_LIMIT=${TIME_LIMIT:-240}
	if [ -z "${HOLDFAST_VM_GUEST-}" ] && [ "${vm-}" != none ]; then
		# shellcheck disable=SC2086 # a list of options
		/share/source/tests/vm/boot ${vm-} --limit $((TIME_LIMIT + 60)) sh "/share/source/tests/vm/${0##*/}" 2>&1
		vm_status=$?
		case $vm_status in
		124 | 125) echo "Bail out! the virtual machine brought no result" ;;
		esac
		exit $vm_status
	fi
fi
slowness=4 wait_step=0.5
test_library=${0%/*}/../system
# shellcheck source=../system/lib.sh
. "$test_library/lib.sh"

# rdma_up [ADDRESS]: a soft-RoCE device rxe0 that the rest of the machine reaches by $rdma_address; with an address, it
# is on the machine's network card (boot --link), and the other machine reaches it too.
rdma_up()
{
	rdma_address=${1:-10.7.0.1}
	if [ $# -eq 0 ]; then
		ip link add card0 type dummy
	else
		ip link set eth0 name card0
	fi && ip address add "$rdma_address/24" dev card0 && ip link set card0 mtu 9000 up &&
		rdma link add rxe0 type rxe netdev card0 && wait_for 20 rdma_active
}

rdma_active()
{
	rdma link show rxe0/1 | grep -q 'state ACTIVE'
}

# second_rdma_up: a device rxe1 on a network of its own, at 10.8.0.1.
second_rdma_up()
{
	ip link add card1 type dummy && ip address add 10.8.0.1/24 dev card1 && ip link set card1 mtu 9000 up &&
		rdma link add rxe1 type rxe netdev card1
}

# packets_sent [DEVICE]: how many it has sent.
packets_sent()
{
	cat "/sys/class/infiniband/${1:-rxe0}/ports/1/hw_counters/sent_pkts"
}

# commits_reach COUNT: the server has made so many.
commits_reach()
{
	[ "$(stat_of count.commits)" -ge "$1" ]
}

# What both devices have sent till now.
packets_mark()
{
	before0=$(packets_sent rxe0) before1=$(packets_sent rxe1)
}

# job_by DEVICES NAME: a whole job with these devices, after packets_mark; its result is right.
job_by()
{
	packets_mark
	HOLDFAST_FABRIC_DEVICE=$1
	export HOLDFAST_FABRIC_DEVICE
	stencil_run "$2"
	job_by_status=$?
	unset HOLDFAST_FABRIC_DEVICE
	[ $job_by_status -eq 0 ] && [ "$(stencil_result "$2")" = "$expected" ]
}

# nvdimm_mode SIZE devdax|fsdax: makes the memory module of about that size (M) a device; prints its name. Modules do
# not come up in the order in which they were given, so that each is to have a size of its own.
nvdimm_mode()
{
	# shellcheck disable=SC2016 # they are perl's
	vm_namespace=$(ndctl list --namespaces --idle --human | perl -e '
		my $size = shift;
		undef $/;
		for (split(/\}/, <STDIN>)) {
			my ($name) = /"dev":"(namespace[0-9.]+)"/ or next;
			my ($is, $unit) = /"size":"([0-9.]+) ([MG])iB/ or next;
			$is *= 1024 if $unit eq "G";
			print("$name\n"), exit if abs($is - $size) < $size / 20;
		}
	' "$1")
	[ -n "$vm_namespace" ] || { echo "no memory module of $1 MiB" >&2; return 1; }
	ndctl create-namespace --force --reconfig "$vm_namespace" --mode "$2" >"$run_dir/namespace" || return 1
	sed -nE 's,.*"(chardev|blockdev)":"([^"]*)".*,/dev/\2,p' "$run_dir/namespace"
}

# nvdimm_mount DEVICE DIRECTORY: a file system on it whose files programs map directly; it is made where there is none.
nvdimm_mount()
{
	blkid "$1" >/dev/null || mkfs.ext4 -q -b 4096 "$1" || return 1
	mkdir -p "$2" && mount -o dax=always "$1" "$2"
}
