noinst_LTLIBRARIES += libpmm.la
libpmm_la_SOURCES = %D%/format.h %D%/pool.c %D%/pool.h %D%/job.c %D%/job.h %D%/region.c %D%/region.h
libpmm_la_CFLAGS = $(AM_CFLAGS) $(PMEMOBJ_CFLAGS)
libpmm_la_LIBADD = $(PMEMOBJ_LIBS) libmedia.la libcommon.la
