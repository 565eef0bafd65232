/* `kv` on Redis: topics. For each a number, a set of interested nodes, and a hash of the latest numbers and event ids.
 * Commands of one call are sent together and awaited together. Loop thread, coroutine. */
#include "platform/ports/kv/kv_redis.h"

#include "platform/base/clock.h"
#include "platform/base/snowflake.h"

#include <errno.h>

#define AT_ONCE_OF_TOPIC 64 /* events in one script call */

#define STRINGIFY(x)     #x
#define STRING_OF(x)     STRINGIFY(x)
#define TOUCH                                                                                                          \
    "redis.call('PEXPIRE', KEYS[1], " KV_TOPIC_KEEP_MS ") redis.call('PEXPIRE', KEYS[2], " KV_TOPIC_KEEP_MS ") "

/* Takes numbers for several events of one topic. The log has each pair both ways, so that an event that is published
 * again keeps the number it has. Answers the numbers, then the nodes. */
static const char next_script[] =
    "local log, asked = KEYS[3], {} "
    "for i, id in ipairs(ARGV) do asked[i] = 'e' .. id end "
    "local numbers, fresh = redis.call('HMGET', log, unpack(asked)), 0 "
    "for i = 1, #ARGV do if not numbers[i] then fresh = fresh + 1 end end "
    "if fresh > 0 then "
    "  local n, set, old, gone = redis.call('INCRBY', KEYS[1], fresh) - fresh, {}, {}, {} "
    "  for i, id in ipairs(ARGV) do "
    "    if not numbers[i] then "
    "      n = n + 1 "
    "      numbers[i] = n "
    "      local s = string.format('%.0f', n) "
    "      set[#set + 1] = s set[#set + 1] = id set[#set + 1] = asked[i] set[#set + 1] = s "
    "      old[#old + 1] = string.format('%.0f', n - " STRING_OF(
        KV_TOPIC_LOG_MAX) ") "
                          "    end "
                          "  end "
                          "  redis.call('HSET', log, unpack(set)) "
                          "  for i, id in ipairs(redis.call('HMGET', log, unpack(old))) do "
                          "    if id then gone[#gone + 1] = old[i] gone[#gone + 1] = 'e' .. id end "
                          "  end "
                          "  if #gone > 0 then redis.call('HDEL', log, unpack(gone)) end "
                          "end "
                          "redis.call('PEXPIRE', log, " STRING_OF(
                              KV_TOPIC_LOG_MS) ") " TOUCH "local out = {} "
                                               "for i = 1, #ARGV do out[i] = tonumber(numbers[i]) end "
                                               "for _, node in ipairs(redis.call('SMEMBERS', KEYS[2])) do out[#out + "
                                               "1] = node end "
                                               "return out";
static const char route_script[] = "local out = redis.call('SMEMBERS', KEYS[2]) "
                                   "table.insert(out, 1, '0') "
                                   "return out";
static const char add_script[] =
    "redis.call('SADD', KEYS[2], ARGV[1]) " TOUCH "return tonumber(redis.call('GET', KEYS[1]) or '0')";
static const char remove_script[] = "return redis.call('SREM', KEYS[2], ARGV[1])";

/* --- many commands, one wait --- */

struct many {
    struct co *co;
    unsigned running;
    int error;
    void (*each)(unsigned i, const struct redis_reply *reply, void *arg);
    void *arg;
};

struct one {
    struct many *many;
    unsigned i;
};

static void one_done(int error, const struct redis_reply *reply, void *arg)
{
    struct one *o = arg;
    struct many *m = o->many;
    int r = kv_redis_check(error, reply);
    if (r < 0)
        m->error = r;
    else if (m->each)
        m->each(o->i, reply, m->arg);
    if (--m->running == 0)
        co_resume(m->co);
}

static unsigned topic_keys(struct kv_redis *k, struct arena *a, uint64_t topic, struct str keys[3])
{
    unsigned long long id = topic;
    keys[0] = arena_printf(a, "gh:%s:{%llu}:number", k->incarnation, id);
    keys[1] = arena_printf(a, "gh:%s:{%llu}:nodes", k->incarnation, id);
    keys[2] = arena_printf(a, "gh:%s:{%llu}:log", k->incarnation, id);
    return 3;
}

