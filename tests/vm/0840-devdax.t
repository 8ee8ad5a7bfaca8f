#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A devdax device whose stores last when they are out of the processor's caches (ADR): verbs, kill -9, restore.
vm='--nvdimm 512M,mem-ctrl --nvdimm 1G,mem-ctrl' flush='cache lines'
. "${0%/*}/devdax.sh"
