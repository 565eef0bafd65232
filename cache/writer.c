/* From dispatches to what they change in Redis. Loop thread. Limits: LIMIT_CACHE_*. */
#include "cache/writer.h"

#include "cache/batch.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/protocol/envelope.h"
#include "platform/protocol/intents.h"
#include <stddef.h>
#include <stdio.h>

#define SEEN_USERS 65536 /* a power of two */

METRIC_DEFINE(metric_writes, METRIC_COUNTER, "guildhall_cache_writes_total", "Events applied to the cache");
METRIC_DEFINE(metric_older, METRIC_COUNTER, "guildhall_cache_older_total", "Events older than what the cache held");
METRIC_DEFINE(metric_failed, METRIC_COUNTER, "guildhall_cache_failed_total", "Cache writes that Redis refused");

/* The users written last, so that the same bytes are not written for every message of somebody. */
struct seen_user {
    uint64_t id, hash;
    int64_t written_ms;
};

struct cache_writer {
    struct cache_writer_options o;
    unsigned entities;
    struct batch batch;
    struct seen_user *seen;
    char run_id[48]; /* of the Redis that saw them */
    uint64_t own_user;
    unsigned pending; /* commands without an answer */
};

/* What handlers read of `d`: raw values. */
struct fields {
    struct str id, guild_id, channel_id, user, author, role, role_id, channels, roles, members, ids, unavailable,
        member_count;
};

struct call {
    struct cache_writer *w;
    struct fields f;
    struct str data;
    uint64_t guild; /* 0: none */
};

static const struct {
    const char *name;
    size_t offset;
} field_names[] = {
#define FIELD(name)                                                                                                    \
    {                                                                                                                  \
#name, offsetof(struct fields, name)                                                                           \
    }
    FIELD(id),   FIELD(guild_id),    FIELD(channel_id),   FIELD(user),  FIELD(author),
    FIELD(role), FIELD(role_id),     FIELD(channels),     FIELD(roles), FIELD(members),
    FIELD(ids),  FIELD(unavailable), FIELD(member_count),
#undef FIELD
};

static int field_take(struct str key, struct str value, void *arg)
{
    for (size_t i = 0; i < sizeof(field_names) / sizeof(field_names[0]); i++)
        if (str_eq(key, str_c(field_names[i].name)))
            *(struct str *)(void *)((char *)arg + field_names[i].offset) = value;
    return 0;
}

/* A snowflake as "123" or 123; 0 when it is none. */
static uint64_t id_of(struct str raw)
{
    struct str s = raw;
    uint64_t id;

    json_str_plain(raw, &s);
    return str_to_u64(s, &id) == 0 ? id : 0;
}

struct find {
    const char *key;
    struct str value;
};

static int find_member(struct str key, struct str value, void *arg)
{
    struct find *f = arg;

    if (str_eq(key, str_c(f->key)))
        f->value = value;
    return 0;
}

static struct str member_of(struct str object, const char *key)
{
    struct find f = {.key = key};

    return object.n > 0 && json_members_scan(object, find_member, &f) == 0 ? f.value : STR_NONE;
}

static bool keeps(const struct cache_writer *w, enum cache_entity e)
{
    return (w->entities & (1u << e)) != 0;
}

/* --- users and the channel index: plain commands --- */

static uint64_t hash_bytes(struct str s)
{
    uint64_t h = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * UINT64_C(1099511628211);
    return h;
}

static void on_plain(int error, const struct redis_reply *reply, void *arg)
{
    struct cache_writer *w = arg;

    (void)error, (void)reply; /* the script behind it fails, too */
    w->pending--;
}

static void plain(struct cache_writer *w, int argc, const struct str *argv)
{
    w->pending++;
    redis_command(w->o.redis, argc, argv, LIMIT_CACHE_TIMEOUT_MS, on_plain, w);
}

