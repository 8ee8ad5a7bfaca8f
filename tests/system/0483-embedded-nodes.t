#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A job on several nodes that names no server gets one on each of them, and is told what that means. The nodes
# are this machine under two names.
# shellcheck disable=SC2317 # `ok` calls the functions
. "${0%/*}/lib.sh"
unshare --uts true 2>/dev/null || skip_all "only root can give this machine a second name"
case $(ompi_info --version) in
*v4.*) ;;
*) skip_all "it is made for the launcher of Open MPI 4.1" ;;
esac
plan 8
world=$(run_program world) || bail "world has not been built"

# What mpirun starts a daemon with: agent NODE COMMAND...
cat >"$run_dir/agent" <<'END'
#!/bin/sh
node=$1
shift
exec unshare --uts sh -c "hostname $node && $*"
END
chmod +x "$run_dir/agent"
sed -i '/^--mca \(pml\|btl\) /d' "$tune"
job_options="--mca plm_rsh_agent $run_dir/agent --mca plm_rsh_no_tree_spawn 1 --host nodea:2,nodeb:2
	-x HOLDFAST_PMU_SERVER -x XDG_STATE_HOME -x XDG_RUNTIME_DIR -x HOLDFAST_CONFIG -x LD_LIBRARY_PATH"

ok "a job on two nodes comes to its end" job two 4 "$world" protect checkpoint
ok "each has a pool" test -f "$run_dir/state/holdfast/nodea/pool/metadata"
ok "of its own" test -f "$run_dir/state/holdfast/nodeb/pool/metadata"
is "each has a server" "$(for pid in $(embedded_pid); do alive "$pid" && echo "$pid"; done | sort -u | wc -l)" 2
is "the job is told once" "$(grep -c "no server is named: a pmu-server of each node's own was started" \
	"$run_dir/two.err")" 1
is "and that the pools are not shared" "$(grep -c "its ranks are on 2 nodes, and each node has a pool of its own" \
	"$run_dir/two.err")" 1
ok "it goes on where its ranks are where they were" job two 4 "$world" protect restore
ok "from its checkpoint" grep -q "restore: success, epoch 1" "$run_dir/two.out"
done_testing
