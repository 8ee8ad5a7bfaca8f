# All of it but the export list is in libckpt.la, so that tests reach what is not public.
noinst_LTLIBRARIES += libckpt.la
libckpt_la_SOURCES = \
	%D%/async.c %D%/async.h \
	%D%/attach.c \
	%D%/changes.c %D%/changes.h \
	%D%/checkpoint.c %D%/checkpoint.h \
	%D%/epoch.c %D%/epoch.h \
	%D%/exit.c %D%/exit.h \
	%D%/fortran.c \
	%D%/interval.c %D%/interval.h \
	%D%/job.c %D%/job.h \
	%D%/launcher.c %D%/launcher.h \
	%D%/message.c \
	%D%/name.c %D%/name.h \
	%D%/node.c %D%/node.h \
	%D%/outcome.c %D%/outcome.h \
	%D%/plugin.h \
	%D%/protect.c %D%/protect.h \
	%D%/record.c %D%/record.h \
	%D%/restore.c \
	%D%/resume.c %D%/resume.h \
	%D%/segment.c %D%/segment.h \
	%D%/server.c %D%/server.h \
	%D%/type.c %D%/type.h \
	%D%/wish.c %D%/wish.h
libckpt_la_CFLAGS = $(AM_CFLAGS) $(MPI_CFLAGS) $(SODIUM_CFLAGS) $(JANSSON_CFLAGS)
libckpt_la_LIBADD = $(SODIUM_LIBS) $(JANSSON_LIBS) $(MPI_LIBS) -lm

# The part that knows no MPI, for tests and benchmarks of its own.
noinst_LTLIBRARIES += libsnapshot.la
libsnapshot_la_SOURCES = \
	%D%/cow.c %D%/cow.h %D%/cow_fault.c %D%/cow_inside.h \
	%D%/kept.c %D%/kept.h \
	%D%/parts.c %D%/parts.h \
	%D%/snapshot.c %D%/snapshot.h \
	%D%/stage.c %D%/stage.h \
	%D%/userfault.c %D%/userfault.h

lib_LTLIBRARIES += libholdfast.la
libholdfast_la_SOURCES =
libholdfast_la_LIBADD = libckpt.la libsnapshot.la libtrack.la liblaunch.la libclient.la libnet.la libwire.la libcommon.la
libholdfast_la_LDFLAGS = -version-info 0:0:0 -export-symbols-regex '^hf_' -no-undefined

include_HEADERS += %D%/holdfast.f90
