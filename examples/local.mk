# Built here to be tried and tested; what is installed is their source.
examplesdir = $(docdir)/examples
dist_examples_DATA = \
	%D%/minimal.c %D%/minimal.f90 %D%/particles.c \
	%D%/stencil.c %D%/plate.c %D%/plate.h %D%/pgm.c %D%/pgm.h

noinst_PROGRAMS += examples/minimal examples/particles examples/stencil

examples_particles_SOURCES = %D%/particles.c
examples_particles_CFLAGS = $(AM_CFLAGS) $(MPI_CFLAGS)
examples_particles_LDADD = libholdfast.la $(MPI_LIBS)

examples_minimal_SOURCES = %D%/minimal.c
examples_minimal_CFLAGS = $(AM_CFLAGS) $(MPI_CFLAGS)
examples_minimal_LDADD = libholdfast.la $(MPI_LIBS)

# Without contraction no compiler may treat the cells of a block unlike each other.
examples_stencil_SOURCES = \
	%D%/stencil.c \
	%D%/plate.c %D%/plate.h \
	%D%/pgm.c %D%/pgm.h
examples_stencil_CFLAGS = $(AM_CFLAGS) $(MPI_CFLAGS) -ffp-contract=off
examples_stencil_LDADD = libholdfast.la $(MPI_LIBS)

if HAVE_FORTRAN
noinst_PROGRAMS += examples/minimal-f90
examples_minimal_f90_SOURCES = src/ckpt/holdfast.f90 %D%/minimal.f90
examples_minimal_f90_FCFLAGS = $(AM_FCFLAGS) $(MPI_FCFLAGS) -Wall -J%D%
examples_minimal_f90_LDADD = libholdfast.la $(MPI_FCLIBS)
examples/minimal_f90-minimal.$(OBJEXT): src/ckpt/examples_minimal_f90-holdfast.$(OBJEXT)
CLEANFILES += %D%/holdfast.mod
endif
