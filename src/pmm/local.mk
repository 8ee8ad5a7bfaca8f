noinst_LTLIBRARIES += libpmm.la
libpmm_la_SOURCES = \
	%D%/device.c \
	%D%/extent.c %D%/extent.h \
	%D%/format.h %D%/increment.c %D%/index.h \
	%D%/job.c %D%/job.h \
	%D%/load.c \
	%D%/merge.c \
	%D%/pool.c %D%/pool.h \
	%D%/probe.c \
	%D%/record.c \
	%D%/region.c %D%/region.h \
	%D%/slotfile.c \
	%D%/user.c %D%/user.h
libpmm_la_CFLAGS = $(AM_CFLAGS) $(PMEMOBJ_CFLAGS)
libpmm_la_LIBADD = $(PMEMOBJ_LIBS)
