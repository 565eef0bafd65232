/* Applications that a person installed: used where the bot is not, with the person's own permissions. */
#include "tests/contract/api/interactions_fixture.h"

#include <stdio.h>

static struct person tool; /* a bot of alice's that is in no guild */
static uint64_t both, dm_only, of_guilds;

static uint64_t tool_command(const char *json)
{
    expect_int(call(tool.token, "POST", json, "/applications/%llu/commands", U(tool.id)), 201);
    return id_at("id");
}

static int install(const struct person *who, const char *query)
{
    return call(who->token, "POST", "{\"authorize\":true}", "/oauth2/authorize?client_id=%llu&%s", U(tool.id), query);
}

static int use_tool(const struct person *who, uint64_t guild_id, uint64_t channel_id, uint64_t command)
{
    char json[512], place[64] = "";

    if (guild_id)
        snprintf(place, sizeof place, "\"guild_id\":\"%llu\",", U(guild_id));
    snprintf(json, sizeof json,
             "{\"type\":2,\"application_id\":\"%llu\",%s\"channel_id\":\"%llu\",\"nonce\":\"5\",\"data\":{\"id\":"
             "\"%llu\"}}",
             U(tool.id), place, U(channel_id), U(command));
    events_clear();
    return call(who->token, "POST", json, "/interactions");
}

static json_t *tool_heard(void)
{
    json_t *e = heard();

    snprintf(webhook, sizeof webhook, "/webhooks/%llu/%s", U(tool.id), token);
    return e;
}

static void says_where_it_can_be(void)
{
    /* guilds only, until it says otherwise */
    expect_int(install(&bob, "scope=applications.commands&integration_type=1"), 400);
    expect_text(str_c(text_at("errors.integration_type._errors.0.code")), "BASE_TYPE_CHOICES");
    expect_int(call(tool.token, "PATCH", "{\"integration_types_config\":{\"2\":{}}}", "/applications/@me"), 400);
    expect_int(call(tool.token, "PATCH",
                    "{\"integration_types_config\":{\"0\":{},\"1\":{\"oauth2_install_params\":{\"scopes\":["
                    "\"applications.commands\"],\"permissions\":\"0\"}}}}",
                    "/applications/@me"),
               200);
    expect_text(str_c(text_at("integration_types_config.1.oauth2_install_params.permissions")), "0");
    both = tool_command("{\"name\":\"both\",\"description\":\"d\"}");
    expect_true(json_array_size(node_at("integration_types")) == 2);
    of_guilds = tool_command("{\"name\":\"guilds\",\"description\":\"d\",\"integration_types\":[0]}");
    dm_only = tool_command("{\"name\":\"private\",\"description\":\"d\",\"integration_types\":[1],\"contexts\":[2]}");
}

static void is_installed(void)
{
    expect_int(use_tool(&bob, guild, general, both), 404);
    expect_int(install(&bob, "scope=bot&integration_type=1"), 400);
    expect_int(install(&bob, "scope=applications.commands&integration_type=1"), 200);
    expect_int(call(bob.token, "GET", NULL, "/oauth2/tokens"), 200);
    expect_true(id_at("0.application.id") == tool.id && json_array_size(body) == 1);
    expect_int(call(bob.token, "GET", NULL, "/users/@me/application-command-index"), 200);
    expect_true(json_array_size(node_at("application_commands")) == 2);
}

