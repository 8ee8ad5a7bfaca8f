/* SPDX-License-Identifier: BSD-3-Clause */
/* sanitized.h - SANITIZED: 1 in a build with AddressSanitizer or ThreadSanitizer, else 0. Their libraries multiply what a
 * process takes, want allocators of their own, and open files when they have something to tell. */
#ifndef HOLDFAST_SANITIZED_H
#define HOLDFAST_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) /* gcc */
#define SANITIZED 1
#elif defined(__has_feature) /* clang */
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#endif
