#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A job that nothing happens to computes what it would without Holdfast, and leaves nothing behind. Open MPI takes what
# components it likes.
. "${0%/*}/lib.sh"
plan 7
sed -i '/^--mca \(pml\|btl\) /d' "$tune"

ok "the computation works without Holdfast" stencil_expected
ok "the server starts" start_server
stencil_start calm
ok "epochs get complete while the job runs" wait_for 30 epoch_reached calm 2
ok "the job succeeds" job_wait
is "its result is that of the unprotected computation" "$(stencil_result calm)" "$expected"
is "a job that is done holds no epoch any more" "$(newest_epoch calm)" ""
ok "the server stops without complaint" stop_server
done_testing
