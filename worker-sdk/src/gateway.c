/* Commands to the gateway, published for the shards (README.md, "Commands to the gateway"). Coroutine. */
#include "worker-sdk/src/sdk.h"

#include "cache/broker.h"
#include "platform/io/co.h"

#include <guildhall/gateway.h>

#include <errno.h>
#include <stdio.h>

#define PAYLOAD_BYTES_MAX 4096
#define CONNECT_TRIES     200 /* of 25 ms */

/* Shards declare the same and the queues behind it. */
static const struct amqp_declare declares[] = {
    {.what = AMQP_EXCHANGE, .name = BROKER_COMMANDS, .type = "topic", .durable = true}};

static struct amqp_publisher *publisher_of(struct gh_bot *bot)
{
    BUF_AUTO struct buf err = {0};
    if (!bot->publisher)
        bot->publisher = amqp_publisher_new(bot->amqp_url, declares, 1, &err);
    for (int i = 0; bot->publisher && !amqp_publisher_connected(bot->publisher) && i < CONNECT_TRIES; i++)
        co_sleep(25);
    return bot->publisher;
}

static int error_of_publish(int error)
{
    return error == 0 ? 0 : error == -EIO || error == -EAGAIN ? -EAGAIN : -EHOSTDOWN;
}

/* A command that names a guild is passed on to its shard by any of them; shard 0 is always there. */
int gh_gateway_send(struct gh_context *c, uint64_t guild_id, const struct gh_json *payload)
{
    char key[64];
    const char *text = gh_json_write(c, payload);
    if (strlen(text) > PAYLOAD_BYTES_MAX)
        return -EMSGSIZE;
    struct amqp_publisher *p = publisher_of(c->bot);
    const struct gh_event *e = gh_context_event(c);
    unsigned long long shard = e && e->shard_count > 0 ? (guild_id >> 22) % (unsigned long long)e->shard_count : 0;
    if (guild_id)
        snprintf(key, sizeof key, "%llu.%llu", (unsigned long long)c->bot->application_id, shard);
    else
        snprintf(key, sizeof key, "%llu.all", (unsigned long long)c->bot->application_id);
    struct amqp_message m = {.exchange = BROKER_COMMANDS, .routing_key = key, .body = str_c(text), .persistent = true};
    return p ? error_of_publish(amqp_publish_await(p, &m)) : -EHOSTDOWN;
}

static int send(struct gh_context *c, uint64_t guild_id, int op, struct gh_json *d)
{
    return gh_gateway_send(c, guild_id, gh_json_set(gh_json_set_number(gh_json_object(c), "op", op), "d", d));
}

int gh_presence_set(struct gh_context *c, const char *status, const struct gh_activity *activity)
{
    struct gh_json *d = gh_json_object(c), *all = gh_json_array(c);
    if (activity) {
        json_t *o = context_keep(c, entity_write(ENTITY_activity, activity));
        if (!json_object_get(o, "type"))
            json_object_set_new(o, "type", json_integer(0));
        gh_json_append(all, (struct gh_json *)o);
    }
    gh_json_set(gh_json_set_text(gh_json_set_null(d, "since"), "status", status), "activities", all);
    return send(c, 0, 3, gh_json_set_flag(d, "afk", false));
}

int gh_voice_set(struct gh_context *c, uint64_t guild_id, uint64_t channel_id, bool self_mute, bool self_deaf)
{
    struct gh_json *d = gh_json_set_id(gh_json_object(c), "guild_id", guild_id);
    if (channel_id)
        gh_json_set_id(d, "channel_id", channel_id);
    else
        gh_json_set_null(d, "channel_id");
    return send(c, guild_id, 4, gh_json_set_flag(gh_json_set_flag(d, "self_mute", self_mute), "self_deaf", self_deaf));
}

int gh_members_request(struct gh_context *c, uint64_t guild_id, const char *query, int64_t limit,
                       const uint64_t *user_ids, size_t user_ids_count, bool presences, const char *nonce)
{
    struct gh_json *d = gh_json_set_id(gh_json_object(c), "guild_id", guild_id), *ids = gh_json_array(c);
    gh_json_set_number(d, "limit", limit);
    for (size_t i = 0; i < user_ids_count; i++)
        gh_json_append_id(ids, user_ids[i]);
    if (user_ids_count)
        gh_json_set(d, "user_ids", ids);
    else
        gh_json_set_text(d, "query", query ? query : "");
    if (presences)
        gh_json_set_flag(d, "presences", true);
    if (nonce)
        gh_json_set_text(d, "nonce", nonce);
    return send(c, guild_id, 8, d);
}
