/* Bump allocation in blocks that double from 4 KB to 64 KB; what is larger than a block gets one of its own.
 * One owner, one thread. */
#include "platform/base/arena.h"

#include "platform/base/check.h"
#include "platform/base/mem.h"
#include <stdarg.h>
#include <stdio.h>

#define ARENA_BLOCK_MIN ((size_t)4 << 10)
#define ARENA_BLOCK_MAX ((size_t)64 << 10)
#define ARENA_ALIGN     ((size_t)16)

struct arena_block {
    struct arena_block *next;
    size_t size, used; /* bytes of data */
    _Alignas(16) char data[];
};

void arena_done(struct arena *a)
{
    for (struct arena_block *b = a->head; b;) {
        struct arena_block *next = b->next;
        mem_free(b);
        b = next;
    }
    *a = (struct arena){0};
}

static struct arena_block *arena_block_new(struct arena *a, size_t need)
{
    size_t size = a->head ? a->head->size * 2 : ARENA_BLOCK_MIN;

    if (size > ARENA_BLOCK_MAX)
        size = ARENA_BLOCK_MAX;
    if (size < need)
        size = need;
    struct arena_block *b = mem_alloc(sizeof(*b) + size);
    b->size = size;
    b->used = 0;
    b->next = a->head;
    a->head = b;
    return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
    struct arena_block *b = a->head;

    CHECK(size <= SIZE_MAX / 2);
    size = (size + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
    if (!b || b->size - b->used < size)
        b = arena_block_new(a, size);
    void *p = b->data + b->used;
    b->used += size;
    a->used_bytes += size;
    return memset(p, 0, size);
}

char *arena_strdup(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1);

    if (s.n)
        memcpy(p, s.p, s.n);
    return p;
}

struct str arena_str(struct arena *a, struct str s)
{
    return s.p ? (struct str){arena_strdup(a, s), s.n} : STR_NONE;
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap, again;

    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    CHECK(n >= 0);
    char *p = arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return (struct str){p, (size_t)n};
}
