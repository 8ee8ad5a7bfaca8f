# mpirun's own component, of the Open MPI that is here: ORTE's (4.1).
if HAVE_ORTE
mcacomponent_LTLIBRARIES += mca_errmgr_holdfast.la
mca_errmgr_holdfast_la_SOURCES = \
	%D%/orte/errmgr_holdfast.h \
	%D%/orte/errmgr_holdfast_component.c \
	%D%/orte/job.c \
	%D%/orte/module.c \
	%D%/orte/node.c \
	%D%/orte/stdin.c
mca_errmgr_holdfast_la_CPPFLAGS = $(AM_CPPFLAGS) $(HOOK_CPPFLAGS) $(MPI_CFLAGS)
mca_errmgr_holdfast_la_LIBADD = liblaunch.la libcommon.la $(JANSSON_LIBS) $(SODIUM_LIBS) -ldl
mca_errmgr_holdfast_la_LDFLAGS = -module -avoid-version -export-symbols-regex '^mca_errmgr_'
endif

EXTRA_DIST += %D%/owner.txt
