/* See interactions_fixture.h. */
#include "tests/contract/api/interactions_fixture.h"

#include <stdio.h>

struct person alice, bob, carol, bot;
uint64_t guild, general, role, ping, ping_version, interaction;
char token[512], webhook[600];

uint64_t command_new(const char *json)
{
    expect_int(call(bot.token, "POST", json, "/applications/%llu/commands", U(bot.id)), 201);
    ping_version = id_at("version");
    return id_at("id");
}

/* alice's guild with her bot, bob and a role in it. */
void start(bool limits)
{
    api_start(limits);
    alice = person_new("alice");
    bob = person_new("bob");
    carol = person_new("carol");
    bot = bot_new(&alice, "pingbot");
    guild = guild_new(&alice, "Demo");
    general = guild_channel(guild, "general");
    guild_enter(guild, &alice, &bob);
    bot_enter(guild, &alice, &bot);
    role = role_new(&alice, guild, "{\"name\":\"crew\"}");
    ping = command_new("{\"name\":\"ping\",\"description\":\"says pong\"}");
    watch(guild);
    watch(bob.id);
    events_clear();
}

int use(const struct person *who, int type, const char *data)
{
    char json[2048];

    snprintf(
        json, sizeof json,
        "{\"type\":%d,\"application_id\":\"%llu\",\"guild_id\":\"%llu\",\"channel_id\":\"%llu\",\"session_id\":\"s\","
        "\"nonce\":\"77\",\"data\":%s}",
        type, U(bot.id), U(guild), U(general), data);
    return call(who->token, "POST", json, "/interactions");
}

int use_command(const struct person *who, uint64_t id, const char *more)
{
    char data[1024];

    snprintf(data, sizeof data, "{\"id\":\"%llu\",\"name\":\"any\"%s}", U(id), more);
    return use(who, 2, data);
}

/* The i-th INTERACTION_CREATE that has a token: the bot's. Keeps its id and token. */
json_t *heard(void)
{
    json_t *e = NULL;

    for (unsigned i = 0; (e = event_at(EVENT_INTERACTION_CREATE, i)); i++)
        if (json_object_get(e, "token"))
            break;
    expect_true(e != NULL);
    snprintf(token, sizeof token, "%s", e ? json_string_value(json_object_get(e, "token")) : "");
    snprintf(webhook, sizeof webhook, "/webhooks/%llu/%s", U(bot.id), token);
    interaction = 0;
    (void)snowflake_parse(str_c(e ? json_string_value(json_object_get(e, "id")) : ""), &interaction);
    return e;
}

/* Of an event's or answer's tree. */
json_t *in(json_t *v, const char *path)
{
    json_t *kept = body;

    body = v;
    v = node_at(path);
    body = kept;
    return v;
}

const char *text_in(json_t *v, const char *path)
{
    const char *s = json_string_value(in(v, path));

    return s ? s : "(none)";
}

int respond(const char *json, const char *query)
{
    return call(NULL, "POST", json, "/interactions/%llu/%s/callback%s", U(interaction), token, query);
}

/* A message of the bot's with a button and a select. */
uint64_t panel_new(void)
{
    expect_int(call(bot.token, "POST",
                    "{\"content\":\"panel\",\"components\":[{\"type\":1,\"components\":["
                    "{\"type\":2,\"style\":1,\"label\":\"Go\",\"custom_id\":\"go\"},"
                    "{\"type\":2,\"style\":2,\"label\":\"Off\",\"custom_id\":\"off\",\"disabled\":true}]},"
                    "{\"type\":1,\"components\":[{\"type\":5,\"custom_id\":\"who\",\"max_values\":2}]}]}",
                    "/channels/%llu/messages", U(general)),
               200);
    expect_true(int_at("components.0.id") == 1 && int_at("components.0.components.1.id") == 3);
    return id_at("id");
}

int press(const struct person *who, uint64_t message, const char *data)
{
    char json[1024];

    snprintf(
        json, sizeof json,
        "{\"type\":3,\"application_id\":\"%llu\",\"guild_id\":\"%llu\",\"channel_id\":\"%llu\",\"message_id\":\"%llu\","
        "\"data\":%s}",
        U(bot.id), U(guild), U(general), U(message), data);
    events_clear();
    return call(who->token, "POST", json, "/interactions");
}