/* Notes the user's bytes; false: the same ones were written not long ago. */
static bool user_is_news(struct cache_writer *w, uint64_t id, struct str json)
{
    struct seen_user *seen = &w->seen[(id >> 22 ^ id) % SEEN_USERS];
    uint64_t hash = hash_bytes(json);
    int64_t now = clock_mono_ms();

    if (strncmp(w->run_id, redis_run_id(w->o.redis), sizeof(w->run_id) - 1) != 0) {
        memset(w->seen, 0, sizeof(*w->seen) * SEEN_USERS);
        snprintf(w->run_id, sizeof(w->run_id), "%s", redis_run_id(w->o.redis));
    }
    if (seen->id == id && seen->hash == hash && now - seen->written_ms < LIMIT_CACHE_USER_TTL_S * INT64_C(1000) / 2)
        return false;
    *seen = (struct seen_user){id, hash, now};
    return true;
}

static void user_put(struct cache_writer *w, struct str user)
{
    struct buf key = BUF_INIT(256);
    uint64_t id = id_of(member_of(user, "id"));
    char ttl[16];

    if (!id || !user_is_news(w, id, user))
        return;
    cache_key(&key, w->o.application, id, CACHE_USERS);
    snprintf(ttl, sizeof(ttl), "%d", LIMIT_CACHE_USER_TTL_S);
    plain(w, 5, (struct str[]){STR("SET"), buf_str(&key), user, STR("EX"), str_c(ttl)});
    buf_done(&key);
}

static void channel_index(struct call *c, uint64_t channel, bool present)
{
    struct cache_writer *w = c->w;
    struct buf key = BUF_INIT(256);

    cache_key_channel_guild(&key, w->o.application, channel);
    struct str guild = batch_id(&w->batch, c->guild);
    struct str set[] = {STR("SET"), buf_str(&key), guild}, del[] = {STR("DEL"), buf_str(&key)};
    plain(w, present ? 3 : 2, present ? set : del);
    buf_done(&key);
}

/* --- guilds --- */

