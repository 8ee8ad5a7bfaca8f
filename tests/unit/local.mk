# One program a module; each prints TAP. tests/unit/unit.h has main().
unit_cflags = $(AM_CFLAGS) $(CHECK_CFLAGS)
unit_programs =
check_PROGRAMS += $(unit_programs)
TESTS += $(unit_programs)
