# One program a module; each prints TAP. tests/unit/unit.h has main().
unit_cflags = $(AM_CFLAGS) $(CHECK_CFLAGS)
# The long ones first, so that none is left to run alone.
unit_programs = tests/unit/client tests/unit/consolidate tests/unit/append tests/unit/scrub tests/unit/snapshot
unit_programs += tests/unit/faults tests/unit/attach tests/unit/hostile tests/unit/increment tests/unit/pool tests/unit/region
unit_programs += tests/unit/merge
check_PROGRAMS += $(unit_programs)
TESTS += $(unit_programs)

unit_programs += tests/unit/media
tests_unit_media_SOURCES = tests/unit/media.c tests/unit/scratch.h tests/unit/unit.h
tests_unit_media_CFLAGS = $(unit_cflags)
tests_unit_media_LDADD = libmedia.la libcommon.la $(CHECK_LIBS)

tests_unit_pool_SOURCES = tests/unit/pool.c tests/unit/pools.h tests/unit/scratch.h tests/unit/unit.h
tests_unit_pool_CFLAGS = $(unit_cflags) $(PMEMOBJ_CFLAGS)
tests_unit_pool_LDADD = libpmm.la libmedia.la libcommon.la $(PMEMOBJ_LIBS) $(CHECK_LIBS)

unit_programs += tests/unit/extent
tests_unit_extent_SOURCES = tests/unit/extent.c tests/unit/pools.h tests/unit/scratch.h tests/unit/unit.h
tests_unit_extent_CFLAGS = $(unit_cflags) $(PMEMOBJ_CFLAGS)
tests_unit_extent_LDADD = libpmm.la libmedia.la libcommon.la $(PMEMOBJ_LIBS) $(CHECK_LIBS)

tests_unit_region_SOURCES = tests/unit/region.c tests/unit/pools.h tests/unit/scratch.h tests/unit/unit.h
tests_unit_region_CFLAGS = $(unit_cflags) $(PMEMOBJ_CFLAGS)
tests_unit_region_LDADD = libpmm.la libmedia.la libcommon.la $(PMEMOBJ_LIBS) $(CHECK_LIBS)

tests_unit_increment_SOURCES = tests/unit/increment.c tests/unit/pools.h tests/unit/scratch.h tests/unit/unit.h
tests_unit_increment_CFLAGS = $(unit_cflags) $(PMEMOBJ_CFLAGS)
tests_unit_increment_LDADD = libpmm.la libmedia.la libcommon.la $(PMEMOBJ_LIBS) $(CHECK_LIBS)

tests_unit_merge_SOURCES = tests/unit/merge.c tests/unit/pools.h tests/unit/scratch.h tests/unit/unit.h
tests_unit_merge_CFLAGS = $(unit_cflags) $(PMEMOBJ_CFLAGS)
tests_unit_merge_LDADD = libpmm.la libmedia.la libcommon.la $(PMEMOBJ_LIBS) $(CHECK_LIBS)

unit_programs += tests/unit/private_fd
tests_unit_private_fd_SOURCES = tests/unit/private_fd.c tests/unit/unit.h
tests_unit_private_fd_CFLAGS = $(unit_cflags)
tests_unit_private_fd_LDADD = libcommon.la $(CHECK_LIBS)

unit_programs += tests/unit/thread
tests_unit_thread_SOURCES = tests/unit/thread.c tests/unit/unit.h
tests_unit_thread_CFLAGS = $(unit_cflags)
tests_unit_thread_LDADD = libcommon.la $(CHECK_LIBS)

unit_programs += tests/unit/option tests/unit/name
tests_unit_option_SOURCES = tests/unit/option.c tests/unit/unit.h
tests_unit_option_CFLAGS = $(unit_cflags) $(MPI_CFLAGS)
tests_unit_option_LDADD = libclient.la libnet.la libwire.la libcommon.la $(CHECK_LIBS)
tests_unit_name_SOURCES = tests/unit/name.c tests/unit/unit.h
tests_unit_name_CFLAGS = $(unit_cflags) $(MPI_CFLAGS)
tests_unit_name_LDADD = libckpt.la libsnapshot.la libtrack.la liblaunch.la libclient.la libnet.la libwire.la libcommon.la $(CHECK_LIBS)

