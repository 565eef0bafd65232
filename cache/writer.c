/* From dispatches to what they change in Redis: the public side, and what all entities share. Loop thread.
 * Limits: LIMIT_CACHE_*. */
#include "cache/writer.h"

#include "cache/apply.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/protocol/envelope.h"
#include <stddef.h>
#include <stdio.h>

METRIC_DEFINE(metric_writes, METRIC_COUNTER, "guildhall_cache_writes_total", "Events applied to the cache");
METRIC_DEFINE(metric_older, METRIC_COUNTER, "guildhall_cache_older_total", "Events older than what the cache held");
METRIC_DEFINE(metric_failed, METRIC_COUNTER, "guildhall_cache_failed_total", "Cache writes that Redis refused");
METRIC_DEFINE_BY(metric_bytes, METRIC_COUNTER, "guildhall_cache_written_bytes_total", "entity",
                 "Bytes of entities written to the cache");

/* --- reading dispatches --- */

static const struct {
    struct str name;
    size_t offset;
} field_names[] = {
#define F(field) {{#field, sizeof(#field) - 1}, offsetof(struct fields, field)},
    CALL_FIELDS(F)
#undef F
};

static int field_take(struct str key, struct str value, void *arg)
{
    for (size_t i = 0; i < sizeof(field_names) / sizeof(field_names[0]); i++)
        if (str_eq(key, field_names[i].name))
            *(struct str *)(void *)((char *)arg + field_names[i].offset) = value;
    return 0;
}

uint64_t apply_id_of(struct str raw)
{
    struct str s = raw;
    uint64_t id;

    json_str_plain(raw, &s);
    return str_to_u64(s, &id) == 0 ? id : 0;
}

bool apply_is_true(struct str raw)
{
    return str_eq(raw, STR("true"));
}

struct find {
    struct str key, value;
};

static int find_member(struct str key, struct str value, void *arg)
{
    struct find *f = arg;

    if (str_eq(key, f->key))
        f->value = value;
    return 0;
}

struct str apply_member_of(struct str object, const char *key)
{
    struct find f = {.key = str_c(key)};

    return object.n > 0 && json_members_scan(object, find_member, &f) == 0 ? f.value : STR_NONE;
}

bool apply_keeps(const struct cache_writer *w, enum cache_entity e)
{
    return (w->entities & (1u << e)) != 0;
}

/* Is the key one of "|a|b|"? */
static bool bars_have(const char *bars, struct str key)
{
    for (const char *at = bars; at && (at = strchr(at, '|')) != NULL; at++)
        if (strncmp(at + 1, key.p, key.n) == 0 && at[1 + key.n] == '|')
            return true;
    return false;
}

struct keep {
    const struct cache_writer *w;
    struct buf *out;
    enum cache_entity e;
    const char *without;
};

static int keep_member(struct str key, struct str value, void *arg)
{
    struct keep *k = arg;

    if (bars_have(k->without, key) || (k->w->o.selection && !cache_selection_has(k->w->o.selection, k->e, key)))
        return 0;
    buf_add(k->out, k->out->len > 1 ? ",\"" : "\"", k->out->len > 1 ? 2 : 1);
    buf_add_str(k->out, key);
    buf_add(k->out, "\":", 2);
    buf_add_str(k->out, value);
    return 0;
}

/* Its members are patched later. */
static bool is_patched(enum cache_entity e)
{
    return e == CACHE_CHANNELS || e == CACHE_THREADS;
}

static struct str rewritten(struct call *c, enum cache_entity e, struct str object, const char *without)
{
    struct keep k = {c->w, &c->w->scratch, e, without};

    buf_clear(k.out);
    buf_addc(k.out, '{');
    json_members_scan(object, keep_member, &k);
    buf_addc(k.out, '}');
    return buf_failed(k.out) ? object : arena_str(&c->w->batch.arena, buf_str(k.out));
}

struct str apply_kept(struct call *c, enum cache_entity e, struct str object, const char *without)
{
    const struct cache_selection *s = c->w->o.selection;
    bool whole = !is_patched(e) && !(s && s->fields[e]) && !without;
    struct str value = whole ? object : rewritten(c, e, object, without);

    metric_add(c->w->written[e], (int64_t)value.n);
    return value;
}

/* --- into hashes by id --- */

struct put apply_put_begin(struct call *c, enum cache_entity e)
{
    return (struct put){c, e, batch_key(&c->w->batch, e), 0};
}

void apply_put_field(struct put *p, uint64_t id, struct str value, const char *without)
{
    struct batch *b = &p->c->w->batch;

    if (id)
        batch_set(b, p->key, batch_id(b, id), apply_kept(p->c, p->e, value, without));
}

