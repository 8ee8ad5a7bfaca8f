noinst_PROGRAMS += bench/hf-bench
bench_hf_bench_SOURCES = \
	%D%/bench.h %D%/main.c \
	%D%/async.c \
	%D%/child.c %D%/child.h \
	%D%/chain.c \
	%D%/commit.c \
	%D%/crew.c %D%/crew.h \
	%D%/crowd.c \
	%D%/increment.c \
	%D%/instead.c \
	%D%/overhead.c \
	%D%/perftest.c %D%/perftest.h \
	%D%/relaunch.c \
	%D%/report.c %D%/report.h \
	%D%/rma.c %D%/rma.h \
	%D%/server.c %D%/server.h \
	%D%/sessions.c \
	%D%/state.c %D%/state.h \
	%D%/transfer.c
bench_hf_bench_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/%D%
bench_hf_bench_CFLAGS = $(AM_CFLAGS) $(LIBFABRIC_CFLAGS) $(JANSSON_CFLAGS)
bench_hf_bench_LDADD = libsnapshot.la libtrack.la libclient.la libnet.la libwire.la libcommon.la $(LIBFABRIC_LIBS) $(JANSSON_LIBS)

# What relaunch has mpirun start.
noinst_PROGRAMS += bench/relaunch_rank
bench_relaunch_rank_SOURCES = %D%/relaunch_rank.c
bench_relaunch_rank_CFLAGS = $(AM_CFLAGS) $(MPI_CFLAGS)
bench_relaunch_rank_LDADD = libholdfast.la $(MPI_LIBS)

# What instead-mpiio has mpirun start.
noinst_PROGRAMS += bench/mpiio_rank
bench_mpiio_rank_SOURCES = %D%/mpiio_rank.c
bench_mpiio_rank_CFLAGS = $(AM_CFLAGS) $(MPI_CFLAGS)
bench_mpiio_rank_LDADD = $(MPI_LIBS)

# More: make bench BENCHFLAGS='--only commit-4k --json FILE'
.PHONY: bench
bench: bench/hf-bench$(EXEEXT) bench/relaunch_rank$(EXEEXT) bench/mpiio_rank$(EXEEXT) $(sbin_PROGRAMS)
	$(builddir)/bench/hf-bench $(BENCHFLAGS)

# The rows that `make bench BENCHFLAGS='--json rows.json'` left there, as pictures for the documentation.
ROWS = rows.json
PLOTS = $(srcdir)/docs/plots
EXTRA_DIST += %D%/plot
.PHONY: plots
plots:
	$(SHELL) $(srcdir)/%D%/plot -o $(PLOTS) $(ROWS)