/* Runs `script` for each topic with one argument: arg_of(i), or the same for all. */
static int for_topics(struct kv_redis *k, const char *script, const uint64_t *topics, unsigned count, struct str same,
                      const uint64_t *ids, struct many *m)
{
    if (!*k->incarnation)
        return -EHOSTDOWN;
    for (unsigned from = 0; from < count && m->error == 0; from += KV_AT_ONCE) {
        struct arena a = {0};
        unsigned to = count - from > KV_AT_ONCE ? from + KV_AT_ONCE : count;
        struct one *ones = ARENA_ARRAY(&a, struct one, to - from);
        m->co = co_self();
        m->running = to - from;
        for (unsigned i = from; i < to; i++) {
            struct str argv[4];
            topic_keys(k, &a, topics[i], argv);
            argv[3] = ids ? arena_printf(&a, "%llu", (unsigned long long)ids[i]) : same;
            ones[i - from] = (struct one){m, i};
            redis_script(k->redis, script, 3, 4, argv, KV_COMMAND_MS, one_done, &ones[i - from]);
        }
        co_suspend();
        arena_done(&a);
    }
    return m->error;
}

/* --- interest --- */

static void number_take(unsigned i, const struct redis_reply *reply, void *arg)
{
    uint64_t *numbers = arg;
    numbers[i] = (uint64_t)redis_reply_int(reply);
}

int kv_redis_interest_add(struct kv *kv, const char *node_id, const uint64_t *topics, unsigned count,
                          uint64_t *ret_numbers)
{
    struct many m = {.each = number_take, .arg = ret_numbers};
    return for_topics(kv_redis_of(kv), add_script, topics, count, str_c(node_id), NULL, &m);
}

int kv_redis_interest_remove(struct kv *kv, const char *node_id, const uint64_t *topics, unsigned count)
{
    struct many m = {0};
    return for_topics(kv_redis_of(kv), remove_script, topics, count, str_c(node_id), NULL, &m);
}

/* --- routes --- */

struct routing {
    struct kv_redis *k;
    struct arena *arena;
    const uint64_t *topics;
    struct kv_route *routes;
    struct topic_events *groups;
};

/* Interest of a node that has been dead for long is removed where it is met. */
static void forget_dead(struct kv_redis *k, uint64_t topic, struct str node_id)
{
    const struct known_node *n = kv_redis_known(k, node_id);
    int64_t alive_ms = n->last_live_ms > n->first_seen_ms ? n->last_live_ms : n->first_seen_ms;
    if (clock_mono_ms() - alive_ms < KV_NODE_FORGET_MS || clock_mono_ms() < k->young_until_ms)
        return;
    struct arena a = {0};
    struct str argv[4];
    topic_keys(k, &a, topic, argv);
    argv[3] = node_id;
    redis_script(k->redis, remove_script, 3, 4, argv, KV_COMMAND_MS, NULL, NULL);
    arena_done(&a);
}

static void route_add(struct arena *a, struct kv_route *route, struct str id)
{
    for (unsigned i = 0; i < route->node_count; i++)
        if (str_eq(str_c(route->node_ids[i]), id))
            return;
    route->node_ids[route->node_count++] = arena_strdup(a, id);
}

/* Everyone this process has known alive of late, in whichever incarnation. */
static void route_add_known(struct kv_redis *k, struct arena *a, struct kv_route *route)
{
    size_t i = 0;
    struct str id;
    int64_t since = clock_mono_ms() - KV_NODE_FORGET_MS;
    for (const struct known_node *n; (n = smap_next(&k->known, &i, &id));)
        if (n->last_live_ms > since)
            route_add(a, route, id);
    route->all = true;
}

/* The nodes of a reply, from its element `from` on. */
static void route_nodes(struct routing *g, uint64_t topic, const struct redis_reply *reply, size_t from,
                        struct kv_route *route)
{
    size_t count = redis_reply_count(reply);
    *route = (struct kv_route){.node_ids = ARENA_ARRAY(g->arena, const char *, count + g->k->known.count + 1)};
    for (size_t n = from; n < count; n++) {
        struct str id = redis_reply_str(redis_reply_at(reply, n));
        route_add(g->arena, route, id);
        forget_dead(g->k, topic, id);
    }
    if (clock_mono_ms() < g->k->young_until_ms)
        route_add_known(g->k, g->arena, route);
}

void kv_redis_route_take(struct kv_redis *k, struct arena *a, uint64_t topic, const struct redis_reply *reply,
                         struct kv_route *ret)
{
    struct routing g = {.k = k, .arena = a};
    route_nodes(&g, topic, reply, 1, ret);
    ret->number = (uint64_t)redis_reply_int(redis_reply_at(reply, 0));
}

static void route_take(unsigned i, const struct redis_reply *reply, void *arg)
{
    struct routing *g = arg;
    kv_redis_route_take(g->k, g->arena, g->topics[i], reply, &g->routes[i]);
}

