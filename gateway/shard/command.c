/* Checking what workers want sent. Any thread. */
#include "gateway/shard/command.h"

#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/protocol/gateway.h"
#include "platform/protocol/json_read.h"
#include <errno.h>
#include <jansson.h>

static bool id_take(const json_t *v, uint64_t *ret)
{
    const char *text = json_string_value(v);

    return text && str_to_u64(str_c(text), ret) == 0 && *ret != 0;
}

static bool is_id(const json_t *v)
{
    uint64_t id;

    return id_take(v, &id);
}

static bool is_flag(const json_t *v)
{
    return !v || json_is_boolean(v);
}

static const char *guild_take(const json_t *d, struct command *c)
{
    if (!id_take(json_object_get(d, "guild_id"), &c->guilds[0]))
        return "guild_id: a snowflake is needed";
    c->guild_count = 1;
    return NULL;
}

static const char *presence_check(const json_t *d, struct command *c)
{
    static const char *const known[] = {"online", "dnd", "idle", "invisible", "offline"};
    const char *status = json_string_value(json_object_get(d, "status"));
    const json_t *since = json_object_get(d, "since"), *activities = json_object_get(d, "activities");
    bool found = false;

    (void)c;
    for (size_t i = 0; status && i < sizeof(known) / sizeof(known[0]); i++)
        found |= strcmp(status, known[i]) == 0;
    if (!found)
        return "status: online, dnd, idle, invisible or offline";
    if (since && !json_is_null(since) && !json_is_integer(since))
        return "since: milliseconds or null";
    if (!json_is_array(activities))
        return "activities: an array is needed";
    return is_flag(json_object_get(d, "afk")) ? NULL : "afk: true or false";
}

static const char *voice_check(const json_t *d, struct command *c)
{
    const json_t *channel = json_object_get(d, "channel_id");

    if (!channel || (!json_is_null(channel) && !is_id(channel)))
        return "channel_id: a snowflake or null";
    if (!is_flag(json_object_get(d, "self_mute")) || !is_flag(json_object_get(d, "self_deaf")))
        return "self_mute, self_deaf: true or false";
    return guild_take(d, c);
}

static const char *members_check(const json_t *d, struct command *c)
{
    const json_t *users = json_object_get(d, "user_ids"), *limit = json_object_get(d, "limit");

    if (users && !json_is_array(users) && !is_id(users))
        return "user_ids: a snowflake or an array of them";
    for (size_t i = 0; i < json_array_size(users); i++)
        if (!is_id(json_array_get(users, i)))
            return "user_ids: a snowflake or an array of them";
    if (!users && !json_is_string(json_object_get(d, "query")))
        return "one of query and user_ids is needed";
    if (!users && (!json_is_integer(limit) || json_integer_value(limit) < 0))
        return "limit: a number is needed beside query";
    if (!is_flag(json_object_get(d, "presences")))
        return "presences: true or false";
    return guild_take(d, c);
}

static const char *sounds_check(const json_t *d, struct command *c)
{
    const json_t *ids = json_object_get(d, "guild_ids");
    size_t count = json_array_size(ids);

    if (count == 0 || count > COMMAND_GUILDS_MAX)
        return "guild_ids: an array of 1 to 100 snowflakes";
    for (size_t i = 0; i < count; i++)
        if (!id_take(json_array_get(ids, i), &c->guilds[i]))
            return "guild_ids: an array of 1 to 100 snowflakes";
    c->guild_count = (unsigned)count;
    return NULL;
}

static const char *channel_info_check(const json_t *d, struct command *c)
{
    const json_t *fields = json_object_get(d, "fields");

    if (!json_is_array(fields))
        return "fields: an array of names";
    for (size_t i = 0; i < json_array_size(fields); i++)
        if (!json_is_string(json_array_get(fields, i)))
            return "fields: an array of names";
    return guild_take(d, c);
}

static const struct {
    int op;
    const char *(*check)(const json_t *d, struct command *c);
} commands[] = {
    {GATEWAY_OP_PRESENCE_UPDATE, presence_check},          {GATEWAY_OP_VOICE_STATE_UPDATE, voice_check},
    {GATEWAY_OP_REQUEST_GUILD_MEMBERS, members_check},     {GATEWAY_OP_REQUEST_SOUNDBOARD_SOUNDS, sounds_check},
    {GATEWAY_OP_REQUEST_CHANNEL_INFO, channel_info_check},
};

static const char *check(const json_t *payload, struct command *c)
{
    const json_t *op = json_object_get(payload, "op"), *d = json_object_get(payload, "d");

    if (!json_is_integer(op) || !json_is_object(d))
        return "not {\"op\":...,\"d\":{...}}";
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (commands[i].op != json_integer_value(op))
            continue;
        c->op = commands[i].op;
        return commands[i].check(d, c);
    }
    return "op: 3, 4, 8, 31 or 43";
}

int shard_command_read(struct str body, struct command *ret, const char **ret_reason)
{
    json_t *payload = NULL;

    ret->guild_count = 0;
    if (body.n > LIMIT_SHARD_COMMAND_BYTES)
        *ret_reason = "longer than 4096 bytes";
    else if (json_read(body, &payload, NULL) != 0)
        *ret_reason = "not JSON";
    else
        *ret_reason = check(payload, ret);
    json_decref(payload);
    return *ret_reason ? -EINVAL : 0;
}

void shard_command_sounds(struct buf *out, uint64_t guild)
{
    jw_obj(out);
    jw_ki64(out, "op", GATEWAY_OP_REQUEST_SOUNDBOARD_SOUNDS);
    jw_kobj(out, "d");
    jw_karr(out, "guild_ids");
    jw_id(out, guild);
    jw_arr_end(out);
    jw_obj_end(out);
    jw_obj_end(out);
}
