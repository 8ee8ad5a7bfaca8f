# What launchers share: when a failed job is started again. No MPI, nothing of Open MPI's inside.
noinst_LTLIBRARIES += liblaunch.la
liblaunch_la_SOURCES = \
	%D%/command.c %D%/command.h \
	%D%/input.c %D%/input.h \
	%D%/mailbox.c %D%/mailbox.h \
	%D%/policy.c %D%/policy.h \
	%D%/restart.c %D%/restart.h \
	%D%/version.c %D%/version.h
liblaunch_la_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(JANSSON_CFLAGS)
liblaunch_la_LIBADD = $(SODIUM_LIBS) $(JANSSON_LIBS)
