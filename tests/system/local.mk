# Each starts servers and jobs of its own; lib.sh and run.sh say how. Numbered by theme.
system_tests = \
	%D%/0010-ranks-agree.t \
	%D%/0020-plug-in.t \
	%D%/0100-undisturbed-run.t \
	%D%/0110-kill-one-rank.t \
	%D%/0111-kill-rank-at-points.t \
	%D%/0120-kill-all-ranks.t \
	%D%/0130-kill-ni.t \
	%D%/0140-kill-pmm.t \
	%D%/0141-kill-server-at-points.t \
	%D%/0150-damage.t \
	%D%/0160-takeover.t \
	%D%/0161-second-run.t \
	%D%/0170-crash-loop.t \
	%D%/0171-exit-codes.t \
	%D%/0190-random-kills.t \
	%D%/0191-random-kills-increments.t \
	%D%/0195-random-faults.t \
	%D%/0200-segments-change.t \
	%D%/0210-checkpoint-on-demand.t \
	%D%/0220-leave.t \
	%D%/0230-restart-by-hand.t \
	%D%/0240-fence.t \
	%D%/0245-half-open.t \
	%D%/0250-requeue.t \
	%D%/0260-increments.t \
	%D%/0261-block-size.t \
	%D%/0270-async.t \
	%D%/0280-local.t \
	%D%/0300-wrong-server.t \
	%D%/0310-keys.t \
	%D%/0315-munge.t \
	%D%/0317-share.t \
	%D%/0320-mismatch.t \
	%D%/0330-no-room.t \
	%D%/0340-places.t \
	%D%/0350-variables.t \
	%D%/0400-one-server-a-pool.t \
	%D%/0410-damaged-pool.t \
	%D%/0420-server-stops.t \
	%D%/0425-idle-exit.t \
	%D%/0430-configuration.t \
	%D%/0435-persist-refused.t \
	%D%/0440-start.t \
	%D%/0442-unit.t \
	%D%/0450-unix-socket.t \
	%D%/0460-data-directory.t \
	%D%/0461-data-device.t \
	%D%/0480-embedded.t \
	%D%/0481-embedded-refused.t \
	%D%/0482-embedded-killed.t \
	%D%/0483-embedded-nodes.t \
	%D%/0500-restart.t \
	%D%/0501-no-restart.t \
	%D%/0510-restart-resumes.t \
	%D%/0520-nodes.t \
	%D%/0590-random-failures.t \
	%D%/0600-relaunch-killed-rank.t \
	%D%/0610-relaunch-causes.t \
	%D%/0620-no-relaunch.t \
	%D%/0630-relaunch-stdin.t \
	%D%/0650-relaunch-lost-node.t \
	%D%/0690-holdfast-mpirun.t \
	%D%/0700-bench.t \
	%D%/0710-verbs.t
# One of these alone takes a minute or more.
long_system_tests = %/0141-kill-server-at-points.t %/0520-nodes.t %/0590-random-failures.t %/0260-increments.t \
	%/0111-kill-rank-at-points.t %/0190-random-kills.t %/0191-random-kills-increments.t %/0195-random-faults.t %/0650-relaunch-lost-node.t
TESTS += $(system_tests)
EXTRA_DIST += $(system_tests) %D%/lib.sh %D%/nodes.sh %D%/prte.sh %D%/random-faults.sh %D%/run.sh
EXTRA_DIST += quickstart tests/check-twice tests/debian/install tests/valgrind.supp tests/tsan.supp tests/asan.supp

# An MPI program that does with the plug-in's job what it is told.
check_PROGRAMS += %D%/world
%C%_world_SOURCES = %D%/world.c
%C%_world_CFLAGS = $(AM_CFLAGS) $(MPI_CFLAGS)
%C%_world_LDADD = libholdfast.la $(MPI_LIBS)

# An MPI program that fails as it is told.
check_PROGRAMS += %D%/fail
%C%_fail_SOURCES = %D%/fail.c
%C%_fail_CFLAGS = $(AM_CFLAGS) $(MPI_CFLAGS)
%C%_fail_LDADD = $(MPI_LIBS)

# An MPI program whose segments change.
check_PROGRAMS += %D%/segments
%C%_segments_SOURCES = %D%/segments.c
%C%_segments_CFLAGS = $(AM_CFLAGS) $(MPI_CFLAGS)
%C%_segments_LDADD = libholdfast.la $(MPI_LIBS)

# The ranks' side alone, over a client that is a fake.
check_PROGRAMS += %D%/ckpt_ranks
%C%_ckpt_ranks_SOURCES = %D%/ckpt_ranks.c %D%/fake_client.c %D%/fake_client.h
%C%_ckpt_ranks_CFLAGS = $(AM_CFLAGS) $(MPI_CFLAGS)
%C%_ckpt_ranks_LDADD = libckpt.la libsnapshot.la libtrack.la liblaunch.la libclient.la libnet.la libwire.la libcommon.la

# An MPI program that has an accident.
check_PROGRAMS += %D%/mishap
%C%_mishap_SOURCES = %D%/mishap.c
%C%_mishap_CFLAGS = $(AM_CFLAGS) $(MPI_CFLAGS)
%C%_mishap_LDADD = $(MPI_LIBS)
