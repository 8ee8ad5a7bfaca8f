# What changed in protected memory since the last committed set. No MPI, no wire, no PMU.
noinst_LTLIBRARIES += libtrack.la
libtrack_la_SOURCES = \
	%D%/choose.c %D%/choose.h \
	%D%/hash.c \
	%D%/mapped.c %D%/mapped.h \
	%D%/track.c %D%/track.h \
	%D%/tracker.h \
	%D%/uffd.c %D%/uffd.h \
	%D%/uffd_abi.h
