dist_man_MANS += %D%/man/holdfast.3 %D%/man/holdfast.7
dist_man_MANS += %D%/man/holdfast-checkpoint.1 %D%/man/holdfast-restart.1
dist_man_MANS += %D%/man/holdfast-mpirun.1 %D%/man/pmuctl.1 %D%/man/pmu-server.8
dist_doc_DATA += \
	%D%/architecture.md \
	%D%/async.md \
	%D%/getting-started.md \
	%D%/increments.md \
	%D%/launcher.md \
	%D%/on-media-format.md \
	%D%/performance.md \
	%D%/persistence.md \
	%D%/protocol.md \
	%D%/rdma.md \
	%D%/reliability.md \
	%D%/restart.md \
	%D%/security.md \
	%D%/slurm.md \
	%D%/threads.md

# Of performance.md: bench/plot makes them.
plotsdir = $(docdir)/plots
dist_plots_DATA = \
	%D%/plots/async-cow-stop.svg \
	%D%/plots/async-cow-stop-huge.svg \
	%D%/plots/async-cow-stop-part.svg \
	%D%/plots/async-overhead.svg \
	%D%/plots/async-overhead-huge.svg \
	%D%/plots/async-overhead-local.svg \
	%D%/plots/async-stage-stop.svg \
	%D%/plots/checkpoint-local.svg \
	%D%/plots/checkpoint-ofi.svg \
	%D%/plots/commit-4k.svg \
	%D%/plots/instead-dd.svg \
	%D%/plots/instead-mpiio.svg \
	%D%/plots/instead-write.svg \
	%D%/plots/restore-local.svg \
	%D%/plots/restore-ofi.svg

# For the administrator to copy and fill in.
dist_pkgdata_DATA = %D%/pmu-server.conf
pkgdata_DATA = %D%/pmu-server.service
EXTRA_DIST += %D%/pmu-server.service.in
CLEANFILES += %D%/pmu-server.service

%D%/pmu-server.service: %D%/pmu-server.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) %D% && \
	sed -e 's|[@]sbindir[@]|$(sbindir)|' -e 's|[@]sysconfdir[@]|$(sysconfdir)|' \
		$(srcdir)/%D%/pmu-server.service.in >$@.tmp && mv $@.tmp $@