unit_programs += tests/unit/embedded
tests_unit_embedded_SOURCES = tests/unit/embedded.c tests/unit/scratch.h tests/unit/unit.h
tests_unit_embedded_CFLAGS = $(unit_cflags)
tests_unit_embedded_LDADD = libclient.la libnet.la libwire.la libcommon.la $(CHECK_LIBS)

unit_programs += tests/unit/interval tests/unit/launcher
tests_unit_interval_SOURCES = tests/unit/interval.c tests/unit/unit.h
tests_unit_interval_CFLAGS = $(unit_cflags)
tests_unit_interval_LDADD = libckpt.la libsnapshot.la libtrack.la liblaunch.la libclient.la libnet.la libwire.la libcommon.la $(CHECK_LIBS)
tests_unit_launcher_SOURCES = tests/unit/launcher.c tests/unit/unit.h
tests_unit_launcher_CFLAGS = $(unit_cflags) $(MPI_CFLAGS)
tests_unit_launcher_LDADD = libckpt.la libsnapshot.la libtrack.la liblaunch.la libclient.la libnet.la libwire.la libcommon.la $(CHECK_LIBS)

unit_programs += tests/unit/record
tests_unit_record_SOURCES = tests/unit/record.c tests/unit/unit.h
tests_unit_record_CFLAGS = $(unit_cflags) $(MPI_CFLAGS)
tests_unit_record_LDADD = libckpt.la libsnapshot.la libtrack.la libclient.la libnet.la libwire.la libcommon.la $(CHECK_LIBS)

tests_unit_snapshot_SOURCES = tests/unit/snapshot.c tests/unit/pmu_fixture.c tests/unit/pmu_fixture.h tests/unit/unit.h
tests_unit_snapshot_CFLAGS = $(unit_cflags)
tests_unit_snapshot_LDADD = libsnapshot.la libtrack.la libclient.la libnet.la libwire.la libcommon.la $(CHECK_LIBS)

tests_unit_client_SOURCES = tests/unit/client.c tests/unit/pmu_fixture.c tests/unit/pmu_fixture.h \
	tests/unit/unit.h
tests_unit_client_CFLAGS = $(unit_cflags)
tests_unit_client_LDADD = libclient.la libnet.la libwire.la libcommon.la $(CHECK_LIBS)

tests_unit_attach_SOURCES = tests/unit/attach.c tests/unit/rank.c tests/unit/rank.h tests/unit/pmu_fixture.c \
	tests/unit/pmu_fixture.h tests/unit/unit.h
tests_unit_attach_CFLAGS = $(unit_cflags)
tests_unit_attach_LDADD = libclient.la libnet.la libwire.la libcommon.la $(CHECK_LIBS)

unit_programs += tests/unit/rights
tests_unit_rights_SOURCES = tests/unit/rights.c tests/unit/pmu_fixture.c tests/unit/pmu_fixture.h tests/unit/unit.h
tests_unit_rights_CFLAGS = $(unit_cflags)
tests_unit_rights_LDADD = libclient.la libnet.la libwire.la libcommon.la $(CHECK_LIBS)

unit_programs += tests/unit/sessions
tests_unit_sessions_SOURCES = tests/unit/sessions.c tests/unit/pmu_fixture.c tests/unit/pmu_fixture.h tests/unit/unit.h
tests_unit_sessions_CFLAGS = $(unit_cflags)
tests_unit_sessions_LDADD = libclient.la libnet.la libwire.la libcommon.la $(CHECK_LIBS)

tests_unit_scrub_SOURCES = tests/unit/scrub.c tests/unit/rank.c tests/unit/rank.h tests/unit/pmu_fixture.c \
	tests/unit/pmu_fixture.h tests/unit/unit.h
tests_unit_scrub_CFLAGS = $(unit_cflags)
tests_unit_scrub_LDADD = libclient.la libnet.la libwire.la libcommon.la $(CHECK_LIBS)

