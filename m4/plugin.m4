# SPDX-License-Identifier: BSD-3-Clause
# plugin.m4 - what the Open MPI component needs beside HOLDFAST_OPEN_MPI, which comes first.

# HOLDFAST_OPEN_MPI_PLUGIN: how to include the component headers, and where parameter sets go.
AC_DEFUN([HOLDFAST_OPEN_MPI_PLUGIN], [
  # Open MPI's headers are system headers to us: their warnings are not ours to mend.
  HOOK_CPPFLAGS=`AS_ECHO(["$MCA_CPPFLAGS"]) | sed 's/-I/-isystem /g'`

  # Some packages of 5.0 ship opal/mca/threads without the header that it includes.
  AC_MSG_CHECKING([whether Open MPI's thread headers are complete])
  AC_LANG_PUSH([C])
  holdfast_save_CPPFLAGS=$CPPFLAGS
  CPPFLAGS="$CPPFLAGS $HOOK_CPPFLAGS $MPI_CFLAGS"
  holdfast_stub=no
  AC_PREPROC_IFELSE([AC_LANG_SOURCE([[#include <opal/mca/threads/mutex.h>]])], [], [
    AC_PREPROC_IFELSE([AC_LANG_SOURCE([[
      #if __has_include(<opal/mca/threads/mutex.h>)
      #include <opal_config.h>
      #else
      #error "Open MPI 4.1 has none, and needs none"
      #endif]])], [holdfast_stub=yes])])
  CPPFLAGS=$holdfast_save_CPPFLAGS
  AC_LANG_POP([C])
  AS_IF([test $holdfast_stub = yes], [
    AC_MSG_RESULT([no, ours stands in])
    HOOK_CPPFLAGS="$HOOK_CPPFLAGS -isystem \$(top_srcdir)/mca/hook/holdfast/stub"
  ], [AC_MSG_RESULT([yes])])
  AC_SUBST([HOOK_CPPFLAGS])

  # mpirun's own component is for ORTE, which is 4.1's.
  AM_CONDITIONAL([HAVE_ORTE], [expr "x$holdfast_ompi_version" : 'x4\.1\.' >/dev/null])
  AM_COND_IF([HAVE_ORTE], [holdfast_launcher="ORTE (mpirun of Open MPI 4.1)"], [holdfast_launcher=none])

  # mpirun --tune NAME looks into one directory of Open MPI's own; we install there where that is inside our
  # prefix, where the prefix is the system's, or by order.
  AC_ARG_WITH([amca-param-sets],
    [AS_HELP_STRING([--with-amca-param-sets=DIR],
      [directory for the parameter set `holdfast' of mpirun --tune @<:@Open MPI's own where the prefix is
       the system's or above it, else PKGDATADIR@:>@])],
    [amcadir=$withval], [amcadir=])
  AS_CASE([$amcadir], [yes|no], [AC_MSG_ERROR([--with-amca-param-sets needs a directory])])
  AC_MSG_CHECKING([where the parameter set for mpirun --tune goes])
  AS_IF([test -z "$amcadir"], [
    amcadir='${pkgdatadir}'
    holdfast_ompi_data=`ompi_info --parsable --path pkgdatadir 2>/dev/null |
      sed -n 's/^path:pkgdatadir://p'`
    holdfast_prefix=$prefix
    test "x$holdfast_prefix" = xNONE && holdfast_prefix=$ac_default_prefix
    holdfast_below=`AS_ECHO(["$holdfast_ompi_data"]) | sed -n "s|^$holdfast_prefix/|/|p"`
    AS_IF([test -n "$holdfast_below"], [amcadir='${prefix}'$holdfast_below/amca-param-sets],
      [test "x$holdfast_prefix" = x/usr/local && test -n "$holdfast_ompi_data"],
      [amcadir=$holdfast_ompi_data/amca-param-sets])])
  AC_MSG_RESULT([$amcadir])
  AC_SUBST([amcadir])
])
