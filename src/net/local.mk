noinst_LTLIBRARIES += libnet.la
libnet_la_SOURCES = %D%/local.c %D%/local.h %D%/local_target.c %D%/net.c %D%/net.h %D%/ofi.c %D%/ofi.h %D%/ofi_conn.c \
	%D%/ofi_handshake.c %D%/ofi_handshake.h %D%/ofi_listener.c %D%/ofi_target.c \
	%D%/ofi_target.h %D%/ofi_worker.c %D%/piece.c %D%/piece.h %D%/token.c %D%/token.h \
	%D%/verbs.c %D%/verbs.h %D%/verbs_binding.c %D%/verbs_conn.c %D%/verbs_conn.h %D%/verbs_listener.c \
	%D%/verbs_memory.c %D%/verbs_memory.h %D%/verbs_near.c %D%/verbs_near.h %D%/verbs_persist.c %D%/verbs_probe.c %D%/verbs_rail.c %D%/verbs_session.c \
	%D%/verbs_source.c %D%/verbs_source.h %D%/verbs_target.c %D%/verbs_target.h %D%/verbs_transfer.c
libnet_la_CFLAGS = $(AM_CFLAGS) $(LIBFABRIC_CFLAGS) $(VERBS_CFLAGS) $(HWLOC_CFLAGS)
libnet_la_LIBADD = $(LIBFABRIC_LIBS) $(VERBS_LIBS) $(HWLOC_LIBS) $(SODIUM_LIBS)
