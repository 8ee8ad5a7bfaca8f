/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * prte_config.h - stands in for the header of PRRTE's own configuration, which is not installed: as much of it
 * as the component headers of 3.0 need. Nothing here changes a structure's layout but what PRRTE itself fixes.
 */
#ifndef PRTE_CONFIG_H
#define PRTE_CONFIG_H

#include "src/include/pmix_config.h"
#include "prte_version.h"

#define PRTE_MAJOR_VERSION   3
#define PRTE_MINOR_VERSION   0
#define PRTE_RELEASE_VERSION 0

/* hwloc and libevent as PMIx includes them */
#define PRTE_HWLOC_HEADER	  <hwloc.h>
#define PRTE_EVENT_HEADER	  <event.h>
#define PRTE_EVENT2_THREAD_HEADER <event2/thread.h>

#define PRTE_EXPORT
#define PRTE_MODULE_EXPORT
#define PRTE_HIDE_UNUSED_PARAMS(...)
#ifndef BEGIN_C_DECLS
#define BEGIN_C_DECLS
#define END_C_DECLS
#endif

/* decorations only */
#define __prte_attribute_always_inline__
#define __prte_attribute_const__
#define __prte_attribute_deprecated__
#define __prte_attribute_format__(kind, format, first)
#define __prte_attribute_format_funcptr__(kind, format, first)
#define __prte_attribute_malloc__
#define __prte_attribute_nonnull__(argument)
#define __prte_attribute_nonnull_all__
#define __prte_attribute_noreturn__
#define __prte_attribute_unused__
#define __prte_attribute_visibility__(kind)
#define __prte_attribute_warn_unused_result__

/* sizes that these headers use */
#define PRTE_NAME_PRINT_MAX_SIZE 50
#define PRTE_PATH_MAX		 4096
#define PRTE_MAXHOSTNAMELEN	 256

#endif
