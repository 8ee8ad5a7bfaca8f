# A libFuzzer target for each decoder. They are built with --enable-fuzzers as programs that look for inputs, else as
# programs that replay those that they are given (replay.c).
fuzz_programs = %D%/fuzz_wire %D%/fuzz_ni_wire %D%/fuzz_table %D%/fuzz_chain %D%/fuzz_conf %D%/fuzz_option %D%/fuzz_launch \
	%D%/fuzz_pool %D%/fuzz_device %D%/fuzz_net %D%/fuzz_auth %D%/fuzz_text
check_PROGRAMS += $(fuzz_programs)
fuzz_tests = %D%/corpus.t
TESTS += $(fuzz_tests)
EXTRA_DIST += $(fuzz_tests) %D%/corpus %D%/run %D%/README.md

if FUZZERS
fuzz_ldflags = -fsanitize=fuzzer
fuzz_main =
else
fuzz_ldflags =
fuzz_main = %D%/replay.c
endif

%C%_fuzz_wire_SOURCES = %D%/fuzz_wire.c %D%/fuzz.h %D%/message.h $(fuzz_main)
%C%_fuzz_wire_LDFLAGS = $(fuzz_ldflags)
%C%_fuzz_wire_LDADD = libwire.la libcommon.la

%C%_fuzz_ni_wire_SOURCES = %D%/fuzz_ni_wire.c %D%/fuzz.h %D%/message.h $(fuzz_main)
%C%_fuzz_ni_wire_LDFLAGS = $(fuzz_ldflags)
%C%_fuzz_ni_wire_LDADD = libwire.la libcommon.la

%C%_fuzz_table_SOURCES = %D%/fuzz_table.c %D%/fuzz.h $(fuzz_main)
%C%_fuzz_table_LDFLAGS = $(fuzz_ldflags)
%C%_fuzz_table_LDADD = libwire.la libcommon.la

%C%_fuzz_chain_SOURCES = %D%/fuzz_chain.c %D%/fuzz.h $(fuzz_main)
%C%_fuzz_chain_LDFLAGS = $(fuzz_ldflags)
%C%_fuzz_chain_LDADD = libwire.la libcommon.la

%C%_fuzz_conf_SOURCES = %D%/fuzz_conf.c %D%/fuzz.h src/pmu/conf.c src/pmu/conf.h $(fuzz_main)
%C%_fuzz_conf_CFLAGS = $(AM_CFLAGS) $(INIH_CFLAGS)
%C%_fuzz_conf_LDFLAGS = $(fuzz_ldflags)
%C%_fuzz_conf_LDADD = libcommon.la $(INIH_LIBS)

%C%_fuzz_option_SOURCES = %D%/fuzz_option.c %D%/fuzz.h $(fuzz_main)
%C%_fuzz_option_LDFLAGS = $(fuzz_ldflags)
%C%_fuzz_option_LDADD = libclient.la libnet.la libwire.la libcommon.la

# mailbox.c is a part of it.
%C%_fuzz_launch_SOURCES = %D%/fuzz_launch.c %D%/fuzz.h $(fuzz_main)
%C%_fuzz_launch_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(MPI_CFLAGS)
%C%_fuzz_launch_LDFLAGS = $(fuzz_ldflags)
%C%_fuzz_launch_LDADD = libckpt.la libsnapshot.la libtrack.la liblaunch.la libclient.la libnet.la libwire.la libcommon.la \
	$(JANSSON_LIBS) $(SODIUM_LIBS)

%C%_fuzz_pool_SOURCES = %D%/fuzz_pool.c %D%/fuzz.h $(fuzz_main)
%C%_fuzz_pool_CFLAGS = $(AM_CFLAGS) $(PMEMOBJ_CFLAGS)
%C%_fuzz_pool_LDFLAGS = $(fuzz_ldflags)
%C%_fuzz_pool_LDADD = libpmm.la libmedia.la libwire.la libcommon.la $(PMEMOBJ_LIBS)

# device.c is a part of it.
%C%_fuzz_device_SOURCES = %D%/fuzz_device.c %D%/fuzz.h $(fuzz_main)
%C%_fuzz_device_CFLAGS = $(AM_CFLAGS) $(PMEMOBJ_CFLAGS)
%C%_fuzz_device_LDFLAGS = $(fuzz_ldflags)
%C%_fuzz_device_LDADD = libpmm.la libmedia.la libwire.la libcommon.la $(PMEMOBJ_LIBS)

# ofi.c is a part of it.
%C%_fuzz_net_SOURCES = %D%/fuzz_net.c %D%/fuzz.h $(fuzz_main)
%C%_fuzz_net_CFLAGS = $(AM_CFLAGS) $(LIBFABRIC_CFLAGS) $(VERBS_CFLAGS)
%C%_fuzz_net_LDFLAGS = $(fuzz_ldflags)
%C%_fuzz_net_LDADD = libnet.la libcommon.la $(LIBFABRIC_LIBS) $(SODIUM_LIBS)

%C%_fuzz_auth_SOURCES = %D%/fuzz_auth.c %D%/fuzz.h $(fuzz_main)
%C%_fuzz_auth_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS)
%C%_fuzz_auth_LDFLAGS = $(fuzz_ldflags)
%C%_fuzz_auth_LDADD = libwire.la libcommon.la $(SODIUM_LIBS)

# address.c, mapped.c and slotfile.c are parts of it.
%C%_fuzz_text_SOURCES = %D%/fuzz_text.c %D%/fuzz.h $(fuzz_main)
%C%_fuzz_text_CFLAGS = $(AM_CFLAGS) $(PMEMOBJ_CFLAGS)
%C%_fuzz_text_LDFLAGS = $(fuzz_ldflags)
%C%_fuzz_text_LDADD = libpmm.la libmedia.la libwire.la libcommon.la $(PMEMOBJ_LIBS)

# Speaks to a live server: no libFuzzer, but what it is built with is the server's, too. A unit test as to what it needs.
sequence_program = %D%/sequence
check_PROGRAMS += $(sequence_program)
TESTS += $(sequence_program)
%C%_sequence_SOURCES = %D%/sequence.c %D%/honest.c %D%/honest.h %D%/speaker.c %D%/speaker.h %D%/saying.c %D%/saying.h \
	tests/unit/rank.c tests/unit/rank.h tests/unit/pmu_fixture.c tests/unit/pmu_fixture.h
%C%_sequence_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit
%C%_sequence_CFLAGS = $(unit_cflags)
%C%_sequence_LDADD = libclient.la libnet.la libwire.la libcommon.la $(CHECK_LIBS)

fuzzers: $(fuzz_programs)
.PHONY: fuzzers
