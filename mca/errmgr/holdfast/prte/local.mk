# The launcher's component for Open MPI 5.0 (PRRTE 3.0), in a folder that only holdfast-mpirun names: PMIx loads
# every file pmix_mca_* of a folder into everything that uses it. Its symbols come from prterun itself.
if HAVE_PRRTE
prtecomponent_LTLIBRARIES = pmix_mca_errmgr_holdfast.la
pmix_mca_errmgr_holdfast_la_SOURCES = \
	%D%/console.c %D%/console.h \
	%D%/ending.c \
	%D%/errmgr_holdfast_prte.c \
	%D%/failure.c \
	%D%/incarnation.c \
	%D%/job.c %D%/job.h \
	%D%/launcher.c %D%/launcher.h \
	%D%/node.c \
	%D%/stub/prte_config.h
pmix_mca_errmgr_holdfast_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/%D% -I$(srcdir)/%D%/stub $(PRTE_CPPFLAGS) \
	$(HWLOC_CFLAGS) $(EVENT_CFLAGS)
pmix_mca_errmgr_holdfast_la_LIBADD = liblaunch.la libcommon.la
pmix_mca_errmgr_holdfast_la_LDFLAGS = -module -avoid-version \
	-export-symbols-regex '^(prte|pmix)_mca_errmgr_'

# The same in the build tree.
noinst_DATA += %D%/components/pmix_mca_errmgr_holdfast.so
%D%/components/pmix_mca_errmgr_holdfast.so: pmix_mca_errmgr_holdfast.la
	$(AM_V_GEN)$(MKDIR_P) %D%/components && \
	ln -sf '$(abs_builddir)/.libs/pmix_mca_errmgr_holdfast.so' $@
CLEANFILES += %D%/components/pmix_mca_errmgr_holdfast.so
endif

EXTRA_DIST += %D%/console.c %D%/console.h %D%/ending.c %D%/errmgr_holdfast_prte.c %D%/failure.c \
	%D%/incarnation.c %D%/job.c %D%/job.h %D%/launcher.c %D%/launcher.h %D%/node.c %D%/owner.txt %D%/stub/prte_config.h