/* Arrays of a GUILD_CREATE that are kept in keys of their own, or not at all. */
static bool is_apart(struct str key)
{
    static const char *const names[] = {"channels",         "roles",        "members",         "threads",
                                        "presences",        "voice_states", "stage_instances", "guild_scheduled_events",
                                        "soundboard_sounds"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (str_eq(key, str_c(names[i])))
            return true;
    return false;
}

struct put {
    struct call *c;
    int key;
    unsigned count;
};

static int guild_field(struct str key, struct str value, void *arg)
{
    struct put *p = arg;

    if (!is_apart(key))
        batch_set(&p->c->w->batch, p->key, key, value);
    return 0;
}

static int put_by_id(struct str value, void *arg)
{
    struct put *p = arg;
    uint64_t id = id_of(member_of(value, "id"));

    if (id)
        batch_set(&p->c->w->batch, p->key, batch_id(&p->c->w->batch, id), value);
    return 0;
}

static int put_channel(struct str value, void *arg)
{
    struct put *p = arg;
    uint64_t id = id_of(member_of(value, "id"));

    if (id)
        channel_index(p->c, id, true);
    return put_by_id(value, arg);
}

/* Without the GUILD_MEMBERS intent nobody tells of changes, so only the bot's own member is kept. */
static void member_put(struct call *c, int key, struct str member, bool with_user)
{
    struct cache_writer *w = c->w;
    struct str user = member_of(member, "user");
    uint64_t id = id_of(member_of(user, "id"));

    if (!id)
        return;
    if (with_user)
        user_put(w, user);
    if ((w->o.intents & INTENT_GUILD_MEMBERS) || id == w->own_user)
        batch_set(&w->batch, key, batch_id(&w->batch, id), member);
}

static int put_member(struct str value, void *arg)
{
    struct put *p = arg;

    member_put(p->c, p->key, value, p->count++ < LIMIT_CACHE_EVENT_USERS);
    return 0;
}

static void guild_create(struct call *c)
{
    struct batch *b = &c->w->batch;
    struct put guild = {c, batch_key(b, CACHE_GUILD), 0}, channels = {c, batch_key(b, CACHE_CHANNELS), 0},
               roles = {c, batch_key(b, CACHE_ROLES), 0}, members = {c, batch_key(b, CACHE_MEMBERS), 0};

    batch_drop(b, guild.key);
    batch_drop(b, channels.key);
    batch_drop(b, roles.key);
    batch_drop(b, members.key);
    json_members_scan(c->data, guild_field, &guild);
    json_elements_scan(c->f.channels, put_channel, &channels);
    json_elements_scan(c->f.roles, put_by_id, &roles);
    json_elements_scan(c->f.members, put_member, &members);
}

static void guild_update(struct call *c)
{
    struct batch *b = &c->w->batch;
    struct put guild = {c, batch_key(b, CACHE_GUILD), 0}, roles = {c, batch_key(b, CACHE_ROLES), 0};

    json_members_scan(c->data, guild_field, &guild);
    if (c->f.roles.n > 0) {
        batch_drop(b, roles.key);
        json_elements_scan(c->f.roles, put_by_id, &roles);
    }
}

static void guild_delete(struct call *c)
{
    struct batch *b = &c->w->batch;
    int guild = batch_key(b, CACHE_GUILD);

    if (str_eq(c->f.unavailable, STR("true"))) { /* an outage: it comes back */
        batch_set_present(b, guild, STR("unavailable"), STR("true"));
        return;
    }
    batch_drop(b, guild);
    batch_drop(b, batch_key(b, CACHE_CHANNELS));
    batch_drop(b, batch_key(b, CACHE_ROLES));
    batch_drop(b, batch_key(b, CACHE_MEMBERS));
}

static void role_put(struct call *c)
{
    struct put roles = {c, batch_key(&c->w->batch, CACHE_ROLES), 0};

    put_by_id(c->f.role, &roles);
}

static void role_delete(struct call *c)
{
    struct batch *b = &c->w->batch;

    batch_del(b, batch_key(b, CACHE_ROLES), batch_id(b, id_of(c->f.role_id)));
}

static void channel_put(struct call *c)
{
    struct put channels = {c, batch_key(&c->w->batch, CACHE_CHANNELS), 0};

    put_channel(c->data, &channels);
}

static void channel_delete(struct call *c)
{
    struct batch *b = &c->w->batch;
    uint64_t id = id_of(c->f.id);

    batch_del(b, batch_key(b, CACHE_CHANNELS), batch_id(b, id));
    batch_drop(b, batch_key_messages(b, id));
    batch_drop(b, batch_key_order(b, id));
    channel_index(c, id, false);
}

/* --- members and users --- */

static void member_add(struct call *c)
{
    struct batch *b = &c->w->batch;

    member_put(c, batch_key(b, CACHE_MEMBERS), c->data, true);
    batch_add(b, batch_key(b, CACHE_GUILD), STR("member_count"), 1);
}

static void member_update(struct call *c)
{
    member_put(c, batch_key(&c->w->batch, CACHE_MEMBERS), c->data, true);
}

static void member_remove(struct call *c)
{
    struct batch *b = &c->w->batch;

    batch_del(b, batch_key(b, CACHE_MEMBERS), batch_id(b, id_of(member_of(c->f.user, "id"))));
    batch_add(b, batch_key(b, CACHE_GUILD), STR("member_count"), -1);
}

static void user_update(struct call *c)
{
    user_put(c->w, c->data);
}

static void user_ready(struct call *c)
{
    c->w->own_user = id_of(member_of(c->f.user, "id"));
    user_put(c->w, c->f.user);
}

/* --- messages --- */

static void message_create(struct call *c)
{
    struct batch *b = &c->w->batch;
    uint64_t id = id_of(c->f.id), channel = id_of(c->f.channel_id);

    if (id && channel && keeps(c->w, CACHE_MESSAGES))
        batch_message(b, batch_key_messages(b, channel), batch_key_order(b, channel), batch_id(b, id), c->data,
                      LIMIT_CACHE_MESSAGES, LIMIT_CACHE_MESSAGE_TTL_S);
    if (c->f.author.n > 0)
        user_put(c->w, c->f.author);
}

static void message_update(struct call *c)
{
    struct batch *b = &c->w->batch;

    /* A partial one (no author) would lose fields: the old message is better than half of the new one. */
    if (c->f.author.n > 0)
        batch_set_present(b, batch_key_messages(b, id_of(c->f.channel_id)), batch_id(b, id_of(c->f.id)), c->data);
}

static void message_drop(struct call *c, uint64_t id)
{
    struct batch *b = &c->w->batch;
    uint64_t channel = id_of(c->f.channel_id);

    batch_message_del(b, batch_key_messages(b, channel), batch_key_order(b, channel), batch_id(b, id));
}

static void message_delete(struct call *c)
{
    message_drop(c, id_of(c->f.id));
}

static int message_drop_raw(struct str value, void *arg)
{
    message_drop(arg, id_of(value));
    return 0;
}

static void message_delete_bulk(struct call *c)
{
    json_elements_scan(c->f.ids, message_drop_raw, c);
}

/* --- the public side --- */

typedef void (*handler)(struct call *c);

static handler handler_of(struct str type)
{
    static const struct {
        const char *type;
        handler fn;
    } table[] = {
#define CACHED(event, function) {#event, function},
#include "cache/events.def"
#undef CACHED
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (str_eq(type, str_c(table[i].type)))
            return table[i].fn;
    return NULL;
}

struct cache_writer *cache_writer_new(const struct cache_writer_options *o)
{
    struct cache_writer *w = MEM_NEW(struct cache_writer);

    w->o = *o;
    w->entities = cache_entities_of(o->intents);
    w->batch.application = o->application;
    w->seen = mem_zalloc(sizeof(*w->seen) * SEEN_USERS);
    w->own_user = o->application;
    return w;
}

void cache_writer_free(struct cache_writer *w)
{
    batch_done(&w->batch);
    mem_free(w->seen);
    mem_free(w);
}

bool cache_writer_busy(const struct cache_writer *w)
{
    return w->pending >= LIMIT_CACHE_PENDING;
}

struct waiting {
    struct cache_writer *w;
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
    int64_t applied = redis_reply_int(reply);
    metric_add(applied == 1 ? &metric_writes : &metric_older, 1);
    return applied < 0 ? CACHE_FENCED : CACHE_DONE;
}

static void on_written(int error, const struct redis_reply *reply, void *arg)
{
    struct waiting *waiting = arg;
    enum cache_result r = result_of(error, reply);
    struct cache_writer *w = waiting->w;

    w->pending--;
    if (r == CACHE_RETRY)
        memset(w->seen, 0, sizeof(*w->seen) * SEEN_USERS); /* those users may not have arrived */
    waiting->done(r, waiting->arg);
    mem_free(waiting);
}

static uint64_t tag_of(const struct call *c, struct str type)
{
    if (c->guild)
        return c->guild;
    if (str_starts(type, STR("GUILD_")))
        return id_of(c->f.id);
    uint64_t channel = id_of(c->f.channel_id);
    return channel ? channel : id_of(c->f.id);
}

bool cache_write(struct cache_writer *w, struct str type, struct str data, const struct cache_place *at,
                 void (*done)(enum cache_result r, void *arg), void *arg)
{
    handler fn = handler_of(type);
    struct call c = {.w = w, .data = data};

    if (!fn || json_members_scan(data, field_take, &c.f) != 0)
        return false;
    c.guild = id_of(c.f.guild_id);
    uint64_t tag = tag_of(&c, type);
    if (str_starts(type, STR("GUILD_")) && !c.guild)
        c.guild = tag;
    batch_begin(&w->batch, tag, at->epoch, at->generation, at->seq);
    fn(&c);
    if (batch_is_empty(&w->batch))
        return false;
    struct waiting *waiting = MEM_NEW(struct waiting);
    *waiting = (struct waiting){w, done, arg};
    w->pending++;
    batch_send(&w->batch, w->o.redis, LIMIT_CACHE_TIMEOUT_MS, on_written, waiting);
    return true;
}

void cache_mark(struct cache_writer *w, unsigned shard, unsigned shard_count, struct str session,
                const struct cache_place *at)
{
    struct buf key = BUF_INIT(256);
    struct batch *b = &w->batch;

    cache_key_marker(&key, w->o.application, shard, shard_count);
    batch_begin(b, 0, at->epoch, at->generation, at->seq); /* for its arena only */
    struct str words[] = {STR("HSET"),    buf_str(&key), STR("epoch"), batch_id(b, at->epoch),
                          STR("session"), session,       STR("seq"),   batch_id(b, at->seq)};
    plain(w, 8, words);
    buf_done(&key);
}