/* Events of one topic in one script call: a chain of indices into the caller's arrays, in order. */
struct topic_events {
    uint64_t topic;
    const unsigned *next;
    unsigned first, last, count;
};

static void numbers_take(unsigned i, const struct redis_reply *reply, void *arg)
{
    struct routing *g = arg;
    const struct topic_events *e = &g->groups[i];
    struct kv_route route;
    route_nodes(g, e->topic, reply, e->count, &route);
    for (unsigned n = 0, at = e->first; n < e->count; n++, at = e->next[at]) {
        route.number = (uint64_t)redis_reply_int(redis_reply_at(reply, n));
        g->routes[at] = route;
    }
}

/* Into the latest group of the topic when it has room; most callers have few topics. */
static void group_add(struct topic_events *groups, unsigned *count, uint64_t topic, unsigned *next, unsigned at)
{
    unsigned i = *count;
    while (i > 0 && groups[i - 1].topic != topic)
        i--;
    if (i > 0 && groups[i - 1].count < AT_ONCE_OF_TOPIC) {
        next[groups[i - 1].last] = at;
        groups[i - 1].last = at;
        groups[i - 1].count++;
    } else {
        groups[(*count)++] = (struct topic_events){topic, next, at, at, 1};
    }
}

static void numbers_ask(struct kv_redis *k, const struct topic_events *e, const uint64_t *event_ids, struct one *o)
{
    struct arena a = {0};
    struct str argv[3 + AT_ONCE_OF_TOPIC];
    topic_keys(k, &a, e->topic, argv);
    for (unsigned n = 0, at = e->first; n < e->count; n++, at = e->next[at])
        argv[3 + n] = arena_printf(&a, "%llu", (unsigned long long)event_ids[at]);
    redis_script(k->redis, next_script, 3, 3 + (int)e->count, argv, KV_COMMAND_MS, one_done, o);
    arena_done(&a);
}

int kv_redis_topics_next(struct kv *kv, struct arena *a, const uint64_t *topics, const uint64_t *event_ids,
                         unsigned count, struct kv_route *ret)
{
    struct arena own = {0};
    struct routing g = {kv_redis_of(kv), a, topics, ret, ARENA_ARRAY(&own, struct topic_events, count)};
    struct many m = {.co = co_self(), .each = numbers_take, .arg = &g};
    struct one *ones = ARENA_ARRAY(&own, struct one, count);
    unsigned *next = ARENA_ARRAY(&own, unsigned, count), groups = 0;
    for (unsigned i = 0; i < count; i++)
        group_add(g.groups, &groups, topics[i], next, i);
    m.running = groups;
    if (!*g.k->incarnation)
        m.error = -EHOSTDOWN;
    for (unsigned i = 0; i < groups && m.error == 0; i++) {
        ones[i] = (struct one){&m, i};
        numbers_ask(g.k, &g.groups[i], event_ids, &ones[i]);
    }
    if (*g.k->incarnation)
        co_suspend();
    arena_done(&own);
    return m.error;
}

int kv_redis_topic_route(struct kv *kv, struct arena *a, uint64_t topic, struct kv_route *ret)
{
    struct routing g = {kv_redis_of(kv), a, &topic, ret, NULL};
    struct many m = {.each = route_take, .arg = &g};
    return for_topics(g.k, route_script, &topic, 1, STR("-"), NULL, &m);
}

int kv_redis_topic_events(struct kv *kv, uint64_t topic, uint64_t from, uint64_t to, uint64_t *ret_ids)
{
    struct kv_redis *k = kv_redis_of(kv);
    struct arena a = {0};
    struct redis_reply *reply;
    struct str keys[3], *argv = ARENA_ARRAY(&a, struct str, to - from + 3);
    topic_keys(k, &a, topic, keys);
    argv[0] = STR("HMGET");
    argv[1] = keys[2];
    for (uint64_t n = from; n <= to; n++)
        argv[2 + n - from] = arena_printf(&a, "%llu", (unsigned long long)n);
    int r = redis_await(k->redis, (int)(to - from + 3), argv, &reply);
    if (r == 0) {
        r = kv_redis_check(0, reply);
        for (uint64_t n = from; r == 0 && n <= to; n++)
            if (snowflake_parse(redis_reply_str(redis_reply_at(reply, n - from)), &ret_ids[n - from]) < 0)
                ret_ids[n - from] = 0;
        redis_reply_free(reply);
    } else {
        r = -EHOSTDOWN;
    }
    arena_done(&a);
    return r;
}
