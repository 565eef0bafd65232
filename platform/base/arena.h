/* Bump allocation for what lives as long as one request or one event. Never returns NULL. One owner, one thread. */
#pragma once

#include "platform/base/str.h"

struct arena_block;
struct arena {
    struct arena_block *head;
    size_t used_bytes;
};

void arena_done(struct arena *a);                    /* frees everything; a zeroed arena is an empty arena */
void *arena_alloc(struct arena *a, size_t size);     /* zeroed, 16-byte aligned */
char *arena_strdup(struct arena *a, struct str s);   /* NUL-terminated copy */
struct str arena_str(struct arena *a, struct str s); /* the same, as a str; STR_NONE stays STR_NONE */
struct str arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define ARENA_NEW(a, type)      ((type *)arena_alloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_alloc((a), sizeof(type) * (n)))
