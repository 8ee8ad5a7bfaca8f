noinst_LTLIBRARIES += libclient.la
libclient_la_SOURCES = \
	%D%/ask.c \
	%D%/client.h \
	%D%/control.c %D%/control.h \
	%D%/embedded.c %D%/embedded.h \
	%D%/get.c \
	%D%/mover.c %D%/mover.h \
	%D%/option.c %D%/option.h \
	%D%/put.c \
	%D%/session.c %D%/session.h \
	%D%/spawn.c %D%/spawn.h
libclient_la_CPPFLAGS = $(AM_CPPFLAGS) -DSYSCONFDIR='"$(sysconfdir)"' -DSBINDIR='"$(sbindir)"'
libclient_la_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(INIH_CFLAGS)
libclient_la_LIBADD = $(SODIUM_LIBS) $(INIH_LIBS)
