#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The data plane verbs on a soft-RoCE device: tests/system/0710-verbs.t, which no machine without a device can run.
TIME_LIMIT=500
. "${0%/*}/lib.sh"
rdma_up || bail "the soft-RoCE device does not come up"
exec sh "$test_library/0710-verbs.t"
