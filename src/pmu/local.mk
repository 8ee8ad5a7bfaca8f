sbin_PROGRAMS += pmu-server
pmu_server_SOURCES = \
	%D%/ask.c \
	%D%/att.c %D%/att.h \
	%D%/attach.c \
	%D%/conf.c %D%/conf.h \
	%D%/drop.c \
	%D%/list.c \
	%D%/login.c %D%/login.h \
	%D%/main.c \
	%D%/merge.c %D%/merge.h \
	%D%/ni_process.c %D%/ni_process.h \
	%D%/read.c \
	%D%/request.c %D%/request.h \
	%D%/rights.c %D%/rights.h \
	%D%/scrub.c %D%/scrub.h \
	%D%/server.c %D%/server.h \
	%D%/session.c %D%/session.h \
	%D%/set.c \
	%D%/share.c \
	%D%/trial.c %D%/trial.h \
	%D%/users.c
pmu_server_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) $(INIH_CFLAGS) $(SODIUM_CFLAGS)
pmu_server_LDADD = libni.la libnet.la libpmm.la libmedia.la libwire.la \
	libcommon.la $(EVENT_LIBS) $(INIH_LIBS) $(SODIUM_LIBS)
