/* The allocator façade over malloc. Any thread. */
#include "platform/base/mem.h"

#include "platform/base/check.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static atomic_uint fail_countdown;

void *mem_alloc(size_t size)
{
    void *p = malloc(size ? size : 1);

    CHECK_MSG(p, "out of memory (%zu bytes)", size);
    return p;
}

void *mem_zalloc(size_t size)
{
    void *p = calloc(1, size ? size : 1);

    CHECK_MSG(p, "out of memory (%zu bytes)", size);
    return p;
}

void *mem_realloc(void *p, size_t size)
{
    void *q = realloc(p, size ? size : 1);

    CHECK_MSG(q, "out of memory (%zu bytes)", size);
    return q;
}

char *mem_strdup(const char *s)
{
    return mem_strndup(s, strlen(s));
}

char *mem_strndup(const char *s, size_t n)
{
    size_t len = strnlen(s, n);
    char *p = mem_alloc(len + 1);

    memcpy(p, s, len);
    p[len] = 0;
    return p;
}

void mem_free(void *p)
{
    free(p);
}

static bool must_fail(void)
{
    unsigned n = atomic_load_explicit(&fail_countdown, memory_order_relaxed);

    if (__builtin_expect(n == 0, 1))
        return false;
    return atomic_fetch_sub(&fail_countdown, 1) == 1;
}

void *mem_try_realloc(void *p, size_t size)
{
    return must_fail() ? NULL : realloc(p, size ? size : 1);
}

void mem_fail_nth(unsigned n)
{
    atomic_store(&fail_countdown, n);
}

void mem_auto_free(void *pp)
{
    mem_free(*(void **)pp);
}
