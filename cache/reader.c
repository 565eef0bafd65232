/* Reading entities. Coroutine only. */
#include "cache/reader.h"

#include "platform/base/limits.h"
#include "platform/base/map.h"
#include <errno.h>
#include <stdio.h>

/* 0 and a reply to free, -EHOSTDOWN. A refusal by Redis counts as unreachable. */
static int ask(const struct cache *c, int argc, const struct str *argv, struct redis_reply **ret)
{
    struct redis_reply *r;

    if (redis_await(c->redis, argc, argv, &r) != 0)
        return -EHOSTDOWN;
    if (redis_reply_type(r) == REDIS_ERROR) {
        redis_reply_free(r);
        return -EHOSTDOWN;
    }
    *ret = r;
    return 0;
}

static int ask_text(const struct cache *c, int argc, const struct str *argv, struct buf *out)
{
    struct redis_reply *r;
    int error = ask(c, argc, argv, &r);

    if (error)
        return error;
    if (redis_reply_type(r) == REDIS_STRING)
        buf_add_str(out, redis_reply_str(r));
    else
        error = -ENOENT;
    redis_reply_free(r);
    return error;
}

static int hash_field(const struct cache *c, const struct buf *key, uint64_t id, struct buf *out)
{
    char field[24];

    snprintf(field, sizeof(field), "%llu", (unsigned long long)id);
    return ask_text(c, 3, (struct str[]){STR("HGET"), buf_str(key), str_c(field)}, out);
}

int cache_get(const struct cache *c, enum cache_entity e, uint64_t guild_id, uint64_t id, struct buf *out)
{
    struct buf BUF_AUTO key = BUF_INIT(256);

    cache_key(&key, c->application, guild_id, e);
    return hash_field(c, &key, id, out);
}

/* The guild's hash has a field for each member of the object, its value raw JSON. Without its id it is what a full
 * Redis left of it. */
int cache_guild(const struct cache *c, uint64_t guild_id, struct buf *out)
{
    struct buf BUF_AUTO key = BUF_INIT(256);
    struct redis_reply *r;
    bool is_there = false;

    cache_key(&key, c->application, guild_id, CACHE_GUILDS);
    int error = ask(c, 2, (struct str[]){STR("HGETALL"), buf_str(&key)}, &r);
    if (error)
        return error;
    size_t count = redis_reply_count(r);
    for (size_t i = 0; i + 1 < count && !is_there; i += 2)
        is_there = str_eq(redis_reply_str(redis_reply_at(r, i)), STR("id"));
    for (size_t i = 0; i + 1 < count && is_there; i += 2) {
        buf_adds(out, i ? ",\"" : "{\"");
        buf_add_str(out, redis_reply_str(redis_reply_at(r, i)));
        buf_adds(out, "\":");
        buf_add_str(out, redis_reply_str(redis_reply_at(r, i + 1)));
    }
    if (is_there)
        buf_addc(out, '}');
    redis_reply_free(r);
    return is_there ? 0 : -ENOENT;
}

int cache_guild_of(const struct cache *c, uint64_t channel_id, uint64_t *ret)
{
    struct buf BUF_AUTO key = BUF_INIT(256), id = BUF_INIT(64);

    cache_key_channel_guild(&key, c->application, channel_id);
    int error = ask_text(c, 2, (struct str[]){STR("GET"), buf_str(&key)}, &id);
    if (error)
        return error;
    const char *blank = memchr(id.data, ' ', id.len);
    struct str guild = {id.data, blank ? (size_t)(blank - id.data) : id.len};
    return str_to_u64(guild, ret) == 0 && *ret ? 0 : -ENOENT;
}

int cache_channel(const struct cache *c, uint64_t guild_id, uint64_t channel_id, struct buf *out)
{
    int error = guild_id ? 0 : cache_guild_of(c, channel_id, &guild_id);

    if (error)
        return error;
    error = cache_get(c, CACHE_CHANNELS, guild_id, channel_id, out);
    return error == -ENOENT ? cache_get(c, CACHE_THREADS, guild_id, channel_id, out) : error;
}