int apply_put_by_id(struct str value, void *arg)
{
    struct put *p = arg;

    apply_put_field(p, apply_id_of(apply_member_of(value, p->e == CACHE_SOUNDS ? "sound_id" : "id")), value, NULL);
    return 0;
}

void apply_replace_all(struct call *c, enum cache_entity e, struct str array)
{
    if (array.n == 0 || !apply_keeps(c->w, e))
        return;
    struct put p = apply_put_begin(c, e);
    batch_drop(&c->w->batch, p.key);
    json_elements_scan(array, apply_put_by_id, &p);
}

void apply_put_one(struct call *c, enum cache_entity e, struct str object)
{
    if (!apply_keeps(c->w, e))
        return;
    struct put p = apply_put_begin(c, e);
    apply_put_by_id(object, &p);
}

void apply_del_one(struct call *c, enum cache_entity e, uint64_t id)
{
    struct batch *b = &c->w->batch;

    if (id && apply_keeps(c->w, e))
        batch_del(b, batch_key(b, e), batch_id(b, id));
}

/* --- beside the script: plain commands --- */

static void on_plain(int error, const struct redis_reply *reply, void *arg)
{
    struct cache_writer *w = arg;

    (void)error, (void)reply; /* the script behind it fails, too */
    w->pending--;
}

void apply_plain(struct cache_writer *w, int argc, const struct str *argv)
{
    w->pending++;
    redis_command(w->o.redis, argc, argv, LIMIT_CACHE_TIMEOUT_MS, on_plain, w);
}

void apply_channel_index(struct call *c, uint64_t channel, bool present)
{
    struct cache_writer *w = c->w;
    struct buf BUF_AUTO key = BUF_INIT(256);

    if (!c->guild || !channel)
        return;
    cache_key_channel_guild(&key, w->o.application, channel);
    struct str guild = batch_id(&w->batch, c->guild);
    struct str set[] = {STR("SET"), buf_str(&key), guild}, del[] = {STR("DEL"), buf_str(&key)};
    apply_plain(w, present ? 3 : 2, present ? set : del);
}

/* --- the public side --- */

struct handler {
    struct str type;
    void (*fn)(struct call *c);
    unsigned entities;
};

