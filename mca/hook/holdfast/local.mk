# The component for Open MPI, and the parameter set that switches it on. It is built at the top, because
# Open MPI takes every file mca_* of a folder for a component, and here there are objects.
mcacomponent_LTLIBRARIES = mca_hook_holdfast.la
mca_hook_holdfast_la_SOURCES = %D%/hook_holdfast_component.c
mca_hook_holdfast_la_CPPFLAGS = $(AM_CPPFLAGS) $(HOOK_CPPFLAGS) $(MPI_CFLAGS)
mca_hook_holdfast_la_LIBADD = libholdfast.la $(MPI_LIBS)
mca_hook_holdfast_la_LDFLAGS = -module -avoid-version -export-symbols-regex '^mca_hook_'

# `holdfast` is for the installed component; holdfast.tune is for that of the build tree.
amca_DATA = %D%/holdfast
noinst_DATA = %D%/holdfast.tune
CLEANFILES += %D%/holdfast %D%/holdfast.tune

%D%/holdfast: %D%/holdfast.tune.in Makefile
	$(AM_V_GEN)$(MKDIR_P) %D% && \
	sed 's|[@]dir[@]|$(mcacomponentdir)|' $(srcdir)/%D%/holdfast.tune.in >$@.tmp && mv $@.tmp $@

%D%/holdfast.tune: %D%/holdfast.tune.in Makefile
	$(AM_V_GEN)$(MKDIR_P) %D% && \
	sed 's|[@]dir[@]|$(abs_builddir)/.libs|' $(srcdir)/%D%/holdfast.tune.in >$@.tmp && mv $@.tmp $@

EXTRA_DIST += %D%/holdfast.tune.in %D%/owner.txt \
	%D%/stub/opal/mca/threads/pthreads/threads_pthreads_mutex.h
