/* From dispatches to what they change in Redis: the public side, and what all entities share. Loop thread.
 * Limits: LIMIT_CACHE_*. */
#include "cache/writer.h"

#include "cache/apply.h"
#include "platform/base/clock.h"
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

/* --- commands under way --- */

METRIC_DEFINE(metric_full, METRIC_COUNTER, "guildhall_cache_full_total",
              "Events that removed what they change, because Redis was full");

#define FULL_SAY_MS 10000

static struct waiting *waiting_of(struct call *c)
{
    if (!c->waiting) {
        c->waiting = MEM_NEW(struct waiting);
        *c->waiting = (struct waiting){.w = c->w,
                                       .at = *c->at,
                                       .guild = c->guild,
                                       .tag = c->w->batch.tag,
                                       .parts = {apply_id_of(c->f.channel_id), apply_id_of(c->f.id)}};
    }
    c->waiting->left++;
    c->w->pending++;
    return c->waiting;
}

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

/* Keys of an older layout, or another program's: they go once, and the event comes again. */
static bool heal(struct waiting *waiting, struct str error)
{
    struct cache_writer *w = waiting->w;

    if (!str_starts(error, STR("WRONGTYPE")) || (w->healed.tag == waiting->tag && w->healed.seq == waiting->at.seq))
        return false;
    w->healed.tag = waiting->tag;
    w->healed.seq = waiting->at.seq;
    apply_heal(w, waiting->tag, waiting->parts, 2);
    return true;
}

static void full_say(struct cache_writer *w)
{
    int64_t now = clock_mono_ms();

    metric_add(&metric_full, 1);
    if (w->full_ms && now - w->full_ms < FULL_SAY_MS)
        return;
    w->full_ms = now;
    LOG_ERROR("cache_full", "what=\"Redis is at maxmemory: what changes leaves the cache\"");
}

/* Of a script's answer that is no list: 1 applied, 2 removed, 0 older, -1 fenced. */
static enum cache_result result_of(struct waiting *waiting, const struct redis_reply *reply)
{
    if (redis_reply_type(reply) == REDIS_ERROR) {
        metric_add(&metric_failed, 1);
        LOG_ERROR("cache_refused", "error=\"%.*s\"", STR_ARG(redis_reply_str(reply)));
        return is_passing(redis_reply_str(reply)) || heal(waiting, redis_reply_str(reply)) ? CACHE_RETRY : CACHE_DONE;
    }
    int64_t applied = redis_reply_int(reply);
    if (applied == 2)
        full_say(waiting->w);
    return applied < 0 ? CACHE_FENCED : CACHE_DONE;
}

static void answered(struct waiting *waiting, enum cache_result r)
{
    struct cache_writer *w = waiting->w;

    w->pending--;
    waiting->r = r > waiting->r ? r : waiting->r;
    if (--waiting->left > 0)
        return;
    if (waiting->r == CACHE_RETRY) {
        apply_users_forget(w);
        apply_messages_forget(w);
    }
    if (waiting->done)
        waiting->done(waiting->r, waiting->arg);
    mem_free(waiting);
}

static void on_plain(int error, const struct redis_reply *reply, void *arg)
{
    (void)reply; /* a full Redis: what it would have said is missing */
    answered(arg, error ? CACHE_RETRY : CACHE_DONE);
}

static void on_script(int error, const struct redis_reply *reply, void *arg)
{
    answered(arg, error ? CACHE_RETRY : result_of(arg, reply));
}

void apply_plain(struct call *c, int argc, const struct str *argv)
{
    redis_command(c->w->o.redis, argc, argv, LIMIT_CACHE_TIMEOUT_MS, on_plain, waiting_of(c));
}

void apply_script(struct call *c, const char *script, int argc, const struct str *argv)
{
    redis_script(c->w->o.redis, script, 1, argc, argv, LIMIT_CACHE_TIMEOUT_MS, on_script, waiting_of(c));
}

