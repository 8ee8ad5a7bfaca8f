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

# Knows where the components and the parameter set go, and finds those of the build tree.
bin_PROGRAMS += holdfast-mpirun
holdfast_mpirun_SOURCES = %D%/holdfast_mpirun.c
holdfast_mpirun_CPPFLAGS = $(AM_CPPFLAGS) -DHOOK_DIR='"$(mcacomponentdir)"' -DERRMGR_DIR='"$(prtecomponentdir)"' \
	-DTUNE_FILE='"$(amcadir)/holdfast"' -DPMIX_DIR='"$(PMIX_COMPONENTS)"'
holdfast_mpirun_LDADD = liblaunch.la libcommon.la