int cache_role(const struct cache *c, uint64_t guild_id, uint64_t role_id, struct buf *out)
{
    return cache_get(c, CACHE_ROLES, guild_id, role_id, out);
}

int cache_member(const struct cache *c, uint64_t guild_id, uint64_t user_id, struct buf *out)
{
    return cache_get(c, CACHE_MEMBERS, guild_id, user_id, out);
}

int cache_user(const struct cache *c, uint64_t user_id, struct buf *out)
{
    struct buf BUF_AUTO key = BUF_INIT(256), BUF_AUTO text = BUF_INIT(LIMIT_REDIS_PENDING_BYTES);

    cache_key(&key, c->application, user_id, CACHE_USERS);
    int error = ask_text(c, 2, (struct str[]){STR("GET"), buf_str(&key)}, &text);
    const char *json = error ? NULL : memchr(text.data, '{', text.len); /* before it: whose event wrote it */
    if (json)
        buf_add(out, json, text.len - (size_t)(json - text.data));
    return error ? error : json ? 0 : -ENOENT;
}

int cache_thread_member(const struct cache *c, uint64_t guild_id, uint64_t thread_id, uint64_t user_id, struct buf *out)
{
    struct buf BUF_AUTO key = BUF_INIT(256);

    cache_key_part(&key, c->application, guild_id, CACHE_THREAD_MEMBERS, thread_id);
    return hash_field(c, &key, user_id, out);
}

/* --- lists --- */

/* What a slice is read with; each element's place in the reply, and the id it belongs to. */
struct list {
    const char *command; /* HSCAN: field, value, ...; SSCAN: member, ... */
    struct buf *key;
    struct map *seen; /* NULL: an id may come twice */
    unsigned count;
};

static bool is_news(const struct list *l, struct str id)
{
    static char mark;
    uint64_t n = 0;

    str_to_u64(id, &n);
    if (!l->seen)
        return true;
    if (map_get(l->seen, n))
        return false;
    map_put(l->seen, n, &mark);
    return true;
}

/* Elements, with commas between them, behind what `out` holds. */
static void elements_add(struct list *l, const struct redis_reply *r, struct buf *out)
{
    size_t step = *l->command == 'H' ? 2 : 1;

    for (size_t i = 0; i + step <= redis_reply_count(r); i += step) {
        struct str id = redis_reply_str(redis_reply_at(r, i));
        if (!is_news(l, id))
            continue;
        if (l->count++)
            buf_addc(out, ',');
        if (step == 1)
            buf_addc(out, '"');
        buf_add_str(out, step == 1 ? id : redis_reply_str(redis_reply_at(r, i + 1)));
        if (step == 1)
            buf_addc(out, '"');
    }
}

static int elements_ask(const struct cache *c, struct list *l, uint64_t *cursor, struct buf *out)
{
    char at[24], count[16];
    struct redis_reply *r;

    snprintf(at, sizeof(at), "%llu", (unsigned long long)*cursor);
    snprintf(count, sizeof(count), "%d", LIMIT_CACHE_SLICE);
    struct str words[] = {str_c(l->command), buf_str(l->key), str_c(at), STR("COUNT"), str_c(count)};
    int error = ask(c, 5, words, &r);
    if (error)
        return error;
    error =
        redis_reply_count(r) == 2 && str_to_u64(redis_reply_str(redis_reply_at(r, 0)), cursor) == 0 ? 0 : -EHOSTDOWN;
    if (!error)
        elements_add(l, redis_reply_at(r, 1), out);
    redis_reply_free(r);
    return error;
}

static int slice(const struct cache *c, const char *command, struct buf *key, uint64_t *cursor, struct buf *out)
{
    struct list l = {.command = command, .key = key};

    buf_addc(out, '[');
    int error = elements_ask(c, &l, cursor, out);
    buf_addc(out, ']');
    return error;
}