/* KEYS[1] the index of one channel; ARGV epoch, generation and seq, guild or 0: gone, ttl or "". */
static const char index_script[] =
    "local v = redis.pcall('GET', KEYS[1])\n"
    "if type(v) == 'table' then redis.call('UNLINK', KEYS[1])\n"
    "elseif v then\n"
    "  local place = string.sub(v, string.find(v, ' ', 1, true) + 1)\n"
    "  if ARGV[1] < string.sub(place, 1, 16) or ARGV[2] <= string.sub(place, 17) then return 0 end\n"
    "end\n"
    "local text = ARGV[3] .. ' ' .. ARGV[1] .. ARGV[2]\n"
    "local said = ARGV[4] == '' and redis.pcall('SET', KEYS[1], text) or ARGV[4] ~= '' and "
    "redis.pcall('SET', KEYS[1], text, 'EX', ARGV[4])\n"
    "if not said.err then return 1 end\n"
    "if not string.find(said.err, 'OOM', 1, true) then return said end\n"
    "redis.call('UNLINK', KEYS[1])\n"
    "return 2\n";

/* What is gone is remembered for a while, against older events. */
void apply_channel_index(struct call *c, uint64_t channel, bool present)
{
    struct batch *b = &c->w->batch;
    struct buf BUF_AUTO key = BUF_INIT(256);

    if (!c->guild || !channel)
        return;
    cache_key_channel_guild(&key, c->w->o.application, channel);
    struct str words[] = {buf_str(&key), b->args.at[1], b->args.at[2], present ? batch_id(b, c->guild) : STR("0"),
                          present ? STR("") : batch_id(b, LIMIT_CACHE_GONE_TTL_S)};
    apply_script(c, index_script, 5, words);
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
    marks_init(w);
    for (unsigned e = 0; e < CACHE_ENTITY_COUNT; e++) {
        snprintf(labels, sizeof(labels), "entity=\"%s\"", cache_entity_name((enum cache_entity)e));
        w->written[e] = metric_with(&metric_bytes, labels);
    }
    return w;
}

void cache_writer_free(struct cache_writer *w)
{
    marks_done(w);
    batch_done(&w->batch);
    buf_done(&w->scratch);
    mem_free(w->seen);
    mem_free(w->renewed);
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

static uint64_t tag_of(const struct call *c, struct str type)
{
    if (c->guild)
        return c->guild;
    if (str_starts(type, STR("GUILD_")))
        return apply_id_of(c->f.id);
    uint64_t channel = apply_id_of(c->f.channel_id);
    return channel ? channel : apply_id_of(c->f.id);
}

/* The channels and threads that went with what was applied: their index. Nobody waits for it. */
static void index_end(const struct waiting *waiting, const struct redis_reply *reply)
{
    struct call c = {.w = waiting->w, .at = &waiting->at, .guild = waiting->guild};

    if (redis_reply_count(reply) < 2)
        return;
    batch_begin(&c.w->batch, waiting->tag, c.at->epoch, c.at->generation, c.at->seq);
    for (size_t i = 1; i < redis_reply_count(reply); i++) {
        uint64_t channel = 0;

        str_to_u64(redis_reply_str(redis_reply_at(reply, i)), &channel);
        apply_channel_index(&c, channel, false);
    }
}

static void on_written(int error, const struct redis_reply *reply, void *arg)
{
    struct waiting *waiting = arg;
    const struct redis_reply *said = reply && redis_reply_count(reply) > 0 ? redis_reply_at(reply, 0) : reply;
    enum cache_result r = error ? CACHE_RETRY : result_of(waiting, said);

    if (!error && redis_reply_type(said) == REDIS_INT)
        metric_add(redis_reply_int(said) > 0 ? &metric_writes : &metric_older, 1);
    if (reply)
        index_end(waiting, reply);
    answered(waiting, r);
}

void apply_send(struct call *c)
{
    if (!batch_is_empty(&c->w->batch))
        batch_send(&c->w->batch, c->w->o.redis, LIMIT_CACHE_TIMEOUT_MS, on_written, waiting_of(c));
}

/* Another Redis, or the same one begun anew: it may have forgotten what it was told. */
static void run_check(struct call *c)
{
    struct cache_writer *w = c->w;
    const char *run_id = redis_run_id(w->o.redis);

    if (strncmp(w->run_id, run_id, sizeof(w->run_id) - 1) == 0)
        return;
    snprintf(w->run_id, sizeof(w->run_id), "%s", run_id);
    apply_users_forget(w);
    apply_messages_forget(w);
    apply_schema_tell(c);
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
    run_check(&c);
    handler->fn(&c);
    apply_send(&c);
    if (!c.waiting)
        return false;
    c.waiting->done = done;
    c.waiting->arg = arg;
    return true;
}
