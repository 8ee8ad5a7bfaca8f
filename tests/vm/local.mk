# Each boots virtual machines and runs in them, which takes minutes: `make check-vm`, and no part of `make check`. The
# longest come first, or all would wait for them at the end.
vm_tests = \
	%D%/0860-two-hosts.t \
	%D%/0845-persist.t \
	%D%/0810-stencil-verbs.t \
	%D%/0800-guest.t \
	%D%/0820-machine-killed.t \
	%D%/0830-verbs.t \
	%D%/0832-fence-verbs.t \
	%D%/0840-devdax.t \
	%D%/0841-devdax-eadr.t \
	%D%/0842-fsdax.t \
	%D%/0850-bench-verbs.t \
	%D%/0870-rdma-devices.t \
	%D%/0875-rails.t
EXTRA_DIST += $(vm_tests) %D%/boot %D%/devdax.sh %D%/guest-init %D%/initrd-init %D%/inside %D%/lib.sh %D%/make-initrd %D%/run
EXTRA_DIST += tests/debian/root-tree

# Built and run in a root tree of Debian 13, whatever this machine has. As many machines as processors, or they starve.
check-vm:
	$(top_srcdir)/tests/vm/run --host make -k -j$$(nproc) check 'TESTS=$$(vm_tests)'
.PHONY: check-vm
