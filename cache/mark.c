/* The consistency marker: how far the cache is with a shard's session. Loop thread. */
#include "cache/apply.h"

#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/io/loop.h"
#include <stdio.h>

#define AGAIN_MS 200

METRIC_DEFINE(metric_lost, METRIC_COUNTER, "guildhall_cache_lost_total",
              "Times that Redis forgot what a shard had written to the cache");

/* KEYS[1] the marker; epoch, generation, seq, session, the seq that was marked before in this generation or 0, 1 where
 * there may be no marker yet. Answers 1, 0 another has the shard, -1 Redis forgot something. What takes no memory comes
 * first, so that a full Redis takes the rest. */
static const char mark_script[] =
    "local v = redis.call('HMGET', KEYS[1], 'epoch', 'generation', 'seq')\n"
    "local e, g, s = tonumber(v[1] or 0), tonumber(v[2] or 0), tonumber(v[3] or 0)\n"
    "local E, G, S = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])\n"
    "redis.call('HDEL', KEYS[1], '')\n"
    "if E < e then return 0 end\n"
    "if (not v[3] and ARGV[6] ~= '1') or (G == g and s < tonumber(ARGV[5])) or (G > g and tonumber(ARGV[5]) > 0) then\n"
    "  if G >= g then redis.call('UNLINK', KEYS[1]) end\n"
    "  return -1\n"
    "end\n"
    "if G < g or (G == g and S <= s) then return 1 end\n"
    "redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'generation', ARGV[2], 'seq', ARGV[3], 'session', ARGV[4])\n"
    "return 1\n";

struct mark {
    struct list link;
    struct cache_writer *w;
    struct cache_place at; /* to be told */
    uint64_t asked, told;  /* seq, in this generation */
    bool resumed, lost;
    bool busy, again; /* asked, no answer yet; to be asked (again) */
    char session[128];
};

static void on_marked(int error, const struct redis_reply *reply, void *arg);

static void mark_ask(struct mark *m)
{
    struct cache_writer *w = m->w;
    struct buf BUF_AUTO key = BUF_INIT(256);
    char words[4][24];
    uint64_t numbers[4] = {m->at.epoch, m->at.generation, m->at.seq, m->told};

    cache_key_marker(&key, w->o.application, m->at.shard, m->at.shard_count);
    for (int i = 0; i < 4; i++)
        snprintf(words[i], sizeof(words[i]), "%llu", (unsigned long long)numbers[i]);
    m->busy = true;
    m->again = false;
    m->asked = m->at.seq;
    w->pending++;
    redis_script(w->o.redis, mark_script, 1, 7,
                 (struct str[]){buf_str(&key), str_c(words[0]), str_c(words[1]), str_c(words[2]), str_c(m->session),
                                str_c(words[3]), m->told || m->resumed ? STR("0") : STR("1")},
                 LIMIT_CACHE_TIMEOUT_MS, on_marked, m);
}

static void on_marked(int error, const struct redis_reply *reply, void *arg)
{
    struct mark *m = arg;

    m->w->pending--;
    m->busy = false;
    if (error || redis_reply_type(reply) == REDIS_ERROR) {
        m->again = true;
        loop_timer_start(m->w->mark_again, AGAIN_MS, 0);
        return;
    }
    if (redis_reply_int(reply) < 0) {
        metric_add(&metric_lost, 1);
        LOG_ERROR("cache_lost", "shard=%u shards=%u session=%s", m->at.shard, m->at.shard_count, m->session);
        m->lost = true;
        m->w->run_id[0] = '\0'; /* what else it was told it is told again */
        return;
    }
    if (redis_reply_int(reply) > 0)
        m->told = m->asked;
    if (m->again && !m->lost)
        mark_ask(m);
}

static void on_again(void *arg)
{
    struct cache_writer *w = arg;

    LIST_FOREACH(it, &w->marks)
    {
        struct mark *m = LIST_ENTRY(it, struct mark, link);

        if (m->again && !m->busy && !m->lost)
            mark_ask(m);
    }
}

static struct mark *mark_of(struct cache_writer *w, unsigned shard, unsigned shard_count)
{
    LIST_FOREACH(it, &w->marks)
    {
        struct mark *m = LIST_ENTRY(it, struct mark, link);

        if (m->at.shard == shard && m->at.shard_count == shard_count)
            return m;
    }
    struct mark *m = MEM_NEW(struct mark);
    *m = (struct mark){.w = w, .at = {.shard = shard, .shard_count = shard_count}};
    list_append(&w->marks, &m->link);
    return m;
}

void cache_mark(struct cache_writer *w, struct str session, const struct cache_place *at, bool resumed)
{
    struct mark *m = mark_of(w, at->shard, at->shard_count);

    if (at->generation != m->at.generation) {
        m->told = m->asked = 0;
        m->lost = false;
        m->resumed = resumed;
        snprintf(m->session, sizeof(m->session), "%.*s", STR_ARG(session));
    }
    m->at = *at;
    m->again = true;
    if (!m->busy && !m->lost)
        mark_ask(m);
}

void marks_init(struct cache_writer *w)
{
    list_init(&w->marks);
    w->mark_again = loop_timer_new(on_again, w);
}

void marks_done(struct cache_writer *w)
{
    loop_timer_free(w->mark_again);
    LIST_FOREACH_SAFE(it, &w->marks)
    {
        list_remove(it);
        mem_free(LIST_ENTRY(it, struct mark, link));
    }
}