static int whole(const struct cache *c, const char *command, struct buf *key, struct buf *out)
{
    struct map seen = {0};
    struct list l = {.command = command, .key = key, .seen = &seen};
    uint64_t cursor = 0;
    int error;

    buf_addc(out, '[');
    do {
        error = elements_ask(c, &l, &cursor, out);
        if (!error && l.count > LIMIT_CACHE_LIST)
            error = -E2BIG;
    } while (!error && cursor != 0);
    buf_addc(out, ']');
    map_done(&seen);
    return error ? error : l.count ? 0 : -ENOENT;
}

int cache_list_slice(const struct cache *c, enum cache_entity e, uint64_t guild_id, uint64_t *cursor, struct buf *out)
{
    struct buf BUF_AUTO key = BUF_INIT(256);

    cache_key(&key, c->application, guild_id, e);
    return slice(c, "HSCAN", &key, cursor, out);
}

int cache_thread_members_slice(const struct cache *c, uint64_t guild_id, uint64_t thread_id, uint64_t *cursor,
                               struct buf *out)
{
    struct buf BUF_AUTO key = BUF_INIT(256);

    cache_key_part(&key, c->application, guild_id, CACHE_THREAD_MEMBERS, thread_id);
    return slice(c, "HSCAN", &key, cursor, out);
}

int cache_guilds_slice(const struct cache *c, uint64_t *cursor, struct buf *out)
{
    struct buf BUF_AUTO key = BUF_INIT(256);

    cache_key_guilds(&key, c->application);
    return slice(c, "SSCAN", &key, cursor, out);
}

int cache_list(const struct cache *c, enum cache_entity e, uint64_t guild_id, struct buf *out)
{
    struct buf BUF_AUTO key = BUF_INIT(256);

    cache_key(&key, c->application, guild_id, e);
    return whole(c, "HSCAN", &key, out);
}

int cache_channels(const struct cache *c, uint64_t guild_id, struct buf *out)
{
    return cache_list(c, CACHE_CHANNELS, guild_id, out);
}

int cache_roles(const struct cache *c, uint64_t guild_id, struct buf *out)
{
    return cache_list(c, CACHE_ROLES, guild_id, out);
}

int cache_thread_members(const struct cache *c, uint64_t guild_id, uint64_t thread_id, struct buf *out)
{
    struct buf BUF_AUTO key = BUF_INIT(256);

    cache_key_part(&key, c->application, guild_id, CACHE_THREAD_MEMBERS, thread_id);
    return whole(c, "HSCAN", &key, out);
}

int cache_guilds(const struct cache *c, struct buf *out)
{
    struct buf BUF_AUTO key = BUF_INIT(256);

    cache_key_guilds(&key, c->application);
    return whole(c, "SSCAN", &key, out);
}

/* --- messages: their reactions stand beside them --- */

/* KEYS: messages, reactions, order; ARGV: an id, or "" and how many. Answers message, reactions, message, ... */
static const char messages_script[] =
    "local ids = {ARGV[1]}\n"
    "if ARGV[1] == '' then ids = redis.call('LRANGE', KEYS[3], -tonumber(ARGV[2]), -1) end\n"
    "local out = {}\n"
    "for i = #ids, 1, -1 do\n"
    "  local id = ids[i]\n"
    "  local m = redis.call('HGET', KEYS[1], id)\n"
    "  if m then\n"
    "    out[#out + 1] = m\n"
    "    out[#out + 1] = redis.call('HGET', KEYS[2], id) or ''\n"
    "  end\n"
    "end\n"
    "return out\n";

static void message_add(struct str message, struct str reactions, struct buf *out)
{
    if (reactions.n == 0 || message.n < 2) {
        buf_add_str(out, message);
        return;
    }
    while (message.n > 0 && message.p[message.n - 1] != '}') /* blanks behind it */
        message.n--;
    buf_add(out, message.p, message.n - 1);
    buf_adds(out, message.n > 2 ? ",\"reactions\":" : "\"reactions\":");
    buf_add_str(out, reactions);
    buf_addc(out, '}');
}

