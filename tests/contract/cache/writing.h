/* A cache's writer and reader on a real Redis, and dispatches that are written one after the other. For tests whose
 * bodies run on a coroutine (tests/support/on_loop.h). */
#pragma once

#include "cache/reader.h"
#include "cache/writer.h"
#include "platform/protocol/intents.h"
#include "tests/support/on_loop.h"
#include "tests/support/services.h"
#include <errno.h>

#define GUILD UINT64_C(21000000)
#define ALL   (INTENT_GUILDS | INTENT_GUILD_MEMBERS | INTENT_GUILD_MESSAGES)

static struct redis *redis;
static struct cache_writer *writer;
static struct cache cache;
static struct cache_place at;
static struct buf text = {0};

static inline void open_cache_with(uint64_t application, uint32_t intents, const struct cache_selection *selection)
{
    BUF_AUTO struct buf err = BUF_INIT(256);

    redis = redis_new(services_env("REDIS_URL"), &err);
    assert_non_null(redis);
    UNTIL(redis_connected(redis));
    writer = cache_writer_new(&(struct cache_writer_options){
        .redis = redis, .application = application, .intents = intents, .selection = selection});
    cache = (struct cache){redis, application};
    at = (struct cache_place){1000, 1, 0, 0, 1, 0};
}

static inline void open_cache(uint64_t application, uint32_t intents)
{
    open_cache_with(application, intents, NULL);
}

static inline void close_cache(void)
{
    UNTIL(cache_writer_idle(writer));
    cache_writer_free(writer);
    redis_free(redis);
    buf_done(&text);
    co_sleep(20);
}

struct answer {
    struct co *co;
    enum cache_result r;
    bool done;
};

static inline void on_done(enum cache_result r, void *arg)
{
    struct answer *a = arg;

    a->r = r;
    a->done = true;
    co_resume(a->co);
}

static inline void on_nothing(enum cache_result r, void *arg)
{
    (void)r, (void)arg;
}

static inline enum cache_result write_at(const char *type, const char *data, const struct cache_place *place)
{
    struct answer a = {.co = co_self()};

    if (cache_write(writer, str_c(type), str_c(data), place, on_done, &a))
        co_suspend();
    return a.r;
}

/* The next event of the session. */
static inline void put(const char *type, const char *data)
{
    at.seq++;
    assert_int_equal(write_at(type, data, &at), CACHE_DONE);
}

#define READ(call) (buf_clear(&text), assert_int_equal((call), 0), buf_str(&text))
