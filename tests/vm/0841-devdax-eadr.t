#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The same where the caches are in the persistence domain, too (eADR).
vm='--nvdimm 512M,cpu --nvdimm 1G,cpu' flush=nothing
. "${0%/*}/devdax.sh"
