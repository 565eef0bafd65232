/* READY names the guilds that the shard has. Those that the cache still holds of the same shard were left while nobody
 * listened: they go, guarded by READY's place, so that a GUILD_CREATE behind it wins. Loop thread. */
#include "cache/apply.h"

#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/protocol/envelope.h"

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

static bool is_there(const struct ready *r, uint64_t guild)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->guilds[i] == guild)
            return true;
    return false;
}

static void leave(struct ready *r, uint64_t guild)
{
    struct call c = {.w = r->w, .at = &r->at, .guild = guild};

    batch_begin(&r->w->batch, guild, r->at.epoch, r->at.generation, r->at.seq);
    apply_guild_delete(&c);
    apply_send(&c, NULL, NULL);
}

static void on_guilds(int error, const struct redis_reply *reply, void *arg)
{
    struct ready *r = arg;
    uint64_t guild;

    r->w->pending--;
    for (size_t i = 0; !error && i < redis_reply_count(reply); i++)
        if (str_to_u64(redis_reply_str(redis_reply_at(reply, i)), &guild) == 0 &&
            (guild >> 22) % r->shards == r->shard && !is_there(r, guild))
            leave(r, guild);
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
    struct buf BUF_AUTO key = BUF_INIT(256);
    uint64_t shard[2] = {0, 1};

    if (c->f.guilds.n == 0)
        return;
    json_elements_scan(c->f.shard, number_take, shard);
    struct ready *r = MEM_NEW(struct ready);
    *r = (struct ready){.w = c->w, .at = *c->at, .shard = shard[0], .shards = shard[1] ? shard[1] : 1};
    json_elements_scan(c->f.guilds, guild_note, r);
    cache_key_guilds(&key, c->w->o.application);
    c->w->pending++;
    redis_command(c->w->o.redis, 2, (struct str[]){STR("SMEMBERS"), buf_str(&key)}, LIMIT_CACHE_TIMEOUT_MS, on_guilds,
                  r);
}