unit_programs += tests/unit/nocopy
tests_unit_nocopy_SOURCES = tests/unit/nocopy.c tests/unit/rank.c tests/unit/rank.h tests/unit/pmu_fixture.c \
	tests/unit/pmu_fixture.h tests/unit/unit.h
tests_unit_nocopy_CFLAGS = $(unit_cflags)
tests_unit_nocopy_LDADD = libclient.la libnet.la libwire.la libcommon.la $(CHECK_LIBS)

tests_unit_append_SOURCES = tests/unit/append.c tests/unit/rank.c tests/unit/rank.h tests/unit/pmu_fixture.c \
	tests/unit/pmu_fixture.h tests/unit/unit.h
tests_unit_append_CFLAGS = $(unit_cflags)
tests_unit_append_LDADD = libclient.la libnet.la libwire.la libcommon.la $(CHECK_LIBS)

tests_unit_consolidate_SOURCES = tests/unit/consolidate.c tests/unit/rank.c tests/unit/rank.h tests/unit/pmu_fixture.c \
	tests/unit/pmu_fixture.h tests/unit/unit.h
tests_unit_consolidate_CFLAGS = $(unit_cflags)
tests_unit_consolidate_LDADD = libclient.la libnet.la libwire.la libcommon.la $(CHECK_LIBS)

unit_programs += tests/unit/proxy
tests_unit_proxy_SOURCES = tests/unit/proxy.c tests/unit/pmu_fixture.c tests/unit/pmu_fixture.h \
	tests/unit/unit.h
tests_unit_proxy_CFLAGS = $(unit_cflags)
tests_unit_proxy_LDADD = libclient.la libnet.la libwire.la libcommon.la $(CHECK_LIBS)

unit_programs += tests/unit/wire tests/unit/table tests/unit/chain
tests_unit_wire_SOURCES = tests/unit/wire.c tests/unit/unit.h
tests_unit_wire_CFLAGS = $(unit_cflags)
tests_unit_wire_LDADD = libwire.la libcommon.la $(CHECK_LIBS)
tests_unit_table_SOURCES = tests/unit/table.c tests/unit/unit.h
tests_unit_table_CFLAGS = $(unit_cflags)
tests_unit_table_LDADD = libwire.la libcommon.la $(CHECK_LIBS)
tests_unit_chain_SOURCES = tests/unit/chain.c tests/unit/unit.h
tests_unit_chain_CFLAGS = $(unit_cflags)
tests_unit_chain_LDADD = libwire.la libcommon.la $(CHECK_LIBS)

tests_unit_hostile_SOURCES = tests/unit/hostile.c tests/unit/pmu_fixture.c tests/unit/pmu_fixture.h \
	tests/unit/unit.h
tests_unit_hostile_CFLAGS = $(unit_cflags) $(LIBFABRIC_CFLAGS)
tests_unit_hostile_LDADD = libclient.la libnet.la libwire.la libcommon.la $(LIBFABRIC_LIBS) $(CHECK_LIBS)

tests_unit_faults_SOURCES = tests/unit/faults.c tests/unit/inject.c tests/unit/inject.h tests/unit/pmu_fixture.c \
	tests/unit/pmu_fixture.h tests/unit/unit.h
tests_unit_faults_CFLAGS = $(unit_cflags)
tests_unit_faults_LDADD = libclient.la libnet.la libwire.la libcommon.la $(CHECK_LIBS)

unit_programs += tests/unit/login
tests_unit_login_SOURCES = tests/unit/login.c tests/unit/pmu_fixture.c tests/unit/pmu_fixture.h \
	tests/unit/unit.h
tests_unit_login_CFLAGS = $(unit_cflags)
tests_unit_login_LDADD = libclient.la libnet.la libwire.la libcommon.la $(CHECK_LIBS)

unit_programs += tests/unit/munge
tests_unit_munge_SOURCES = tests/unit/munge.c tests/unit/pmu_fixture.c tests/unit/pmu_fixture.h \
	tests/unit/unit.h
