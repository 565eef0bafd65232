/* Reading IDENTIFY, RESUME and the requests of a session. Pure; jansson's trees are the caller's. */
#include "gateway/server/requests.h"

#include "platform/base/snowflake.h"
#include "platform/protocol/gateway.h"
#include "platform/protocol/intents.h"

#include <errno.h>
#include <jansson.h>

#define SHARDS_MAX      65536
#define NONCE_BYTES_MAX 32
#define QUERY_LIMIT_MAX 100

static struct str text_of(const json_t *v)
{
    return (struct str){json_string_value(v), json_string_length(v)};
}

/* discord.py sends some ids as numbers. */
static int id_of(const json_t *v, uint64_t *ret)
{
    if (json_is_integer(v) && json_integer_value(v) > 0) {
        *ret = (uint64_t)json_integer_value(v);
        return 0;
    }
    return json_is_string(v) ? snowflake_parse(text_of(v), ret) : -EINVAL;
}

/* Clients of old put the HTTP scheme before it. */
static struct str token_of(const json_t *v)
{
    struct str token = text_of(v);

    return str_starts(token, STR("Bot ")) ? (struct str){token.p + 4, token.n - 4} : token;
}

static int shard_read(const json_t *v, struct identify_request *r)
{
    const json_t *id = json_array_get(v, 0), *count = json_array_get(v, 1);

    if (json_array_size(v) != 2 || !json_is_integer(id) || !json_is_integer(count))
        return GATEWAY_CLOSE_INVALID_SHARD;
    json_int_t shard = json_integer_value(id), shards = json_integer_value(count);
    if (shards < 1 || shards > SHARDS_MAX || shard < 0 || shard >= shards)
        return GATEWAY_CLOSE_INVALID_SHARD;
    r->has_shard = true;
    r->shard = (uint32_t)shard;
    r->shard_count = (uint32_t)shards;
    return 0;
}

static int intents_read(const json_t *v, struct identify_request *r)
{
    if (!json_is_integer(v))
        return GATEWAY_CLOSE_DECODE_ERROR;
    if (json_integer_value(v) < 0 || json_integer_value(v) & ~(json_int_t)INTENTS_ALL)
        return GATEWAY_CLOSE_INVALID_INTENTS;
    r->has_intents = true;
    r->intents = (uint32_t)json_integer_value(v);
    return 0;
}

static unsigned threshold_read(const json_t *v)
{
    json_int_t n = json_is_integer(v) ? json_integer_value(v) : 50;

    return n < 50 ? 50 : n > 250 ? 250 : (unsigned)n;
}

int identify_read(const struct json_t *d, struct arena *a, struct identify_request *ret)
{
    const json_t *shard = json_object_get(d, "shard"), *intents = json_object_get(d, "intents");
    struct identify_request r = {.shard_count = 1};
    int close = 0;

    if (!json_is_object(d) || !json_is_string(json_object_get(d, "token")))
        return GATEWAY_CLOSE_DECODE_ERROR;
    if (shard && !json_is_null(shard))
        close = shard_read(shard, &r);
    if (!close && intents && !json_is_null(intents))
        close = intents_read(intents, &r);
    if (close)
        return close;
    r.compress = json_is_true(json_object_get(d, "compress"));
    r.large_threshold = threshold_read(json_object_get(d, "large_threshold"));
    r.token = arena_str(a, token_of(json_object_get(d, "token")));
    *ret = r;
    return 0;
}

int resume_read(const struct json_t *d, struct arena *a, struct resume_request *ret)
{
    const json_t *token = json_object_get(d, "token"), *session = json_object_get(d, "session_id"),
                 *seq = json_object_get(d, "seq");

    if (!json_is_object(d) || !json_is_string(token) || !json_is_string(session))
        return GATEWAY_CLOSE_DECODE_ERROR;
    /* a library that dropped its number sends null or nothing */
    if (seq && !json_is_null(seq) && (!json_is_integer(seq) || json_integer_value(seq) < 0))
        return GATEWAY_CLOSE_INVALID_SEQ;
    ret->token = arena_str(a, token_of(token));
    ret->session_id = arena_str(a, text_of(session));
    ret->seq = json_is_integer(seq) ? (uint64_t)json_integer_value(seq) : 0;
    return 0;
}

