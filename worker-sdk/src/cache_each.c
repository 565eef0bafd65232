/* Long lists of the cache, a slice in memory at a time. Coroutine. */
#include "worker-sdk/src/sdk.h"

#include "platform/base/snowflake.h"
#include "platform/protocol/json_read.h"

#include <errno.h>

/* A list: what reads its slices, and what is done with each element. */
struct each {
    struct gh_context *c;
    int (*slice)(const struct each *e, uint64_t *cursor, struct buf *out);
    enum cache_entity cached;
    uint64_t guild, thread;
    /* Of one slice, with a context that ends with it. */
    int (*tell)(const struct each *e, struct gh_context *slice, json_t *list);
    void (*fn)(void); /* the user's; `tell` knows its type */
    void *arg;
};

static int each_slice(const struct each *e, uint64_t *cursor)
{
    struct gh_context slice = {.bot = e->c->bot, .item = e->c->item};
    struct buf text = {0};
    json_t *list = NULL;
    int error = e->slice(e, cursor, &text);

    if (!error && json_read(buf_str(&text), &list, NULL) == 0)
        context_keep(&slice, list);
    buf_done(&text);
    error = error ? error : list ? e->tell(e, &slice, list) : -EHOSTDOWN;
    context_done(&slice);
    return error;
}

static int each_run(const struct each *e)
{
    uint64_t cursor = 0;
    int result;

    do {
        result = each_slice(e, &cursor);
    } while (result == 0 && cursor != 0);
    return result;
}

static int slice_of_guild(const struct each *e, uint64_t *cursor, struct buf *out)
{
    return cache_list_slice(&e->c->bot->cache, e->cached, e->guild, cursor, out);
}

static int slice_of_thread(const struct each *e, uint64_t *cursor, struct buf *out)
{
    return cache_thread_members_slice(&e->c->bot->cache, e->guild, e->thread, cursor, out);
}

static int slice_of_guilds(const struct each *e, uint64_t *cursor, struct buf *out)
{
    return cache_guilds_slice(&e->c->bot->cache, cursor, out);
}

#define TELL(e)                                                                                                        \
    static int tell_##e(const struct each *each, struct gh_context *slice, json_t *list)                               \
    {                                                                                                                  \
        int (*fn)(const struct gh_##e *, void *) = (int (*)(const struct gh_##e *, void *))each->fn;                   \
        size_t count = 0;                                                                                              \
        const struct gh_##e *all = entity_read_list(slice, ENTITY_##e, list, &count);                                  \
        int result = 0;                                                                                                \
                                                                                                                       \
        for (size_t i = 0; all && i < count && result == 0; i++)                                                       \
            result = fn(&all[i], each->arg);                                                                           \
        return result;                                                                                                 \
    }

#define EACH_OF_GUILD(e, entity)                                                                                       \
    TELL(e)                                                                                                            \
    int gh_cache_each_##e(struct gh_context *c, uint64_t guild_id, int (*fn)(const struct gh_##e *, void *),           \
                          void *arg)                                                                                   \
    {                                                                                                                  \
        struct each each = {.c = c,                                                                                    \
                            .slice = slice_of_guild,                                                                   \
                            .cached = CACHE_##entity,                                                                  \
                            .guild = guild_id,                                                                         \
                            .tell = tell_##e,                                                                          \
                            .fn = (void (*)(void))fn,                                                                  \
                            .arg = arg};                                                                               \
        return each_run(&each);                                                                                        \
    }

EACH_OF_GUILD(member, MEMBERS)
EACH_OF_GUILD(presence, PRESENCES)
EACH_OF_GUILD(voice_state, VOICE_STATES)
TELL(thread_member)

int gh_cache_each_thread_member(struct gh_context *c, uint64_t guild_id, uint64_t thread_id,
                                int (*fn)(const struct gh_thread_member *, void *), void *arg)
{
    struct each each = {.c = c,
                        .slice = slice_of_thread,
                        .guild = guild_id,
                        .thread = thread_id,
                        .tell = tell_thread_member,
                        .fn = (void (*)(void))fn,
                        .arg = arg};
    return each_run(&each);
}

static int tell_guild_id(const struct each *each, struct gh_context *slice, json_t *list)
{
    int (*fn)(uint64_t, void *) = (int (*)(uint64_t, void *))each->fn;
    int result = 0;

    (void)slice;
    for (size_t i = 0; i < json_array_size(list) && result == 0; i++) {
        uint64_t id = 0;
        (void)snowflake_parse(str_c(json_string_value(json_array_get(list, i))), &id);
        result = fn(id, each->arg);
    }
    return result;
}

int gh_cache_each_guild_id(struct gh_context *c, int (*fn)(uint64_t guild_id, void *arg), void *arg)
{
    struct each each = {.c = c, .slice = slice_of_guilds, .tell = tell_guild_id, .fn = (void (*)(void))fn, .arg = arg};
    return each_run(&each);
}