/* In a guild that never asked for it. */
static void works_in_a_guild(void)
{
    char id[32];

    expect_int(use_tool(&bob, guild, general, both), 204);
    json_t *e = tool_heard();
    snprintf(id, sizeof id, "%llu", U(bob.id));
    expect_text(str_c(text_in(e, "authorizing_integration_owners.1")), id);
    expect_true(!in(e, "authorizing_integration_owners.0") && json_integer_value(in(e, "context")) == 0);
    expect_int(
        respond("{\"type\":4,\"data\":{\"content\":\"hello\",\"components\":[{\"type\":1,\"components\":[{\"type\":2,"
                "\"style\":1,\"label\":\"Go\",\"custom_id\":\"go\"}]}]}}",
                "?with_response=true"),
        200);
    expect_true(int_at("resource.message.flags") == 0 && id_at("resource.message.author.id") == tool.id);
    uint64_t message = id_at("resource.message.id");
    expect_int(call(alice.token, "GET", NULL, "/channels/%llu/messages/%llu", U(general), U(message)), 200);
    for (int i = 0; i < 5; i++)
        expect_int(call(NULL, "POST", "{\"content\":\"more\"}", "%s", webhook), 200);
    expect_int(call(NULL, "POST", "{\"content\":\"more\"}", "%s", webhook), 400);
    expect_int(code(), 40094);
    /* anybody may press its button; it is still bob's */
    char json[512];
    snprintf(json, sizeof json,
             "{\"type\":3,\"application_id\":\"%llu\",\"guild_id\":\"%llu\",\"channel_id\":\"%llu\",\"message_id\":"
             "\"%llu\",\"data\":{\"component_type\":2,\"custom_id\":\"go\"}}",
             U(tool.id), U(guild), U(general), U(message));
    events_clear();
    expect_int(call(alice.token, "POST", json, "/interactions"), 204);
    e = tool_heard();
    expect_text(str_c(text_in(e, "authorizing_integration_owners.1")), id);
    expect_text(str_c(text_in(e, "member.user.username")), "alice");
    expect_int(respond("{\"type\":7,\"data\":{\"content\":\"pressed\"}}", ""), 204);
    /* what is for other places, or for guilds that have it */
    expect_int(use_tool(&bob, guild, general, dm_only), 404);
    expect_int(use_tool(&bob, guild, general, of_guilds), 404);
    expect_int(code(), 10063);
    expect_int(use_tool(&alice, guild, general, both), 404);
}

/* Who may not let it speak hears it alone. */
static void whispers_where_it_must(void)
{
    char json[128];

    snprintf(json, sizeof json, "{\"type\":0,\"allow\":\"0\",\"deny\":\"%llu\"}", 1ULL << 50);
    expect_int(call(alice.token, "PUT", json, "/channels/%llu/permissions/%llu", U(general), U(guild)), 204);
    expect_int(use_tool(&bob, guild, general, both), 204);
    (void)tool_heard();
    expect_int(respond("{\"type\":4,\"data\":{\"content\":\"hello\"}}", "?with_response=true"), 200);
    expect_int((int)int_at("resource.message.flags"), 64);
    expect_int(call(alice.token, "DELETE", NULL, "/channels/%llu/permissions/%llu", U(general), U(guild)), 204);
}

static void works_between_people(void)
{
    char json[128];

    snprintf(json, sizeof json, "{\"recipient_id\":\"%llu\"}", U(alice.id));
    expect_int(call(bob.token, "POST", json, "/users/@me/channels"), 200);
    uint64_t dm = id_at("id");
    expect_int(use_tool(&bob, 0, dm, dm_only), 204);
    json_t *e = tool_heard();
    expect_true(json_integer_value(in(e, "context")) == 2 && !in(e, "member"));
    expect_int(respond("{\"type\":4,\"data\":{\"content\":\"between us\"}}", ""), 204);
    expect_int(call(alice.token, "GET", NULL, "/channels/%llu/messages", U(dm)), 200);
    expect_text(str_c(text_at("0.content")), "between us");
    expect_int(use_tool(&alice, 0, dm, dm_only), 403);
}

static void is_removed(void)
{
    expect_int(call(bob.token, "DELETE", NULL, "/oauth2/tokens/%llu", U(tool.id)), 204);
    expect_int(call(bob.token, "DELETE", NULL, "/oauth2/tokens/%llu", U(tool.id)), 404);
    expect_int(use_tool(&bob, guild, general, both), 404);
}

/* In a guild that has it, both installations count, and the guild's rules. */
static void is_in_both(void)
{
    expect_int(install(&bob, "scope=applications.commands&integration_type=1"), 200);
    bot_enter(guild, &alice, &tool);
    expect_int(use_tool(&bob, guild, general, both), 204);
    json_t *e = tool_heard();
    expect_true(in(e, "authorizing_integration_owners.0") && in(e, "authorizing_integration_owners.1"));
    expect_int(use_tool(&alice, guild, general, both), 204);
    expect_true(!in(tool_heard(), "authorizing_integration_owners.1"));
}

void installs(void)
{
    start(false);
    tool = bot_new(&alice, "tool");
    watch(tool.id);
    says_where_it_can_be();
    is_installed();
    works_in_a_guild();
    whispers_where_it_must();
    works_between_people();
    is_removed();
    is_in_both();
    api_stop();
}