static const struct handler *handler_of(struct str type)
{
    static const struct handler table[] = {
#define CACHED(event, function, entities) {{#event, sizeof(#event) - 1}, function, entities},
#include "cache/events.def"
#undef CACHED
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (str_eq(type, table[i].type))
            return &table[i];
    return NULL;
}

struct cache_writer *cache_writer_new(const struct cache_writer_options *o)
{
    struct cache_writer *w = MEM_NEW(struct cache_writer);
    char labels[64];

    w->o = *o;
    w->o.messages = o->messages ? o->messages : LIMIT_CACHE_MESSAGES;
    w->o.message_ttl_s = o->message_ttl_s ? o->message_ttl_s : LIMIT_CACHE_MESSAGE_TTL_S;
    w->entities = cache_entities_of(o->intents);
    if (o->selection)
        w->entities &= o->selection->entities;
    w->batch.application = o->application;
    w->own_user = o->application;
    list_init(&w->purges);
    for (unsigned e = 0; e < CACHE_ENTITY_COUNT; e++) {
        snprintf(labels, sizeof(labels), "entity=\"%s\"", cache_entity_name((enum cache_entity)e));
        w->written[e] = metric_with(&metric_bytes, labels);
    }
    return w;
}

void cache_writer_free(struct cache_writer *w)
{
    batch_done(&w->batch);
    buf_done(&w->scratch);
    mem_free(w->seen);
    mem_free(w);
}

bool cache_writer_busy(const struct cache_writer *w)
{
    return w->pending >= LIMIT_CACHE_PENDING;
}

bool cache_writer_idle(const struct cache_writer *w)
{
    return w->pending == 0;
}

struct waiting {
    struct list link; /* in purges, where it is one */
    struct cache_writer *w;
    uint64_t purged;
    void (*done)(enum cache_result r, void *arg);
    void *arg;
};

/* Errors that pass by themselves. */
static bool is_passing(struct str error)
{
    static const char *const words[] = {"OOM",      "LOADING",     "READONLY",   "MISCONF", "BUSY",
                                        "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "NOSCRIPT"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (str_starts(error, str_c(words[i])))
            return true;
    return false;
}

static enum cache_result result_of(int error, const struct redis_reply *reply)
{
    if (error)
        return CACHE_RETRY;
    if (redis_reply_type(reply) == REDIS_ERROR) {
        metric_add(&metric_failed, 1);
        LOG_ERROR("cache_refused", "error=\"%.*s\"", STR_ARG(redis_reply_str(reply)));
        return is_passing(redis_reply_str(reply)) ? CACHE_RETRY : CACHE_DONE;
    }
    if (redis_reply_count(reply) > 0)
        reply = redis_reply_at(reply, 0);
    int64_t applied = redis_reply_int(reply);
    metric_add(applied == 1 ? &metric_writes : &metric_older, 1);
    return applied < 0 ? CACHE_FENCED : CACHE_DONE;
}

/* The index of the channels that a guild had. Where the guild came back meanwhile, it stays. */
static void index_purge(struct waiting *waiting, const struct redis_reply *reply)
{
    struct cache_writer *w = waiting->w;

    list_remove(&waiting->link);
    for (size_t i = 1; reply && waiting->purged && i < redis_reply_count(reply); i++) {
        struct buf BUF_AUTO key = BUF_INIT(256);
        uint64_t channel = 0;

        str_to_u64(redis_reply_str(redis_reply_at(reply, i)), &channel);
        cache_key_channel_guild(&key, w->o.application, channel);
        apply_plain(w, 2, (struct str[]){STR("DEL"), buf_str(&key)});
    }
}

static void on_written(int error, const struct redis_reply *reply, void *arg)
{
    struct waiting *waiting = arg;
    enum cache_result r = result_of(error, reply);
    struct cache_writer *w = waiting->w;

    w->pending--;
    index_purge(waiting, reply);
    if (r == CACHE_RETRY)
        apply_users_forget(w);
    if (waiting->done)
        waiting->done(r, waiting->arg);
    mem_free(waiting);
}

static uint64_t tag_of(const struct call *c, struct str type)
{
    if (c->guild)
        return c->guild;
    if (str_starts(type, STR("GUILD_")))
        return apply_id_of(c->f.id);
    uint64_t channel = apply_id_of(c->f.channel_id);
    return channel ? channel : apply_id_of(c->f.id);
}

void apply_send(struct call *c, void (*done)(enum cache_result r, void *arg), void *arg)
{
    struct cache_writer *w = c->w;
    struct waiting *waiting = MEM_NEW(struct waiting);

    *waiting = (struct waiting){.w = w, .purged = c->purged, .done = done, .arg = arg};
    list_init(&waiting->link);
    if (c->purged)
        list_append(&w->purges, &waiting->link);
    w->pending++;
    batch_send(&w->batch, w->o.redis, LIMIT_CACHE_TIMEOUT_MS, on_written, waiting);
}

void apply_purges_end(struct cache_writer *w, uint64_t guild)
{
    LIST_FOREACH(it, &w->purges)
    {
        struct waiting *waiting = LIST_ENTRY(it, struct waiting, link);

        if (waiting->purged == guild)
            waiting->purged = 0;
    }
}

bool cache_write(struct cache_writer *w, struct str type, struct str data, const struct cache_place *at,
                 void (*done)(enum cache_result r, void *arg), void *arg)
{
    const struct handler *handler = handler_of(type);
    struct call c = {.w = w, .data = data, .at = at};

    if (!handler || !(handler->entities & w->entities) || json_members_scan(data, field_take, &c.f) != 0)
        return false;
    c.guild = apply_id_of(c.f.guild_id);
    uint64_t tag = tag_of(&c, type);
    if (str_starts(type, STR("GUILD_")) && !c.guild)
        c.guild = tag;
    batch_begin(&w->batch, tag, at->epoch, at->generation, at->seq);
    handler->fn(&c);
    if (batch_is_empty(&w->batch))
        return false;
    apply_send(&c, done, arg);
    return true;
}

/* KEYS[1] the marker; epoch, generation, seq, session. */
static const char mark_script[] =
    "local v = redis.call('HMGET', KEYS[1], 'epoch', 'generation', 'seq')\n"
    "local e, g, s = tonumber(v[1] or 0), tonumber(v[2] or 0), tonumber(v[3] or 0)\n"
    "local E, G, S = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])\n"
    "if E < e or G < g or (G == g and S <= s) then return 0 end\n"
    "redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'generation', ARGV[2], 'seq', ARGV[3], 'session', ARGV[4])\n"
    "return 1\n";

void cache_mark(struct cache_writer *w, unsigned shard, unsigned shard_count, struct str session,
                const struct cache_place *at)
{
    struct buf BUF_AUTO key = BUF_INIT(256);
    struct batch *b = &w->batch;

    cache_key_marker(&key, w->o.application, shard, shard_count);
    batch_begin(b, 0, at->epoch, at->generation, at->seq); /* for its arena only */
    struct str words[] = {buf_str(&key), batch_id(b, at->epoch), batch_id(b, at->generation), batch_id(b, at->seq),
                          session};
    w->pending++;
    redis_script(w->o.redis, mark_script, 1, 5, words, LIMIT_CACHE_TIMEOUT_MS, on_plain, w);
}
