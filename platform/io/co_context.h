/* A stack that runs, and the switch from it to another. Internal to platform/io. On x86-64 in a few instructions:
 * swapcontext also saves the signal mask, which costs a call to the kernel at every switch. Elsewhere, and under the
 * sanitizers, ucontext. */
#pragma once

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define CO_ASAN
#endif
#if __has_feature(thread_sanitizer)
#define CO_TSAN
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define CO_ASAN
#endif
#ifdef __SANITIZE_THREAD__
#define CO_TSAN
#endif

#if defined(__x86_64__) && !defined(CO_ASAN) && !defined(CO_TSAN)
#define CO_CONTEXT_OWN
#endif

#include <stddef.h>
#ifndef CO_CONTEXT_OWN
#include <ucontext.h>
#endif

struct co_context {
#ifdef CO_CONTEXT_OWN
    void *sp; /* of a stack that does not run: on it lie the registers that a function call keeps */
#else
    ucontext_t ucontext;
#endif
};

/* The first switch to it calls begin(), which must not return. stack: its lowest byte. */
void co_context_make(struct co_context *c, void *stack, size_t bytes, void (*begin)(void));
/* Returns when somebody switches back to `from`. */
void co_context_switch(struct co_context *from, struct co_context *to);
