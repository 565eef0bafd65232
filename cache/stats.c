/* Counting what is cached. Limits: LIMIT_CACHE_SAMPLE_*. */
#include "cache/stats.h"

#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/io/co.h"
#include "platform/io/loop.h"
#include <errno.h>
#include <stdio.h>

#define SAMPLE_FIRST_MS 1000
#define SAMPLE_MS       60000
#define SAMPLE_GUILDS   64
#define KINDS           3 /* entities in parts */

METRIC_DEFINE_BY(metric_entities, METRIC_GAUGE, "guildhall_cache_entities", "entity",
                 "Entities in the application's cache, from a sample of guilds; the same from every shard process");
METRIC_DEFINE_BY(metric_bytes, METRIC_GAUGE, "guildhall_cache_bytes", "entity",
                 "Bytes of Redis they take, from the same sample");

/* KEYS: the list of parts, then one hash for each entity; ARGV: head, then the kinds of parts. Answers count, bytes of
 * each hash and of each kind, of that from 256 parts drawn at random. */
static const char guild_script[] =
    "local out = {}\n"
    "local function add(at, key)\n"
    "  out[at] = (out[at] or 0) + redis.call('HLEN', key)\n"
    "  out[at + 1] = (out[at + 1] or 0) + (redis.call('MEMORY', 'USAGE', key) or 0)\n"
    "end\n"
    "for i = 2, #KEYS do add(i * 2 - 3, KEYS[i]) end\n"
    "local all = redis.call('SCARD', KEYS[1])\n"
    "local parts = redis.call('SRANDMEMBER', KEYS[1], 256)\n"
    "for i = 2, #ARGV do\n"
    "  local at = #KEYS * 2 + i * 2 - 5\n"
    "  out[at], out[at + 1] = 0, 0\n"
    "  for _, part in ipairs(parts) do add(at, ARGV[1] .. ARGV[i] .. part) end\n"
    "  local times = #parts > 0 and all / #parts or 0\n"
    "  out[at], out[at + 1] = math.floor(out[at] * times), math.floor(out[at + 1] * times)\n"
    "end\n"
    "return out\n";

/* ARGV: what users' keys begin with, keys looked at, keys up to which all are. Answers keys in all, keys looked at,
 * users among them, their bytes. */
static const char users_script[] = "local head, tries, small = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])\n"
                                   "local keys, seen, users, bytes = redis.call('DBSIZE'), 0, 0, 0\n"
                                   "local function look(key)\n"
                                   "  seen = seen + 1\n"
                                   "  if string.sub(key, 1, #head) == head and string.sub(key, -6) == '}:user' then\n"
                                   "    users = users + 1\n"
                                   "    bytes = bytes + (redis.call('MEMORY', 'USAGE', key) or 0)\n"
                                   "  end\n"
                                   "end\n"
                                   "if keys <= small then\n"
                                   "  local at = '0'\n"
                                   "  repeat\n"
                                   "    local r = redis.call('SCAN', at, 'COUNT', 1000)\n"
                                   "    at = r[1]\n"
                                   "    for _, key in ipairs(r[2]) do look(key) end\n"
                                   "  until at == '0'\n"
                                   "  keys = seen\n"
                                   "else\n"
                                   "  for i = 1, tries do look(redis.call('RANDOMKEY')) end\n"
                                   "end\n"
                                   "return {keys, seen, users, bytes}\n";

static int ask(const struct cache *c, const char *script, int keys, int argc, const struct str *argv, size_t least,
               struct redis_reply **ret)
{
    struct redis_reply *r;

    if (redis_script_await(c->redis, script, keys, argc, argv, &r) != 0)
        return -EHOSTDOWN;
    if (redis_reply_type(r) == REDIS_ARRAY && redis_reply_count(r) >= least) {
        *ret = r;
        return 0;
    }
    redis_reply_free(r);
    return -EHOSTDOWN;
}

static void add(struct cache_stats *s, enum cache_entity e, const struct redis_reply *r, size_t at)
{
    s->of[e].count += (uint64_t)redis_reply_int(redis_reply_at(r, at));
    s->of[e].bytes += (uint64_t)redis_reply_int(redis_reply_at(r, at + 1));
}

static bool has_own_key(unsigned e)
{
    return !cache_entity_in_parts((enum cache_entity)e) && e != CACHE_USERS;
}

static int guild_count(const struct cache *c, uint64_t guild, struct cache_stats *s)
{
    static const struct {
        enum cache_entity e;
        const char *name;
    } kinds[KINDS] = {
        {CACHE_THREAD_MEMBERS, "thread_members:"}, {CACHE_MESSAGES, "messages:"}, {CACHE_REACTIONS, "reactions:"}};
    struct buf keys[CACHE_ENTITY_COUNT + 2] = {{0}};
    struct str words[CACHE_ENTITY_COUNT + 2 + KINDS];
    struct redis_reply *r;
    int count = 0, args;
    size_t at = 0;

    cache_key_parts(&keys[count++], c->application, guild);
    for (unsigned e = 0; e < CACHE_ENTITY_COUNT; e++)
        if (has_own_key(e))
            cache_key(&keys[count++], c->application, guild, (enum cache_entity)e);
    cache_key_head(&keys[count], c->application, guild);
    for (args = 0; args <= count; args++)
        words[args] = buf_str(&keys[args]);
    for (int i = 0; i < KINDS; i++)
        words[args++] = str_c(kinds[i].name);
    int error = ask(c, guild_script, count, args, words, 2 * (size_t)(count - 1 + KINDS), &r);
    for (int i = 0; i <= count; i++)
        buf_done(&keys[i]);
    if (error)
        return error;
    for (unsigned e = 0; e < CACHE_ENTITY_COUNT; e++)
        if (has_own_key(e)) {
            add(s, (enum cache_entity)e, r, at);
            at += 2;
        }
    for (int i = 0; i < KINDS; i++, at += 2)
        add(s, kinds[i].e, r, at);
    redis_reply_free(r);
    return 0;
}