tests_unit_munge_CFLAGS = $(unit_cflags)
tests_unit_munge_LDADD = libclient.la libnet.la libwire.la libcommon.la $(CHECK_LIBS)

unit_programs += tests/unit/copy
tests_unit_copy_SOURCES = tests/unit/copy.c tests/unit/unit.h
tests_unit_copy_CFLAGS = $(unit_cflags)
tests_unit_copy_LDADD = libcommon.la $(CHECK_LIBS)

unit_programs += tests/unit/local
tests_unit_local_SOURCES = tests/unit/local.c tests/unit/unit.h
tests_unit_local_CFLAGS = $(unit_cflags)
tests_unit_local_LDADD = libnet.la libcommon.la $(CHECK_LIBS)

unit_programs += tests/unit/memory
tests_unit_memory_SOURCES = tests/unit/memory.c tests/unit/unit.h
tests_unit_memory_CFLAGS = $(unit_cflags)
tests_unit_memory_LDADD = libcommon.la $(CHECK_LIBS)

unit_programs += tests/unit/command
tests_unit_command_SOURCES = tests/unit/command.c tests/unit/unit.h
tests_unit_command_CFLAGS = $(unit_cflags)
tests_unit_command_LDADD = libcommon.la $(CHECK_LIBS)

unit_programs += tests/unit/auth
tests_unit_auth_SOURCES = tests/unit/auth.c tests/unit/unit.h
tests_unit_auth_CFLAGS = $(unit_cflags)
tests_unit_auth_LDADD = libwire.la libcommon.la $(CHECK_LIBS)

unit_programs += tests/unit/net
tests_unit_net_SOURCES = tests/unit/net.c tests/unit/unit.h
tests_unit_net_CFLAGS = $(unit_cflags)
tests_unit_net_LDADD = libnet.la libcommon.la $(CHECK_LIBS)

unit_programs += tests/unit/verbs tests/unit/persist
tests_unit_verbs_SOURCES = tests/unit/verbs.c tests/unit/unit.h
tests_unit_verbs_CFLAGS = $(unit_cflags) $(VERBS_CFLAGS) $(HWLOC_CFLAGS)
tests_unit_verbs_LDADD = libnet.la libcommon.la $(CHECK_LIBS) $(VERBS_LIBS) $(HWLOC_LIBS)
tests_unit_persist_SOURCES = tests/unit/persist.c tests/unit/unit.h
tests_unit_persist_CFLAGS = $(unit_cflags) $(VERBS_CFLAGS)
tests_unit_persist_LDADD = libnet.la libcommon.la $(CHECK_LIBS) $(VERBS_LIBS)

unit_programs += tests/unit/launch
tests_unit_launch_SOURCES = tests/unit/launch.c tests/unit/unit.h
tests_unit_launch_CFLAGS = $(unit_cflags)
tests_unit_launch_LDADD = liblaunch.la libcommon.la $(JANSSON_LIBS) $(SODIUM_LIBS) $(CHECK_LIBS)

unit_programs += tests/unit/track
tests_unit_track_SOURCES = tests/unit/track.c tests/unit/unit.h
tests_unit_track_CFLAGS = $(unit_cflags)
tests_unit_track_LDADD = libtrack.la libcommon.la $(CHECK_LIBS)

unit_programs += tests/unit/confine
tests_unit_confine_SOURCES = tests/unit/confine.c tests/unit/pmu_fixture.c tests/unit/pmu_fixture.h tests/unit/unit.h
tests_unit_confine_CFLAGS = $(unit_cflags)
tests_unit_confine_LDADD = libni.la libclient.la libnet.la libwire.la libcommon.la $(SECCOMP_LIBS) $(CHECK_LIBS)

# What is preloaded into a process to disturb it.
check_LTLIBRARIES += tests/unit/inject.la
tests_unit_inject_la_SOURCES = tests/unit/inject.c tests/unit/inject.h
tests_unit_inject_la_LDFLAGS = -module -avoid-version -shared -rpath /nowhere
