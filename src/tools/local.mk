bin_PROGRAMS += pmuctl
pmuctl_SOURCES = \
	%D%/jobs.c \
	%D%/pmuctl.c %D%/pmuctl.h \
	%D%/rm.c \
	%D%/show.c \
	%D%/stat.c \
	%D%/verify.c
pmuctl_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
pmuctl_LDADD = libclient.la libnet.la libwire.la libcommon.la $(JANSSON_LIBS)
