noinst_LTLIBRARIES += libcommon.la
libcommon_la_SOURCES = \
	%D%/address.c %D%/address.h \
	%D%/checksum.c %D%/checksum.h \
	%D%/copy.c %D%/copy.h %D%/datagram.c %D%/datagram.h \
	%D%/clock.c %D%/clock.h \
	%D%/command.c %D%/command.h \
	%D%/error.c %D%/error.h \
	%D%/fabric.h \
	%D%/identity.c %D%/identity.h \
	%D%/log.c %D%/log.h \
	%D%/memory.c %D%/memory.h \
	%D%/persist.c %D%/persist.h \
	%D%/private_fd.c %D%/private_fd.h \
	%D%/sanitized.h \
	%D%/set.h \
	%D%/share.h \
	%D%/size.c %D%/size.h \
	%D%/testpoint.c %D%/testpoint.h \
	%D%/thread.c %D%/thread.h \
	%D%/worker.c %D%/worker.h
libcommon_la_CFLAGS = $(AM_CFLAGS) $(XXHASH_CFLAGS)
libcommon_la_LIBADD = $(XXHASH_LIBS) -lm
