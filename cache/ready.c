/* READY names the guilds that the shard has. Those that the cache still holds of the same shard were left while nobody
 * listened: they go, guarded by READY's place, so that a GUILD_CREATE behind it wins. Loop thread. */
#include "cache/apply.h"

#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/protocol/envelope.h"
#include <stdlib.h>

struct ready {
    struct cache_writer *w;
    struct cache_place at;
    uint64_t shard, shards;
    uint64_t *guilds;
    size_t count, cap;
};

static int guild_note(struct str value, void *arg)
{
    struct ready *r = arg;

    if (r->count == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 64;
        r->guilds = mem_realloc(r->guilds, sizeof(*r->guilds) * r->cap);
    }
    r->guilds[r->count++] = apply_id_of(apply_member_of(value, "id"));
    return 0;
}

static int id_compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static bool is_there(const struct ready *r, uint64_t guild)
{
    return r->count && bsearch(&guild, r->guilds, r->count, sizeof(*r->guilds), id_compare) != NULL;
}

static void leave(struct ready *r, uint64_t guild)
{
    struct call c = {.w = r->w, .at = &r->at, .guild = guild};

    batch_begin(&r->w->batch, guild, r->at.epoch, r->at.generation, r->at.seq);
    apply_guild_delete(&c);
    apply_send(&c);
}

static void on_guilds(int error, const struct redis_reply *reply, void *arg);

static void guilds_ask(struct ready *r, struct str cursor)
{
    struct buf BUF_AUTO key = BUF_INIT(256), count = BUF_INIT(64);

    cache_key_guilds(&key, r->w->o.application);
    buf_add_u64(&count, LIMIT_CACHE_SLICE);
    r->w->pending++;
    redis_command(r->w->o.redis, 5, (struct str[]){STR("SSCAN"), buf_str(&key), cursor, STR("COUNT"), buf_str(&count)},
                  LIMIT_CACHE_TIMEOUT_MS, on_guilds, r);
}

static void on_guilds(int error, const struct redis_reply *reply, void *arg)
{
    struct ready *r = arg;
    bool good = !error && redis_reply_count(reply) == 2;
    const struct redis_reply *guilds = good ? redis_reply_at(reply, 1) : NULL;
    uint64_t guild;

    r->w->pending--;
    for (size_t i = 0; good && i < redis_reply_count(guilds); i++)
        if (str_to_u64(redis_reply_str(redis_reply_at(guilds, i)), &guild) == 0 &&
            (guild >> 22) % r->shards == r->shard && !is_there(r, guild))
            leave(r, guild);
    if (good && !str_eq(redis_reply_str(redis_reply_at(reply, 0)), STR("0"))) {
        guilds_ask(r, redis_reply_str(redis_reply_at(reply, 0)));
        return;
    }
    mem_free(r->guilds);
    mem_free(r);
}

static int number_take(struct str value, void *arg)
{
    uint64_t *numbers = arg, n = 0;

    str_to_u64(value, &n);
    numbers[0] = numbers[1];
    numbers[1] = n;
    return 0;
}

void apply_ready_compare(struct call *c)
{
    uint64_t shard[2] = {0, 1};

    if (c->f.guilds.n == 0)
        return;
    json_elements_scan(c->f.shard, number_take, shard);
    struct ready *r = MEM_NEW(struct ready);
    *r = (struct ready){.w = c->w, .at = *c->at, .shard = shard[0], .shards = shard[1] ? shard[1] : 1};
    json_elements_scan(c->f.guilds, guild_note, r);
    if (r->count) /* qsort and bsearch take no null pointer, also for nothing */
        qsort(r->guilds, r->count, sizeof(*r->guilds), id_compare);
    guilds_ask(r, STR("0"));
}
