# SPDX-License-Identifier: BSD-3-Clause
# errmgr.m4 - what the launcher's component for PRRTE (Open MPI 5.0) needs; HOLDFAST_OPEN_MPI comes first.

# HOLDFAST_PRRTE: the component's headers, of PRRTE 3.0 and of its PMIx; without them it is not built.
AC_DEFUN([HOLDFAST_PRRTE], [
  AC_MSG_CHECKING([for PRRTE's component headers, 3.0])
  PRTE_CPPFLAGS=
  holdfast_prte_version=
  holdfast_pmix_dir=`$PKG_CONFIG --variable=includedir pmix 2>/dev/null`
  for holdfast_dir in `$MPICC --showme:incdirs 2>/dev/null`; do
    AS_IF([test -z "$PRTE_CPPFLAGS" && test -f "$holdfast_dir/prte_version.h" &&
        test -f "$holdfast_dir/prte/src/mca/errmgr/errmgr.h" &&
        test -f "$holdfast_pmix_dir/pmix/src/mca/base/pmix_base.h"], [
      holdfast_prte_version=`awk '/^#define PRTE_VERSION_(MAJOR|MINOR|RELEASE) / {
          sub(/L$/, "", $[]3); text = text dot $[]3; dot = "." } END { print text }' "$holdfast_dir/prte_version.h"`
      PRTE_CPPFLAGS="-isystem $holdfast_dir/prte -isystem $holdfast_dir/prte/src/include"
      PRTE_CPPFLAGS="$PRTE_CPPFLAGS -isystem $holdfast_dir -isystem $holdfast_pmix_dir -isystem $holdfast_pmix_dir/pmix"])
  done
  AS_CASE([$holdfast_prte_version], [3.0.*], [], [PRTE_CPPFLAGS=])
  AS_IF([test -n "$PRTE_CPPFLAGS"], [
    holdfast_launcher="errmgr/holdfast for PRRTE $holdfast_prte_version"
    AC_MSG_RESULT([$holdfast_prte_version])], [AC_MSG_RESULT([no])])
  AC_SUBST([PRTE_CPPFLAGS])
  # PMIx's own components, which ours must not hide.
  PMIX_COMPONENTS=`$PKG_CONFIG --variable=libdir pmix 2>/dev/null`/pmix
  AS_IF([test ! -d "$PMIX_COMPONENTS"], [PMIX_COMPONENTS=])
  AC_SUBST([PMIX_COMPONENTS])
  AM_CONDITIONAL([HAVE_PRRTE], [test -n "$PRTE_CPPFLAGS"])
])
