# One program a module; each prints TAP. tests/unit/unit.h has main().
unit_cflags = $(AM_CFLAGS) $(CHECK_CFLAGS)
unit_programs =
check_PROGRAMS += $(unit_programs)
TESTS += $(unit_programs)

unit_programs += tests/unit/media
tests_unit_media_SOURCES = tests/unit/media.c tests/unit/scratch.h tests/unit/unit.h
tests_unit_media_CFLAGS = $(unit_cflags)
tests_unit_media_LDADD = libmedia.la $(CHECK_LIBS)

unit_programs += tests/unit/option tests/unit/name
tests_unit_option_SOURCES = tests/unit/option.c tests/unit/unit.h
tests_unit_option_CFLAGS = $(unit_cflags) $(MPI_CFLAGS)
tests_unit_option_LDADD = libckpt.la $(CHECK_LIBS)
tests_unit_name_SOURCES = tests/unit/name.c tests/unit/unit.h
tests_unit_name_CFLAGS = $(unit_cflags) $(MPI_CFLAGS)
tests_unit_name_LDADD = libckpt.la $(CHECK_LIBS)
