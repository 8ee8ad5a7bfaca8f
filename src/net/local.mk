noinst_LTLIBRARIES += libnet.la
libnet_la_SOURCES = %D%/net.c %D%/net.h %D%/ofi.c %D%/ofi.h %D%/ofi_conn.c \
	%D%/ofi_handshake.c %D%/ofi_handshake.h %D%/ofi_listener.c %D%/ofi_target.c \
	%D%/ofi_target.h %D%/ofi_worker.c
libnet_la_CFLAGS = $(AM_CFLAGS) $(LIBFABRIC_CFLAGS)
libnet_la_LIBADD = $(LIBFABRIC_LIBS) $(SODIUM_LIBS)
