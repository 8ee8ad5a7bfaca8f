# What the tools share; each program's own is its main().
noinst_LTLIBRARIES += libtools.la
libtools_la_SOURCES = \
	%D%/checkpoint.c \
	%D%/pmuctl.h \
	%D%/tool.c
libtools_la_LIBADD = libclient.la libnet.la libwire.la libcommon.la

bin_PROGRAMS += pmuctl holdfast-checkpoint holdfast-restart
pmuctl_SOURCES = \
	%D%/fence.c \
	%D%/jobs.c \
	%D%/list.c %D%/list.h \
	%D%/pmuctl.c \
	%D%/rm.c \
	%D%/share.c \
	%D%/show.c \
	%D%/stat.c \
	%D%/users.c \
	%D%/verify.c
pmuctl_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
pmuctl_LDADD = libtools.la $(JANSSON_LIBS)

holdfast_checkpoint_SOURCES = %D%/holdfast_checkpoint.c
holdfast_checkpoint_LDADD = libtools.la

holdfast_restart_SOURCES = %D%/holdfast_restart.c
holdfast_restart_LDADD = libtools.la

# Knows where the components and the parameter set go, and finds those of the build tree.
bin_PROGRAMS += holdfast-mpirun
holdfast_mpirun_SOURCES = %D%/holdfast_mpirun.c
holdfast_mpirun_CPPFLAGS = $(AM_CPPFLAGS) -DHOOK_DIR='"$(mcacomponentdir)"' -DERRMGR_DIR='"$(prtecomponentdir)"' \
	-DTUNE_FILE='"$(amcadir)/holdfast"' -DPMIX_DIR='"$(PMIX_COMPONENTS)"'
holdfast_mpirun_LDADD = liblaunch.la libcommon.la
