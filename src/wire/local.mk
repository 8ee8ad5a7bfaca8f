noinst_LTLIBRARIES += libwire.la
libwire_la_SOURCES = \
	%D%/auth.c %D%/auth.h %D%/auth_munge.c %D%/auth_none.c %D%/auth_psk.c \
	%D%/chain.c %D%/chain.h \
	%D%/cursor.c %D%/cursor.h \
	%D%/ni_wire.c %D%/ni_wire.h \
	%D%/seal.c %D%/seal.h \
	%D%/table.c %D%/table.h \
	%D%/wire.c %D%/wire.h
libwire_la_CFLAGS = $(AM_CFLAGS) $(MUNGE_CFLAGS) $(SODIUM_CFLAGS)
libwire_la_LIBADD = $(MUNGE_LIBS) $(SODIUM_LIBS)
