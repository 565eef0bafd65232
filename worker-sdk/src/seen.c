/* What was handled lately, so that an event which a shard published again after a crash is not handled again: in memory
 * by the hash of "session:seq", and in Redis for the partition's next worker,
 * gh:<application>:{<group>:<partition>}:done (list of 8-byte hashes, the newest KEEP_IN_REDIS, gone after ten minutes
 * without news). Loop thread; SEEN_MAX hashes. */
#include "worker-sdk/src/sdk.h"

#include "cache/broker.h"
#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/io/loop.h"

#include <stdio.h>

#define SEEN_MAX      65536
#define KEEP_IN_REDIS 2048
#define FLUSH_MS      250
#define UNTOLD_MAX    512 /* of a partition; then it is told at once */

struct part {
    uint64_t untold[UNTOLD_MAX];
    unsigned untold_count;
    struct map owners; /* shard and count -> the highest epoch seen in this queue */
};

struct seen {
    struct gh_bot *bot;
    struct map set; /* hash -> itself */
    uint64_t ring[SEEN_MAX];
    size_t at;
    struct part parts[BROKER_PARTITIONS];
    struct loop_timer *timer;
};

static const char *const told_script = "redis.call('RPUSH', KEYS[1], unpack(ARGV, 2))\n"
                                       "redis.call('LTRIM', KEYS[1], -tonumber(ARGV[1]), -1)\n"
                                       "redis.call('EXPIRE', KEYS[1], 600)\n"
                                       "return 1\n";

static void key_write(const struct seen *s, unsigned partition, char *out, size_t size)
{
    snprintf(out, size, "gh:%llu:{%s:%u}:done", (unsigned long long)s->bot->application_id, s->bot->group, partition);
}

static void remember(struct seen *s, uint64_t hash)
{
    uint64_t *slot = &s->ring[s->at++ % SEEN_MAX];

    if (*slot)
        map_del(&s->set, *slot);
    *slot = hash;
    map_put(&s->set, hash, slot);
}

/* --- telling Redis --- */

static void part_flush(struct seen *s, unsigned partition)
{
    struct part *p = &s->parts[partition];
    struct str words[UNTOLD_MAX + 2];
    char key[256], keep[16];

    if (p->untold_count == 0)
        return;
    key_write(s, partition, key, sizeof(key));
    snprintf(keep, sizeof(keep), "%d", KEEP_IN_REDIS);
    words[0] = str_c(key);
    words[1] = str_c(keep);
    for (unsigned i = 0; i < p->untold_count; i++)
        words[i + 2] = (struct str){(const char *)&p->untold[i], sizeof(p->untold[i])};
    redis_script(s->bot->redis, told_script, 1, (int)p->untold_count + 2, words, LIMIT_REDIS_COMMAND_MS, NULL, NULL);
    p->untold_count = 0;
}

void seen_flush(struct seen *s)
{
    for (unsigned i = 0; i < BROKER_PARTITIONS; i++)
        part_flush(s, i);
}

static void on_timer(void *arg)
{
    seen_flush(arg);
}

void seen_add(struct seen *s, unsigned partition, uint64_t id_hash)
{
    struct part *p = &s->parts[partition];

    if (!id_hash)
        return;
    remember(s, id_hash);
    p->untold[p->untold_count++] = id_hash;
    if (p->untold_count == UNTOLD_MAX)
        part_flush(s, partition);
}

/* --- taking over --- */

struct load {
    struct seen *s;
    void (*done)(void *arg);
    void *arg;
};

static void on_loaded(int error, const struct redis_reply *r, void *arg)
{
    struct load *l = arg;
    size_t count = error ? 0 : redis_reply_count(r);

    for (size_t i = 0; i < count; i++) {
        struct str bytes = redis_reply_str(redis_reply_at(r, i));
        uint64_t hash;

        if (bytes.n != sizeof(hash))
            continue;
        memcpy(&hash, bytes.p, sizeof(hash));
        if (hash && !map_get(&l->s->set, hash))
            remember(l->s, hash);
    }
    l->done(l->arg);
    mem_free(l);
}

void seen_load(struct seen *s, unsigned partition, void (*done)(void *arg), void *arg)
{
    struct load *l = MEM_NEW(struct load);
    char key[256];

    *l = (struct load){s, done, arg};
    key_write(s, partition, key, sizeof(key));
    redis_command(s->bot->redis, 4, (struct str[]){STR("LRANGE"), str_c(key), STR("0"), STR("-1")},
                  LIMIT_REDIS_COMMAND_MS, on_loaded, l);
}

/* --- questions --- */

bool seen_before(const struct seen *s, uint64_t id_hash)
{
    return id_hash && map_get(&s->set, id_hash) != NULL;
}

/* Only within one queue: there an owner's events stand before the next owner's, while another queue's backlog may well
 * hold events of an owner that was the right one when it published them. */
bool seen_later_owner(struct seen *s, unsigned partition, const struct item *item)
{
    struct map *owners = &s->parts[partition].owners;
    uint64_t shard = ((uint64_t)item->event.shard << 32 | (uint64_t)item->event.shard_count) + 1;

    if (item->lease_epoch <= 0)
        return false;
    int64_t highest = (int64_t)(intptr_t)map_get(owners, shard);
    if (item->lease_epoch > highest)
        map_put(owners, shard, (void *)(intptr_t)item->lease_epoch);
    return item->lease_epoch < highest;
}

/* --- life --- */

struct seen *seen_new(struct gh_bot *bot)
{
    struct seen *s = MEM_NEW(struct seen);

    s->bot = bot;
    s->timer = loop_timer_new(on_timer, s);
    loop_timer_start(s->timer, FLUSH_MS, FLUSH_MS);
    return s;
}

void seen_free(struct seen *s)
{
    seen_flush(s);
    for (unsigned i = 0; i < BROKER_PARTITIONS; i++)
        map_done(&s->parts[i].owners);
    map_done(&s->set);
    loop_timer_free(s->timer);
    mem_free(s);
}
