/* The words of one call of a script: keys, then arguments. Memory of the call's own arena. Loop thread. */
#pragma once

#include "platform/base/arena.h"
#include "platform/io/redis.h"

#define WORDS_MAX 24

struct words {
    struct arena a;
    struct str at[WORDS_MAX];
    int count;
};

/* s must live until words_run. */
void words_add(struct words *w, struct str s);
void words_add_int(struct words *w, int64_t v);
/* The time that the script goes by; NULL: Redis's own. */
void words_add_now(struct words *w, int64_t (*now_ms)(void));
/* Sends and empties them; fn as redis_script. */
void words_run(struct words *w, struct redis *redis, const char *script, int keys, redis_fn fn, void *arg);
