# Crash images of recorded work on a pool, opened and checked. The functions of libpmem are the recorder's, and so must be
# seen by libpmemobj; it sees our calls of fsync(2) by --wrap.
crash_tests = %D%/replay
check_PROGRAMS += $(crash_tests)
TESTS += $(crash_tests)
%C%_replay_SOURCES = \
	%D%/image.c %D%/image.h \
	%D%/main.c \
	%D%/must.h \
	%D%/oracle.c %D%/oracle.h \
	%D%/plant.c %D%/plant.h \
	%D%/recording.c %D%/recording.h \
	%D%/replay.c %D%/replay.h \
	%D%/scenario.c %D%/scenario.h \
	%D%/state.c %D%/state.h
%C%_replay_CFLAGS = $(AM_CFLAGS) $(PMEMOBJ_CFLAGS)
%C%_replay_LDFLAGS = -export-dynamic -Wl,--wrap=fsync,--wrap=probe
%C%_replay_LDADD = libpmm.la libni.la libmedia.la libwire.la libcommon.la $(PMEMOBJ_LIBS)