/* One id or a list of them; of a longer list the first hundred are answered. */
static int users_read(const json_t *v, struct members_request *r)
{
    if (!json_is_array(v)) {
        r->user_count = 1;
        return id_of(v, &r->user_ids[0]);
    }
    size_t count = json_array_size(v);
    r->user_count = count < MEMBERS_REQUEST_USERS_MAX ? (unsigned)count : MEMBERS_REQUEST_USERS_MAX;
    for (unsigned i = 0; i < r->user_count; i++)
        if (id_of(json_array_get(v, i), &r->user_ids[i]) < 0)
            return -EINVAL;
    return 0;
}

static int query_read(const json_t *d, struct arena *a, struct members_request *r)
{
    const json_t *query = json_object_get(d, "query"), *limit = json_object_get(d, "limit");

    if (!json_is_string(query) || (limit && (!json_is_integer(limit) || json_integer_value(limit) < 0)))
        return -EINVAL;
    r->by_query = true;
    r->query = arena_str(a, text_of(query));
    json_int_t n = json_integer_value(limit);
    bool all = r->query.n == 0 && n == 0;
    r->limit = all ? 0 : n == 0 || n > QUERY_LIMIT_MAX ? QUERY_LIMIT_MAX : (unsigned)n;
    return 0;
}

int members_request_read(const struct json_t *d, struct arena *a, struct members_request *ret)
{
    const json_t *guild = json_object_get(d, "guild_id"), *users = json_object_get(d, "user_ids"),
                 *nonce = json_object_get(d, "nonce");
    struct members_request *r = ret;

    *r = (struct members_request){.presences = json_is_true(json_object_get(d, "presences"))};
    /* eris sends a list of one */
    if (json_is_array(guild) && json_array_size(guild) == 1)
        guild = json_array_get(guild, 0);
    if (!json_is_object(d) || id_of(guild, &r->guild_id) < 0)
        return GATEWAY_CLOSE_UNKNOWN_OPCODE;
    if ((users && !json_is_null(users) ? users_read(users, r) : query_read(d, a, r)) < 0)
        return GATEWAY_CLOSE_UNKNOWN_OPCODE;
    if (json_is_string(nonce) && json_string_length(nonce) <= NONCE_BYTES_MAX)
        r->nonce = arena_str(a, text_of(nonce));
    return 0;
}

int sounds_request_read(const struct json_t *d, struct guilds_request *ret)
{
    const json_t *ids = json_object_get(d, "guild_ids");

    ret->guild_count = 0;
    if (!json_is_array(ids) || json_array_size(ids) > GUILDS_REQUEST_MAX)
        return GATEWAY_CLOSE_UNKNOWN_OPCODE;
    for (size_t i = 0; i < json_array_size(ids); i++)
        if (id_of(json_array_get(ids, i), &ret->guild_ids[ret->guild_count++]) < 0)
            return GATEWAY_CLOSE_UNKNOWN_OPCODE;
    return 0;
}

int channel_info_request_read(const struct json_t *d, struct channel_info_request *ret)
{
    const json_t *fields = json_object_get(d, "fields");

    *ret = (struct channel_info_request){0};
    if (id_of(json_object_get(d, "guild_id"), &ret->guild_id) < 0 || !json_is_array(fields))
        return GATEWAY_CLOSE_UNKNOWN_OPCODE;
    for (size_t i = 0; i < json_array_size(fields); i++) {
        struct str name = text_of(json_array_get(fields, i));
        ret->status |= str_eq(name, STR("status"));
        ret->voice_start_time |= str_eq(name, STR("voice_start_time"));
    }
    return 0;
}

static int flag_read(const json_t *d, const char *key, bool *ret)
{
    const json_t *v = json_object_get(d, key);

    *ret = json_is_true(v);
    return !v || json_is_null(v) || json_is_boolean(v) ? 0 : -EINVAL;
}

int voice_state_read(const struct json_t *d, struct voice_state_request *ret)
{
    const json_t *guild = json_object_get(d, "guild_id"), *channel = json_object_get(d, "channel_id");

    *ret = (struct voice_state_request){0};
    if (!json_is_object(d) || (guild && !json_is_null(guild) && id_of(guild, &ret->guild_id) < 0) ||
        (channel && !json_is_null(channel) && id_of(channel, &ret->channel_id) < 0) ||
        flag_read(d, "self_mute", &ret->self_mute) < 0 || flag_read(d, "self_deaf", &ret->self_deaf) < 0 ||
        flag_read(d, "self_video", &ret->self_video) < 0)
        return GATEWAY_CLOSE_UNKNOWN_OPCODE;
    return 0;
}