static int messages_ask(const struct cache *c, uint64_t guild_id, uint64_t channel_id, struct str id, struct str count,
                        struct redis_reply **ret)
{
    struct buf BUF_AUTO messages = BUF_INIT(256), reactions = BUF_INIT(256), order = BUF_INIT(256);
    uint64_t tag = guild_id ? guild_id : channel_id;
    struct redis_reply *r;

    cache_key_part(&messages, c->application, tag, CACHE_MESSAGES, channel_id);
    cache_key_part(&reactions, c->application, tag, CACHE_REACTIONS, channel_id);
    cache_key_order(&order, c->application, tag, channel_id);
    struct str words[] = {buf_str(&messages), buf_str(&reactions), buf_str(&order), id, count};
    if (redis_script_await(c->redis, messages_script, 3, 5, words, &r) != 0)
        return -EHOSTDOWN;
    if (redis_reply_type(r) == REDIS_ARRAY && redis_reply_count(r) > 0) {
        *ret = r;
        return 0;
    }
    int error = redis_reply_type(r) == REDIS_ERROR ? -EHOSTDOWN : -ENOENT;
    redis_reply_free(r);
    return error;
}

int cache_message(const struct cache *c, uint64_t guild_id, uint64_t channel_id, uint64_t message_id, struct buf *out)
{
    struct redis_reply *r;
    char id[24];

    snprintf(id, sizeof(id), "%llu", (unsigned long long)message_id);
    int error = messages_ask(c, guild_id, channel_id, str_c(id), STR("0"), &r);
    if (error)
        return error;
    message_add(redis_reply_str(redis_reply_at(r, 0)), redis_reply_str(redis_reply_at(r, 1)), out);
    redis_reply_free(r);
    return 0;
}

int cache_messages(const struct cache *c, uint64_t guild_id, uint64_t channel_id, unsigned count, struct buf *out)
{
    struct redis_reply *r;
    char text[24];

    snprintf(text, sizeof(text), "%u", count);
    int error = count ? messages_ask(c, guild_id, channel_id, STR(""), str_c(text), &r) : -ENOENT;
    if (error)
        return error;
    for (size_t i = 0; i + 1 < redis_reply_count(r); i += 2) {
        buf_addc(out, i ? ',' : '[');
        message_add(redis_reply_str(redis_reply_at(r, i)), redis_reply_str(redis_reply_at(r, i + 1)), out);
    }
    buf_addc(out, ']');
    redis_reply_free(r);
    return 0;
}

/* --- how far it is --- */

int cache_marker(const struct cache *c, unsigned shard, unsigned shard_count, struct cache_marker *ret)
{
    struct buf BUF_AUTO key = BUF_INIT(256);
    struct redis_reply *r;

    cache_key_marker(&key, c->application, shard, shard_count);
    struct str words[] = {STR("HMGET"), buf_str(&key), STR("epoch"), STR("session"), STR("seq")};
    int error = ask(c, 5, words, &r);
    if (error)
        return error;
    struct str session = redis_reply_count(r) == 3 ? redis_reply_str(redis_reply_at(r, 1)) : STR_NONE;
    if (session.n == 0) {
        redis_reply_free(r);
        return -ENOENT;
    }
    ret->epoch = (uint64_t)redis_reply_int(redis_reply_at(r, 0));
    ret->seq = (uint64_t)redis_reply_int(redis_reply_at(r, 2));
    snprintf(ret->session, sizeof(ret->session), "%.*s", STR_ARG(session));
    redis_reply_free(r);
    return 0;
}

int cache_seen(const struct cache *c, unsigned shard, unsigned shard_count, const char *session, uint64_t seq)
{
    struct cache_marker m;
    int error = cache_marker(c, shard, shard_count, &m);

    if (error)
        return error == -ENOENT ? 0 : error;
    return m.seq >= seq && strcmp(m.session, session) == 0;
}
