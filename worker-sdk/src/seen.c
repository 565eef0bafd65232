/* What was handled lately, so that an event which a shard published again after a crash is not handled again: in memory
 * by the hash of "session:seq", and in Redis for the partition's next worker,
 * gh:<application>:{<group>:<partition>}:done (list of 8-byte hashes, the newest KEEP_IN_REDIS, gone after ten minutes
 * without news). A Redis that began anew may have forgotten them: whoever holds the partition tells all again. Loop
 * thread; SEEN_MAX hashes. */
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
    unsigned under_way; /* tellings */
    bool ours;          /* from the load on until what we handled is told for good */
    bool given_up;      /* it is told for the last time */
    bool forgotten;     /* Redis may not have what it was told: all is told again */
    struct map owners;  /* shard and count -> the highest epoch seen in this queue */
};

struct seen {
    struct gh_bot *bot;
    struct map set; /* hash -> itself */
    uint64_t ring[SEEN_MAX];
    uint8_t ring_part[SEEN_MAX]; /* whose it is */
    size_t at;
    struct part parts[BROKER_PARTITIONS];
    struct loop_timer *timer;
    struct list loads;  /* struct load: Redis did not answer */
    char run[48];       /* of Redis, which knows what it was told */
    unsigned under_way; /* questions to Redis */
    bool over;
};

_Static_assert(BROKER_PARTITIONS <= UINT8_MAX, "a partition's number is one byte");

/* ARGV: how many are kept, 1 where the list begins anew, hashes. First what takes no memory: then a Redis that is full
 * takes the rest, too. */
static const char *const told_script = "redis.call('EXPIRE', KEYS[1], 600)\n"
                                       "if ARGV[2] == '1' then redis.call('DEL', KEYS[1]) end\n"
                                       "redis.call('RPUSH', KEYS[1], unpack(ARGV, 3))\n"
                                       "redis.call('LTRIM', KEYS[1], -tonumber(ARGV[1]), -1)\n"
                                       "redis.call('EXPIRE', KEYS[1], 600)\n"
                                       "return 1\n";

static void key_write(const struct seen *s, unsigned partition, char *out, size_t size)
{
    snprintf(out, size, "gh:%llu:{%s:%u}:done", (unsigned long long)s->bot->application_id, s->bot->group, partition);
}

static void remember(struct seen *s, unsigned partition, uint64_t hash)
{
    size_t n = s->at++ % SEEN_MAX;
    uint64_t *slot = &s->ring[n];

    if (*slot)
        map_del(&s->set, *slot);
    *slot = hash;
    s->ring_part[n] = (uint8_t)partition;
    map_put(&s->set, hash, slot);
}

static void answered(struct seen *s)
{
    if (--s->under_way == 0 && s->over)
        mem_free(s);
}

/* --- telling Redis --- */

struct telling {
    struct seen *s;
    unsigned partition;
};

/* With nothing left to tell, the partition is the next worker's. */
static void given_up_check(struct part *p)
{
    if (p->given_up && !p->forgotten && p->untold_count == 0 && p->under_way == 0)
        p->ours = false;
}

static void on_told(int error, const struct redis_reply *r, void *arg)
{
    struct telling *t = arg;
    struct part *p = &t->s->parts[t->partition];

    p->under_way--;
    if (error || redis_reply_type(r) == REDIS_ERROR)
        p->forgotten = true;
    given_up_check(p);
    answered(t->s);
    mem_free(t);
}

static void tell(struct seen *s, unsigned partition, const uint64_t *hashes, unsigned count, bool anew)
{
    struct telling *t = MEM_NEW(struct telling);
    struct str *words = mem_alloc(sizeof(*words) * (count + 3));
    char key[256], keep[16];

    *t = (struct telling){s, partition};
    key_write(s, partition, key, sizeof(key));
    snprintf(keep, sizeof(keep), "%d", KEEP_IN_REDIS);
    words[0] = str_c(key);
    words[1] = str_c(keep);
    words[2] = anew ? STR("1") : STR("0");
    for (unsigned i = 0; i < count; i++)
        words[i + 3] = (struct str){(const char *)&hashes[i], sizeof(hashes[i])};
    s->under_way++;
    s->parts[partition].under_way++;
    redis_script(s->bot->redis, told_script, 1, (int)count + 3, words, LIMIT_REDIS_COMMAND_MS, on_told, t);
    mem_free(words);
}

/* The newest of the partition, the oldest of them first. */
static void tell_all(struct seen *s, unsigned partition)
{
    uint64_t *hashes = mem_alloc(sizeof(*hashes) * KEEP_IN_REDIS);
    unsigned first = KEEP_IN_REDIS;

    for (size_t i = 1; i <= SEEN_MAX && i <= s->at && first > 0; i++) {
        size_t n = (s->at - i) % SEEN_MAX;
        if (s->ring_part[n] == partition)
            hashes[--first] = s->ring[n];
    }
    if (first < KEEP_IN_REDIS)
        tell(s, partition, hashes + first, KEEP_IN_REDIS - first, true);
    mem_free(hashes);
}

