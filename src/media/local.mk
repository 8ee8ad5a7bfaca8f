noinst_LTLIBRARIES += libmedia.la
libmedia_la_SOURCES = %D%/device.c %D%/media.c %D%/media.h %D%/pmem2.c
libmedia_la_CFLAGS = $(AM_CFLAGS) $(PMEM2_CFLAGS)
libmedia_la_LIBADD = $(PMEM2_LIBS)
