noinst_LTLIBRARIES += libni.la
libni_la_SOURCES = \
	%D%/behind.c %D%/behind.h \
	%D%/confine.c %D%/confine.h \
	%D%/locality.c %D%/locality.h \
	%D%/mapping.c %D%/mapping.h \
	%D%/merge.c %D%/merge.h \
	%D%/ni.c %D%/ni.h \
	%D%/slot.c %D%/slot.h
libni_la_CFLAGS = $(AM_CFLAGS) $(HWLOC_CFLAGS) $(SECCOMP_CFLAGS)
libni_la_LIBADD = $(HWLOC_LIBS) $(SECCOMP_LIBS)