static void part_flush(struct seen *s, unsigned partition)
{
    struct part *p = &s->parts[partition];

    if (p->ours && p->forgotten && redis_connected(s->bot->redis)) {
        p->forgotten = false;
        tell_all(s, partition);
    } else if (p->untold_count > 0 && !(p->ours && p->forgotten)) {
        tell(s, partition, p->untold, p->untold_count, false);
    }
    p->untold_count = 0;
}

void seen_flush(struct seen *s)
{
    for (unsigned i = 0; i < BROKER_PARTITIONS; i++)
        part_flush(s, i);
}

static void run_check(struct seen *s)
{
    const char *run = redis_run_id(s->bot->redis);

    for (unsigned i = 0; *s->run && strcmp(s->run, run) != 0 && i < BROKER_PARTITIONS; i++)
        s->parts[i].forgotten |= s->parts[i].ours;
    snprintf(s->run, sizeof s->run, "%s", run);
}

static void loads_ask(struct seen *s);

static void on_timer(void *arg)
{
    run_check(arg);
    seen_flush(arg);
    loads_ask(arg);
}

/* Before anything else is asked of a new run: a partition that was given up may be another's a moment later. */
static void on_redis(bool connected, void *arg)
{
    const struct gh_bot *bot = arg;

    if (connected && bot->seen)
        on_timer(bot->seen);
}

void seen_add(struct seen *s, unsigned partition, uint64_t id_hash)
{
    struct part *p = &s->parts[partition];

    if (!id_hash)
        return;
    remember(s, partition, id_hash);
    p->untold[p->untold_count++] = id_hash;
    if (p->untold_count == UNTOLD_MAX)
        part_flush(s, partition);
}

void seen_give_up(struct seen *s, unsigned partition)
{
    s->parts[partition].given_up = true;
    part_flush(s, partition);
    given_up_check(&s->parts[partition]);
}

void seen_lose(struct seen *s, unsigned partition)
{
    part_flush(s, partition);
    s->parts[partition].ours = s->parts[partition].forgotten = false;
}

/* --- taking over --- */

struct load {
    struct list link;
    struct seen *s;
    unsigned partition, tenure;
    seen_loaded_fn done;
    void *arg;
};

static void on_loaded(int error, const struct redis_reply *r, void *arg)
{
    struct load *l = arg;
    struct seen *s = l->s;

    if (!s->over && (error || redis_reply_type(r) != REDIS_ARRAY)) {
        list_append(&s->loads, &l->link);
        answered(s);
        return;
    }
    for (size_t i = 0; !s->over && i < redis_reply_count(r); i++) {
        struct str bytes = redis_reply_str(redis_reply_at(r, i));
        uint64_t hash;

        if (bytes.n != sizeof(hash))
            continue;
        memcpy(&hash, bytes.p, sizeof(hash));
        if (hash && !map_get(&s->set, hash))
            remember(s, l->partition, hash);
    }
    s->parts[l->partition].ours = true;
    if (!s->over)
        l->done(l->partition, l->tenure, l->arg);
    answered(s);
    mem_free(l);
}

static void load_ask(struct load *l)
{
    char key[256];

    key_write(l->s, l->partition, key, sizeof(key));
    l->s->under_way++;
    redis_command(l->s->bot->redis, 4, (struct str[]){STR("LRANGE"), str_c(key), STR("0"), STR("-1")},
                  LIMIT_REDIS_COMMAND_MS, on_loaded, l);
}

static void loads_ask(struct seen *s)
{
    LIST_FOREACH_SAFE(it, &s->loads)
    {
        list_remove(it);
        load_ask(LIST_ENTRY(it, struct load, link));
    }
}

void seen_load(struct seen *s, unsigned partition, unsigned tenure, seen_loaded_fn done, void *arg)
{
    struct load *l = MEM_NEW(struct load);

    s->parts[partition].given_up = false;
    *l = (struct load){.s = s, .partition = partition, .tenure = tenure, .done = done, .arg = arg};
    load_ask(l);
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
    list_init(&s->loads);
    redis_on_state(bot->redis, on_redis, bot);
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
    LIST_FOREACH_SAFE(it, &s->loads)
    {
        list_remove(it);
        mem_free(LIST_ENTRY(it, struct load, link));
    }
    loop_timer_free(s->timer);
    s->over = true;
    s->under_way++;
    answered(s); /* else it is freed by the last answer */
}