static int users_count(const struct cache *c, struct cache_stats *s)
{
    struct buf BUF_AUTO head = BUF_INIT(64);
    struct redis_reply *r;
    char tries[16], small[16];

    buf_addf(&head, "gh:%llu:{", (unsigned long long)c->application);
    snprintf(tries, sizeof(tries), "%d", LIMIT_CACHE_SAMPLE_KEYS);
    snprintf(small, sizeof(small), "%d", LIMIT_CACHE_SAMPLE_SMALL);
    int error = ask(c, users_script, 0, 3, (struct str[]){buf_str(&head), str_c(tries), str_c(small)}, 4, &r);
    if (error)
        return error;
    uint64_t keys = (uint64_t)redis_reply_int(redis_reply_at(r, 0));
    uint64_t seen = (uint64_t)redis_reply_int(redis_reply_at(r, 1));
    add(s, CACHE_USERS, r, 2);
    redis_reply_free(r);
    if (seen) {
        s->of[CACHE_USERS].count = s->of[CACHE_USERS].count * keys / seen;
        s->of[CACHE_USERS].bytes = s->of[CACHE_USERS].bytes * keys / seen;
    }
    return 0;
}

static int guilds_sample(const struct cache *c, unsigned sample, struct cache_stats *s, struct redis_reply **ret)
{
    static const char script[] = "return {redis.call('SCARD', KEYS[1]), redis.call('SRANDMEMBER', KEYS[1], ARGV[1])}\n";
    struct buf BUF_AUTO key = BUF_INIT(64), count = BUF_INIT(64);

    cache_key_guilds(&key, c->application);
    buf_add_u64(&count, sample);
    int error = ask(c, script, 1, 2, (struct str[]){buf_str(&key), buf_str(&count)}, 2, ret);
    if (error)
        return error;
    s->guilds = (uint64_t)redis_reply_int(redis_reply_at(*ret, 0));
    s->sampled = redis_reply_count(redis_reply_at(*ret, 1));
    return 0;
}

int cache_stats_read(const struct cache *c, unsigned sample, struct cache_stats *ret)
{
    struct cache_stats s = {0};
    struct redis_reply *guilds;
    int error = guilds_sample(c, sample, &s, &guilds);

    if (error)
        return error;
    for (size_t i = 0; !error && i < s.sampled; i++) {
        uint64_t guild = 0;
        str_to_u64(redis_reply_str(redis_reply_at(redis_reply_at(guilds, 1), i)), &guild);
        error = guild_count(c, guild, &s);
    }
    redis_reply_free(guilds);
    for (unsigned e = 0; e < CACHE_ENTITY_COUNT && s.sampled; e++) {
        s.of[e].count = s.of[e].count * s.guilds / s.sampled;
        s.of[e].bytes = s.of[e].bytes * s.guilds / s.sampled;
    }
    s.of[CACHE_GUILDS].count = s.guilds; /* its hash has a field for each member of the object */
    error = error ? error : users_count(c, &s);
    if (!error)
        *ret = s;
    return error;
}

/* --- as metrics --- */

struct cache_sampler {
    struct cache cache;
    struct loop_timer *timer;
    struct metric *entities[CACHE_ENTITY_COUNT], *bytes[CACHE_ENTITY_COUNT];
    bool busy, over;
};

static void sample_main(void *arg)
{
    struct cache_sampler *s = arg;
    struct cache_stats stats;
    int error = cache_stats_read(&s->cache, SAMPLE_GUILDS, &stats);

    s->busy = false;
    if (s->over) {
        mem_free(s);
        return;
    }
    for (unsigned e = 0; !error && e < CACHE_ENTITY_COUNT; e++) {
        metric_set(s->entities[e], (int64_t)stats.of[e].count);
        metric_set(s->bytes[e], (int64_t)stats.of[e].bytes);
    }
}

static void on_sample(void *arg)
{
    struct cache_sampler *s = arg;

    if (s->busy)
        return;
    s->busy = true;
    if (co_spawn(sample_main, s) != 0)
        s->busy = false;
}

struct cache_sampler *cache_sampler_new(const struct cache *c)
{
    struct cache_sampler *s = MEM_NEW(struct cache_sampler);
    char labels[64];

    s->cache = *c;
    for (unsigned e = 0; e < CACHE_ENTITY_COUNT; e++) {
        snprintf(labels, sizeof(labels), "entity=\"%s\"", cache_entity_name((enum cache_entity)e));
        s->entities[e] = metric_with(&metric_entities, labels);
        s->bytes[e] = metric_with(&metric_bytes, labels);
    }
    s->timer = loop_timer_new(on_sample, s);
    loop_timer_start(s->timer, SAMPLE_FIRST_MS, SAMPLE_MS);
    return s;
}

void cache_sampler_free(struct cache_sampler *s)
{
    loop_timer_free(s->timer);
    s->over = true;
    if (!s->busy)
        mem_free(s);
}
