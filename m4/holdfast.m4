# SPDX-License-Identifier: BSD-3-Clause
# holdfast.m4 - what configure looks for, each with the Debian package that has it.

# HOLDFAST_LIBRARY(VARIABLE, PKG-CONFIG-MODULES, DEBIAN-PACKAGES)
AC_DEFUN([HOLDFAST_LIBRARY], [
  PKG_CHECK_MODULES([$1], [$2], [:], [
    holdfast_missing="$holdfast_missing
    $2"
    holdfast_packages="$holdfast_packages $3"])
])

# HOLDFAST_OPEN_MPI: mpicc, its flags, its version (4.1 or 5.0), and the headers that a component needs.
AC_DEFUN([HOLDFAST_OPEN_MPI], [
  AC_ARG_VAR([MPICC], [Open MPI's compiler wrapper])
  AC_PATH_PROGS([MPICC], [mpicc.openmpi mpicc])
  holdfast_ompi_version=
  AS_IF([test -n "$MPICC"], [
    MPI_CFLAGS=`$MPICC --showme:compile 2>/dev/null`
    MPI_LIBS=`$MPICC --showme:link 2>/dev/null`
    holdfast_ompi_version=`$MPICC --showme:version 2>/dev/null | sed -n 's/.*Open MPI \([[0-9.]]*\).*/\1/p'`])
  AC_MSG_CHECKING([for Open MPI 4.1 or 5.0])
  AS_CASE([$holdfast_ompi_version],
    [4.1.*|5.0.*], [AC_MSG_RESULT([$holdfast_ompi_version])],
    [AC_MSG_RESULT([${holdfast_ompi_version:-no}])
     holdfast_missing="$holdfast_missing
    Open MPI 4.1 or 5.0 (mpicc)"
     holdfast_packages="$holdfast_packages openmpi-bin libopenmpi-dev"])
  AC_SUBST([MPI_CFLAGS])
  AC_SUBST([MPI_LIBS])

  AC_MSG_CHECKING([for Open MPI's component headers])
  MCA_CPPFLAGS=
  for holdfast_dir in `$MPICC --showme:incdirs 2>/dev/null`; do
    for holdfast_sub in . openmpi; do
      AS_IF([test -z "$MCA_CPPFLAGS" && test -f "$holdfast_dir/$holdfast_sub/ompi/mca/hook/hook.h"],
        [MCA_CPPFLAGS="-I$holdfast_dir/$holdfast_sub"])
    done
  done
  AS_IF([test -n "$MCA_CPPFLAGS"], [AC_MSG_RESULT([$MCA_CPPFLAGS])], [
    AC_MSG_RESULT([no])
    AS_IF([test -n "$holdfast_ompi_version"], [
      holdfast_missing="$holdfast_missing
    Open MPI's component headers (configured --with-devel-headers)"
      holdfast_packages="$holdfast_packages libopenmpi-dev"])])
  AC_SUBST([MCA_CPPFLAGS])
])

# HOLDFAST_MPI_FORTRAN: MPI's flags for the Fortran compiler, for the Fortran example; no need for either.
AC_DEFUN([HOLDFAST_MPI_FORTRAN], [
  AC_ARG_VAR([MPIFC], [Open MPI's Fortran compiler wrapper])
  AC_PATH_PROGS([MPIFC], [mpifort.openmpi mpifort])
  AS_IF([test -n "$FC" && test -n "$MPIFC"], [
    MPI_FCFLAGS=`$MPIFC --showme:compile 2>/dev/null`
    MPI_FCLIBS=`$MPIFC --showme:link 2>/dev/null`])
  AC_SUBST([MPI_FCFLAGS])
  AC_SUBST([MPI_FCLIBS])
  # The sanitizers of the C compiler are not the Fortran compiler's.
  AM_CONDITIONAL([HAVE_FORTRAN], [test -n "$MPI_FCLIBS" && { test -z "$enable_sanitizers" || test "x$enable_sanitizers" = xno; }])
])
