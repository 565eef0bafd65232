/* Interactions over HTTP: a person uses a command, its bot hears of it and answers in every way there is; what the
 * person hears; who may not. */
#include "tests/contract/api/fixture.h"

#include <sodium.h>
#include <stdio.h>

#define U(v) (unsigned long long)(v)

static struct person alice, bob, carol, bot;
static uint64_t guild, general, role, ping, ping_version;
static char token[512], webhook[600];
static uint64_t interaction;

static uint64_t command_new(const char *json)
{
    expect_int(call(bot.token, "POST", json, "/applications/%llu/commands", U(bot.id)), 201);
    ping_version = id_at("version");
    return id_at("id");
}

/* alice's guild with her bot, bob and a role in it. */
static void start(bool limits)
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

static int use(const struct person *who, int type, const char *data)
{
    char json[2048];

    snprintf(
        json, sizeof json,
        "{\"type\":%d,\"application_id\":\"%llu\",\"guild_id\":\"%llu\",\"channel_id\":\"%llu\",\"session_id\":\"s\","
        "\"nonce\":\"77\",\"data\":%s}",
        type, U(bot.id), U(guild), U(general), data);
    return call(who->token, "POST", json, "/interactions");
}

static int use_command(const struct person *who, uint64_t id, const char *more)
{
    char data[1024];

    snprintf(data, sizeof data, "{\"id\":\"%llu\",\"name\":\"any\"%s}", U(id), more);
    return use(who, 2, data);
}

/* The i-th INTERACTION_CREATE that has a token: the bot's. Keeps its id and token. */
static json_t *heard(void)
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
static json_t *in(json_t *v, const char *path)
{
    json_t *kept = body;

    body = v;
    v = node_at(path);
    body = kept;
    return v;
}

static const char *text_in(json_t *v, const char *path)
{
    const char *s = json_string_value(in(v, path));

    return s ? s : "(none)";
}

static int respond(const char *json, const char *query)
{
    return call(NULL, "POST", json, "/interactions/%llu/%s/callback%s", U(interaction), token, query);
}

static void says_pong(void)
{
    events_clear();
    expect_int(use_command(&bob, ping, ""), 204);
    json_t *e = heard();
    char id[32];
    snprintf(id, sizeof id, "%llu", U(bob.id));
    expect_text(str_c(text_in(e, "member.user.id")), id);
    expect_text(str_c(text_in(e, "data.name")), "ping");
    expect_true(json_integer_value(in(e, "type")) == 2 && json_integer_value(in(e, "version")) == 1);
    expect_true(!in(e, "user") && !in(e, "data.options") && !in(e, "data.resolved") &&
                json_is_array(in(e, "entitlements")));
    snprintf(id, sizeof id, "%llu", U(guild));
    expect_text(str_c(text_in(e, "authorizing_integration_owners.0")), id);
    expect_true(in(e, "app_permissions") && in(e, "member.permissions") && in(e, "channel.permissions"));
    expect_text(str_c(text_in(event_at(EVENT_INTERACTION_CREATE, 0), "nonce")), "77"); /* bob's client */
    events_clear();

    expect_int(respond("{\"type\":4,\"data\":{\"content\":\"pong\"}}", "?with_response=true"), 200);
    uint64_t message = id_at("resource.message.id");
    expect_true(id_at("interaction.response_message_id") == message && int_at("resource.type") == 4);
    expect_true(int_at("resource.message.type") == 20 && id_at("resource.message.webhook_id") == bot.id);
    expect_true(id_at("resource.message.interaction_metadata.id") == interaction);
    expect_text(str_c(text_at("resource.message.interaction.name")), "ping");
    expect_text(str_c(text_in(event_at(EVENT_MESSAGE_CREATE, 0), "content")), "pong");
    expect_text(str_c(text_in(event_at(EVENT_INTERACTION_SUCCESS, 0), "nonce")), "77");
    expect_int(respond("{\"type\":4,\"data\":{\"content\":\"pong\"}}", ""), 400);
    expect_int(code(), 40060);
    expect_int(call(bob.token, "GET", NULL, "/channels/%llu/messages/%llu", U(general), U(message)), 200);
    expect_true(id_at("interaction_metadata.user.id") == bob.id && id_at("author.id") == bot.id);
}

static void follows_up(void)
{
    events_clear();
    expect_int(use_command(&bob, ping, ""), 204);
    (void)heard();
    /* nothing to follow yet */
    expect_int(call(NULL, "POST", "{\"content\":\"more\"}", "%s", webhook), 404);
    expect_int(code(), 10015);
    expect_int(respond("{\"type\":5}", ""), 204);
    expect_int(call(NULL, "GET", NULL, "%s/messages/@original", webhook), 200);
    uint64_t original = id_at("id");
    expect_true(int_at("flags") == 128);
    events_clear();
    expect_int(call(NULL, "PATCH", "{\"content\":\"done\"}", "%s/messages/@original", webhook), 200);
    expect_true(id_at("id") == original && int_at("flags") == 0);
    expect_text(str_c(text_in(event_at(EVENT_MESSAGE_UPDATE, 0), "content")), "done");
    expect_int(call(NULL, "POST", "{\"content\":\"more\"}", "%s?wait=true", webhook), 200);
    uint64_t more = id_at("id");
    expect_true(more != original && int_at("type") == 19 && id_at("message_reference.message_id") == original);
    expect_true(id_at("interaction_metadata.original_response_message_id") == original);
    expect_int(call(NULL, "GET", NULL, "%s/messages/%llu", webhook, U(more)), 200);
    expect_int(call(NULL, "PATCH", "{\"content\":\"else\"}", "%s/messages/%llu", webhook, U(more)), 200);
    expect_text(str_c(text_at("content")), "else");
    expect_int(call(NULL, "DELETE", NULL, "%s/messages/%llu", webhook, U(more)), 204);
    expect_true(event_seen(EVENT_MESSAGE_DELETE));
    expect_int(call(NULL, "GET", NULL, "%s/messages/%llu", webhook, U(more)), 404);
    expect_int(call(NULL, "DELETE", NULL, "%s/messages/@original", webhook), 204);
    expect_int(call(NULL, "GET", NULL, "%s/messages/@original", webhook), 404);
    expect_int(code(), 10008);
    /* others' messages are none of its business */
    expect_int(call(bot.token, "POST", "{\"content\":\"x\"}", "/channels/%llu/messages", U(general)), 200);
    expect_int(call(NULL, "DELETE", NULL, "%s/messages/%llu", webhook, U(id_at("id"))), 404);
    /* nor are others' tokens */
    expect_int(call(NULL, "GET", NULL, "/webhooks/%llu/%s/messages/@original", U(alice.id), token), 404);
    char *last = token + strlen(token) - 3;
    *last = *last == 'A' ? 'B' : 'A';
    expect_int(call(NULL, "GET", NULL, "/webhooks/%llu/%s/messages/@original", U(bot.id), token), 401);
    expect_int(code(), 50027);
    expect_int(call(NULL, "GET", NULL, "/webhooks/%llu/nonsense/messages/@original", U(bot.id)), 404);
    expect_int(code(), 10015);
}

/* The first message after a deferred answer is that answer. */
static void fills_in_what_was_deferred(void)
{
    events_clear();
    expect_int(use_command(&bob, ping, ""), 204);
    (void)heard();
    expect_int(respond("{\"type\":5,\"data\":{\"flags\":64}}", "?with_response=1"), 200);
    expect_true(json_is_true(node_at("interaction.response_message_loading")));
    expect_true(json_is_true(node_at("interaction.response_message_ephemeral")));
    uint64_t original = id_at("interaction.response_message_id");
    expect_int(call(NULL, "POST", "{\"content\":\"here\"}", "%s", webhook), 200);
    expect_true(id_at("id") == original && int_at("flags") == 64);
    expect_int(call(NULL, "POST", "{\"content\":\"there\"}", "%s", webhook), 200);
    expect_true(id_at("id") != original && int_at("flags") == 0);
}

static void whispers(void)
{
    events_clear();
    expect_int(use_command(&bob, ping, ""), 204);
    (void)heard();
    events_clear();
    expect_int(
        respond("{\"type\":4,\"data\":{\"content\":\"psst\",\"flags\":64,\"components\":[{\"type\":1,\"components\":["
                "{\"type\":2,\"style\":1,\"label\":\"ok\",\"custom_id\":\"ok\"}]}]}}",
                "?with_response=true"),
        200);
    uint64_t message = id_at("resource.message.id");
    expect_true(message && int_at("resource.message.flags") == 64);
    json_t *told = event_at(EVENT_MESSAGE_CREATE, 0);
    expect_text(str_c(text_in(told, "content")), "psst");
    expect_true(event_at(EVENT_MESSAGE_CREATE, 1) == NULL); /* bob's topic only, not the guild's */
    /* it is in no history, also not for those who know its id */
    expect_int(call(bob.token, "GET", NULL, "/channels/%llu/messages", U(general)), 200);
    for (size_t i = 0; i < json_array_size(body); i++)
        expect_true(strcmp(text_in(json_array_get(body, i), "content"), "psst") != 0);
    expect_int(call(alice.token, "GET", NULL, "/channels/%llu/messages/%llu", U(general), U(message)), 404);
    expect_int(call(NULL, "PATCH", "{\"content\":\"hush\"}", "%s/messages/@original", webhook), 200);
    expect_text(str_c(text_in(event_at(EVENT_MESSAGE_UPDATE, 0), "content")), "hush");
    /* its button works, for bob */
    char json[512];
    snprintf(
        json, sizeof json,
        "{\"type\":3,\"application_id\":\"%llu\",\"guild_id\":\"%llu\",\"channel_id\":\"%llu\",\"message_id\":\"%llu\","
        "\"message_flags\":64,\"nonce\":\"78\",\"data\":{\"component_type\":2,\"custom_id\":\"ok\"}}",
        U(bot.id), U(guild), U(general), U(message));
    expect_int(call(alice.token, "POST", json, "/interactions"), 404);
    events_clear();
    expect_int(call(bob.token, "POST", json, "/interactions"), 204);
    expect_text(str_c(text_in(heard(), "message.content")), "hush");
    expect_int(respond("{\"type\":7,\"data\":{\"content\":\"clicked\",\"components\":[]}}", ""), 204);
    expect_text(str_c(text_in(event_at(EVENT_MESSAGE_UPDATE, 0), "content")), "clicked");
    expect_int(call(NULL, "DELETE", NULL, "%s/messages/@original", webhook), 204);
    expect_int(call(NULL, "GET", NULL, "%s/messages/@original", webhook), 404);
}

static void resolves_options(void)
{
    char more[1024];

    events_clear();
    uint64_t all =
        command_new("{\"name\":\"all\",\"description\":\"d\",\"options\":["
                    "{\"type\":6,\"name\":\"who\",\"description\":\"d\",\"required\":true},"
                    "{\"type\":8,\"name\":\"role\",\"description\":\"d\"},"
                    "{\"type\":7,\"name\":\"where\",\"description\":\"d\",\"channel_types\":[0]},"
                    "{\"type\":9,\"name\":\"any\",\"description\":\"d\"},"
                    "{\"type\":4,\"name\":\"n\",\"description\":\"d\",\"max_value\":5},"
                    "{\"type\":3,\"name\":\"s\",\"description\":\"d\",\"choices\":[{\"name\":\"A\",\"value\":"
                    "\"a\"}]}]}");
#define OPTIONS ",\"options\":[{\"type\":6,\"name\":\"who\",\"value\":\"%llu\"}%s]"
    snprintf(
        more, sizeof more,
        ",\"options\":[{\"type\":6,\"name\":\"who\",\"value\":\"%llu\"},{\"type\":8,\"name\":\"role\",\"value\":"
        "\"%llu\"},{\"type\":7,\"name\":\"where\",\"value\":\"%llu\"},{\"type\":9,\"name\":\"any\",\"value\":\"%llu\"},"
        "{\"type\":4,\"name\":\"n\",\"value\":5},{\"type\":3,\"name\":\"s\",\"value\":\"a\"}]",
        U(bob.id), U(role), U(general), U(role));
    expect_int(use_command(&bob, all, more), 204);
    json_t *data = json_object_get(heard(), "data");
    char path[96];
    snprintf(path, sizeof path, "resolved.users.%llu.username", U(bob.id));
    expect_text(str_c(text_in(data, path)), "bob");
    snprintf(path, sizeof path, "resolved.members.%llu", U(bob.id));
    expect_true(in(in(data, path), "permissions") && !in(in(data, path), "deaf") && !in(in(data, path), "user"));
    snprintf(path, sizeof path, "resolved.roles.%llu.name", U(role));
    expect_text(str_c(text_in(data, path)), "crew");
    snprintf(path, sizeof path, "resolved.channels.%llu.name", U(general));
    expect_text(str_c(text_in(data, path)), "general");
    expect_true(json_array_size(in(data, "options")) == 6 && json_integer_value(in(data, "options.4.value")) == 5);

    expect_int(use_command(&bob, all, ""), 400);
    expect_text(str_c(text_at("errors.data.options._errors.0.code")), "APPLICATION_COMMAND_OPTION_REQUIRED");
    snprintf(more, sizeof more, OPTIONS, U(bob.id), ",{\"type\":4,\"name\":\"n\",\"value\":6}");
    expect_int(use_command(&bob, all, more), 400);
    expect_text(str_c(text_at("errors.data.options.1.value._errors.0.code")), "NUMBER_TYPE_MAX");
    snprintf(more, sizeof more, OPTIONS, U(bob.id), ",{\"type\":3,\"name\":\"s\",\"value\":\"b\"}");
    expect_int(use_command(&bob, all, more), 400);
    snprintf(more, sizeof more, OPTIONS, U(bob.id), ",{\"type\":3,\"name\":\"nobody\",\"value\":\"b\"}");
    expect_int(use_command(&bob, all, more), 400);
    snprintf(more, sizeof more, OPTIONS, 4711ULL, "");
    expect_int(use_command(&bob, all, more), 404);
    expect_int(code(), 10013);
}

static void knows_subcommands_and_menus(void)
{
    char more[256], path[96];

    events_clear();
    uint64_t sub =
        command_new("{\"name\":\"tag\",\"description\":\"d\",\"options\":[{\"type\":2,\"name\":\"admin\","
                    "\"description\":\"d\",\"options\":[{\"type\":1,\"name\":\"set\",\"description\":\"d\","
                    "\"options\":[{\"type\":3,\"name\":\"t\",\"description\":\"d\",\"required\":true}]}]}]}");
    expect_int(use_command(&bob, sub, ""), 400);
    expect_int(use_command(
                   &bob, sub,
                   ",\"options\":[{\"type\":2,\"name\":\"admin\",\"options\":[{\"type\":1,\"name\":\"set\",\"options\":"
                   "[{\"type\":3,\"name\":\"t\",\"value\":\"x\"}]}]}]"),
               204);
    expect_text(str_c(text_in(heard(), "data.options.0.options.0.options.0.value")), "x");
    expect_int(respond("{\"type\":4,\"data\":{\"content\":\"set\"}}", "?with_response=true"), 200);
    expect_text(str_c(text_at("resource.message.interaction.name")), "tag admin set");

    uint64_t on_user = command_new("{\"name\":\"High Five\",\"type\":2}");
    uint64_t on_message = command_new("{\"name\":\"Quote\",\"type\":3}");
    events_clear();
    snprintf(more, sizeof more, ",\"type\":2,\"target_id\":\"%llu\"", U(alice.id));
    expect_int(use_command(&bob, on_user, more), 204);
    snprintf(path, sizeof path, "data.resolved.users.%llu.username", U(alice.id));
    expect_text(str_c(text_in(heard(), path)), "alice");
    expect_int(respond("{\"type\":4,\"data\":{\"content\":\"five\"}}", "?with_response=true"), 200);
    expect_int((int)int_at("resource.message.type"), 23);
    expect_int(call(alice.token, "POST", "{\"content\":\"wise words\"}", "/channels/%llu/messages", U(general)), 200);
    uint64_t message = id_at("id");
    events_clear();
    snprintf(more, sizeof more, ",\"type\":3,\"target_id\":\"%llu\"", U(message));
    expect_int(use_command(&bob, on_message, more), 204);
    snprintf(path, sizeof path, "data.resolved.messages.%llu.content", U(message));
    expect_text(str_c(text_in(heard(), path)), "wise words");
    expect_int(use_command(&bob, on_message, ",\"target_id\":\"4711\""), 404);
    expect_int(code(), 10008);
}

static void suggests(void)
{
    events_clear();
    uint64_t id =
        command_new("{\"name\":\"find\",\"description\":\"d\",\"options\":[{\"type\":3,\"name\":\"q\","
                    "\"description\":\"d\",\"required\":true,\"autocomplete\":true},{\"type\":4,\"name\":\"n\","
                    "\"description\":\"d\",\"autocomplete\":true}]}");
    char data[256];
    snprintf(data, sizeof data,
             "{\"id\":\"%llu\",\"options\":[{\"type\":4,\"name\":\"n\",\"value\":\"4x\",\"focused\":true}]}", U(id));
    expect_int(use(&bob, 4, data), 204);
    json_t *e = heard();
    expect_true(json_integer_value(in(e, "type")) == 4 && json_is_true(in(e, "data.options.0.focused")));
    expect_text(str_c(text_in(e, "data.options.0.value")), "4x");
    expect_int(respond("{\"type\":4,\"data\":{\"content\":\"x\"}}", ""), 400);
    expect_int(respond("{\"type\":8,\"data\":{\"choices\":[{\"name\":\"\",\"value\":4}]}}", ""), 400);
    expect_text(str_c(text_at("errors.data.choices.0.name._errors.0.code")), "BASE_TYPE_REQUIRED");
    expect_int(respond("{\"type\":8,\"data\":{\"choices\":[{\"name\":\"four\",\"value\":4}]}}", ""), 204);
    e = event_at(EVENT_APPLICATION_COMMAND_AUTOCOMPLETE_RESPONSE, 0);
    expect_text(str_c(text_in(e, "choices.0.name")), "four");
    expect_text(str_c(text_in(e, "nonce")), "77");
}

/* A message of the bot's with a button and a select. */
static uint64_t panel_new(void)
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

static int press(const struct person *who, uint64_t message, const char *data)
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

static void uses_components(void)
{
    char data[256], path[96];

    events_clear();
    uint64_t panel = panel_new();
    expect_int(press(&bob, panel, "{\"component_type\":2,\"custom_id\":\"go\"}"), 204);
    json_t *e = heard();
    expect_true(json_integer_value(in(e, "type")) == 3 && json_integer_value(in(e, "data.component_type")) == 2);
    expect_text(str_c(text_in(e, "message.content")), "panel");
    expect_int(respond("{\"type\":6}", ""), 204);
    expect_int(call(NULL, "PATCH", "{\"content\":\"changed\"}", "%s/messages/@original", webhook), 200);
    expect_true(id_at("id") == panel && json_array_size(node_at("components")) == 2);
    expect_int(call(NULL, "POST", "{\"content\":\"more\",\"flags\":64}", "%s", webhook), 200);
    expect_true(int_at("flags") == 64 && id_at("interaction_metadata.interacted_message_id") == panel);

    snprintf(data, sizeof data, "{\"component_type\":5,\"custom_id\":\"who\",\"values\":[\"%llu\"]}", U(alice.id));
    expect_int(press(&bob, panel, data), 204);
    e = heard();
    snprintf(path, sizeof path, "data.resolved.users.%llu.username", U(alice.id));
    expect_text(str_c(text_in(e, path)), "alice");
    expect_int(respond("{\"type\":4,\"data\":{\"content\":\"picked\"}}", "?with_response=true"), 200);
    expect_true(int_at("resource.message.type") == 19 &&
                id_at("resource.message.message_reference.message_id") == panel);

    expect_int(press(&bob, panel, "{\"component_type\":2,\"custom_id\":\"off\"}"), 400);
    expect_int(press(&bob, panel, "{\"component_type\":2,\"custom_id\":\"none\"}"), 400);
    expect_text(str_c(text_at("errors.data._errors.0.code")), "COMPONENT_VALIDATION_FAILED");
    expect_int(press(&bob, panel, "{\"component_type\":5,\"custom_id\":\"who\",\"values\":[]}"), 400);
    expect_int(press(&bob, 4711, "{\"component_type\":2,\"custom_id\":\"go\"}"), 404);
    expect_int(press(&carol, panel, "{\"component_type\":2,\"custom_id\":\"go\"}"), 403);
    /* a command is no component */
    events_clear();
    expect_int(use_command(&bob, ping, ""), 204);
    (void)heard();
    expect_int(respond("{\"type\":7,\"data\":{\"content\":\"x\"}}", ""), 400);
    expect_text(str_c(text_at("errors.type._errors.0.code")), "BASE_TYPE_CHOICES");
}

#define MODAL                                                                                                          \
    "{\"type\":9,\"data\":{\"custom_id\":\"form\",\"title\":\"A form\",\"components\":[{\"type\":1,\"components\":["   \
    "{\"type\":4,\"custom_id\":\"name\",\"style\":1,\"label\":\"Name\",\"min_length\":2}]},"                           \
    "{\"type\":18,\"label\":\"Which\",\"component\":{\"type\":3,\"custom_id\":\"pick\",\"options\":["                  \
    "{\"label\":\"A\",\"value\":\"a\"},{\"label\":\"B\",\"value\":\"b\"}]}}]}}"

static int submit(const char *name, const char *pick)
{
    char data[512];

    snprintf(
        data, sizeof data,
        "{\"id\":\"%llu\",\"custom_id\":\"form\",\"components\":[{\"type\":1,\"components\":[{\"type\":4,\"custom_id\":"
        "\"name\",\"value\":\"%s\"}]},{\"type\":18,\"component\":{\"type\":3,\"custom_id\":\"pick\",\"values\":[\"%s\"]"
        "}}]}",
        U(interaction), name, pick);
    return use(&bob, 5, data);
}

static void asks_in_a_modal(void)
{
    events_clear();
    uint64_t panel = panel_new();
    expect_int(press(&bob, panel, "{\"component_type\":2,\"custom_id\":\"go\"}"), 204);
    (void)heard();
    uint64_t opener = interaction;
    expect_int(respond("{\"type\":9,\"data\":{\"custom_id\":\"form\",\"components\":[]}}", ""), 400);
    expect_text(str_c(text_at("errors.data.title._errors.0.code")), "BASE_TYPE_REQUIRED");
    expect_text(str_c(text_at("errors.data.components._errors.0.code")), "BASE_TYPE_BAD_LENGTH");
    expect_int(respond(MODAL, ""), 204);
    json_t *e = event_at(EVENT_INTERACTION_MODAL_CREATE, 0);
    expect_text(str_c(text_in(e, "title")), "A form");
    expect_text(str_c(text_in(e, "application.name")), "pingbot");
    events_clear();
    expect_int(submit("x", "a"), 400);
    expect_text(str_c(text_at("errors.data.components.value._errors.0.code")), "BASE_TYPE_BAD_LENGTH");
    expect_int(submit("Bob", "c"), 400);
    expect_int(submit("Bob", "b"), 204);
    e = heard();
    expect_true(json_integer_value(in(e, "type")) == 5 && interaction != opener);
    expect_text(str_c(text_in(e, "data.components.0.components.0.value")), "Bob");
    expect_text(str_c(text_in(e, "data.components.1.component.values.0")), "b");
    expect_text(str_c(text_in(e, "message.content")), "panel");
    expect_int(respond(MODAL, ""), 400);
    expect_int(respond("{\"type\":7,\"data\":{\"content\":\"thanks\"}}", "?with_response=true"), 200);
    expect_true(id_at("resource.message.id") == panel);
    interaction = opener;
    expect_int(submit("Bob", "b"), 404); /* once */
    expect_int(code(), 10062);
}

static void minds_permissions(void)
{
    char json[256];

    events_clear();
    uint64_t mods = command_new("{\"name\":\"mods\",\"description\":\"d\",\"default_member_permissions\":\"8192\"}");
    expect_int(use_command(&bob, mods, ""), 403);
    expect_int(code(), 50013);
    expect_int(use_command(&alice, mods, ""), 204);
    /* people there decide otherwise */
#define PATH "/applications/%llu/guilds/%llu/commands/%llu/permissions"
    snprintf(json, sizeof json, "{\"permissions\":[{\"id\":\"%llu\",\"type\":2,\"permission\":true}]}", U(bob.id));
    expect_int(call(alice.token, "PUT", json, PATH, U(bot.id), U(guild), U(mods)), 200);
    expect_int(use_command(&bob, mods, ""), 204);
    snprintf(json, sizeof json, "{\"permissions\":[{\"id\":\"%llu\",\"type\":3,\"permission\":false}]}", U(general));
    expect_int(call(alice.token, "PUT", json, PATH, U(bot.id), U(guild), U(ping)), 200);
    expect_int(use_command(&bob, ping, ""), 403);
    expect_int(use_command(&alice, ping, ""), 204);
    /* strangers, unknown commands, old versions, bots */
    expect_int(use_command(&carol, mods, ""), 403);
    expect_int(use_command(&alice, 4711, ""), 404);
    expect_int(code(), 10063);
    expect_int(use_command(&alice, mods, ",\"version\":\"4711\""), 400);
    expect_text(str_c(text_at("errors.data._errors.0.code")), "INTERACTION_APPLICATION_COMMAND_INVALID_VERSION");
    expect_int(use_command(&bot, mods, ""), 403);
    expect_int(code(), 20001);
    uint64_t adult = command_new("{\"name\":\"adult\",\"description\":\"d\",\"nsfw\":true}");
    expect_int(use_command(&alice, adult, ""), 403);
}

static void speaks_in_private(void)
{
    char json[512];

    events_clear();
    snprintf(json, sizeof json, "{\"recipient_id\":\"%llu\"}", U(bot.id));
    expect_int(call(bob.token, "POST", json, "/users/@me/channels"), 200);
    uint64_t dm = id_at("id");
    watch(bot.id);
    snprintf(
        json, sizeof json,
        "{\"type\":2,\"application_id\":\"%llu\",\"channel_id\":\"%llu\",\"nonce\":\"1\",\"data\":{\"id\":\"%llu\"}}",
        U(bot.id), U(dm), U(ping));
    events_clear();
    expect_int(call(bob.token, "POST", json, "/interactions"), 204);
    json_t *e = heard();
    expect_text(str_c(text_in(e, "user.username")), "bob");
    expect_true(!in(e, "member") && !in(e, "guild_id") && json_integer_value(in(e, "context")) == 1);
    expect_int(respond("{\"type\":4,\"data\":{\"content\":\"pong\"}}", ""), 204);
    expect_int(call(bob.token, "GET", NULL, "/channels/%llu/messages", U(dm)), 200);
    expect_text(str_c(text_at("0.content")), "pong");
    expect_int(call(bot.token, "PATCH", "{\"contexts\":[0]}", "/applications/%llu/commands/%llu", U(bot.id), U(ping)),
               200);
    expect_int(call(bob.token, "POST", json, "/interactions"), 404);
}

static void takes_files(void)
{
    char json[512];
    struct buf b = {0};

    events_clear();
    uint64_t id = command_new("{\"name\":\"scan\",\"description\":\"d\",\"options\":[{\"type\":11,\"name\":\"f\","
                              "\"description\":\"d\"}]}");
    snprintf(json, sizeof json,
             "{\"type\":2,\"application_id\":\"%llu\",\"guild_id\":\"%llu\",\"channel_id\":\"%llu\",\"data\":{\"id\":"
             "\"%llu\","
             "\"options\":[{\"type\":11,\"name\":\"f\",\"value\":\"0\"}],\"attachments\":[{\"id\":\"0\",\"filename\":"
             "\"a.txt\"}]}}",
             U(bot.id), U(guild), U(general), U(id));
    buf_addf(&b,
             "--b\r\nContent-Disposition: form-data; name=\"payload_json\"\r\n\r\n%s\r\n--b\r\nContent-Disposition: "
             "form-data; name=\"files[0]\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b--\r\n",
             json);
    expect_int(call_raw(bob.token, "POST", "multipart/form-data; boundary=b", buf_str(&b), "/interactions"), 204);
    buf_done(&b);
    json_t *e = heard();
    const char *attachment = text_in(e, "data.options.0.value");
    char path[96];
    snprintf(path, sizeof path, "data.resolved.attachments.%s.size", attachment);
    expect_int(json_integer_value(in(e, path)), 5);
    snprintf(path, sizeof path, "data.resolved.attachments.%s.url", attachment);
    expect_true(strstr(text_in(e, path), "/attachments/") != NULL);
}

/* Nobody answers: the person hears it, and an answer is too late. */
static void fails_in_time(void)
{
    first_answer_ms = 100;
    start(false);
    first_answer_ms = 300000;
    expect_int(use_command(&bob, ping, ""), 204);
    (void)heard();
    for (int i = 0; i < 6000 && !event_at(EVENT_INTERACTION_FAILURE, 0); i++)
        co_sleep(10);
    expect_text(str_c(text_in(event_at(EVENT_INTERACTION_FAILURE, 0), "nonce")), "77");
    expect_int(respond("{\"type\":4,\"data\":{\"content\":\"late\"}}", ""), 404);
    expect_int(code(), 10062);
    expect_int(call(NULL, "POST", "{\"content\":\"late\"}", "%s", webhook), 404);
    api_stop();
}

/* Answers have buckets of their own and are not counted against the global limit; guessing is. */
static void limits_by_token(void)
{
    int refused = 0;

    start(true);
    expect_int(use_command(&bob, ping, ""), 204);
    (void)heard();
    expect_int(respond("{\"type\":4,\"data\":{\"content\":\"pong\"}}", ""), 204);
    for (int i = 0; i < 120 && !refused; i++)
        refused = call(NULL, "GET", NULL, "/webhooks/%llu/nonsense%d/messages/@original", U(bot.id), i) == 429;
    expect_true(refused);
    expect_int(call(NULL, "GET", NULL, "%s/messages/@original", webhook), 200);
    api_stop();
}

/* --- an application that is called
 * ------------------------------------------------------------------------------------
 */
static struct {
    unsigned char key[32];
    const char *answer; /* to a command; NULL: 202 and nothing */
    int status, seen;
    bool blind; /* believes any signature */
    char body[8192];
} endpoint;

static bool signature_good(struct http_request *req)
{
    unsigned char sig[64];
    struct str hex = http_request_header(req, "X-Signature-Ed25519");
    struct str stamp = http_request_header(req, "X-Signature-Timestamp");
    struct str text = arena_printf(&req->arena, "%.*s%.*s", STR_ARG(stamp), STR_ARG(req->body));

    return hex.n == 128 && sodium_hex2bin(sig, sizeof sig, hex.p, hex.n, NULL, NULL, NULL) == 0 &&
           crypto_sign_verify_detached(sig, (const unsigned char *)text.p, text.n, endpoint.key) == 0;
}

static void on_call(struct http_request *req, struct http_response *res, void *arg)
{
    (void)arg;
    if (!endpoint.blind && !signature_good(req)) {
        res->status = 401;
        return;
    }
    json_t *o = json_loadb(req->body.p, req->body.n, 0, NULL);
    bool is_ping = json_integer_value(json_object_get(o, "type")) == 1;
    json_decref(o);
    res->status = is_ping ? 200 : endpoint.status;
    if (is_ping || endpoint.answer)
        buf_adds(&res->body, is_ping ? "{\"type\":1}" : endpoint.answer);
    if (!is_ping) {
        snprintf(endpoint.body, sizeof endpoint.body, "%.*s", STR_ARG(req->body));
        endpoint.seen++;
    }
}

static void on_stopped(void *arg)
{
    *(bool *)arg = true;
}

static int endpoint_set(int port)
{
    char json[128];

    snprintf(json, sizeof json, "{\"interactions_endpoint_url\":\"http://127.0.0.1:%d/\"}", port);
    return call(bot.token, "PATCH", json, "/applications/@me");
}

/* The endpoint has been called once more. */
static json_t *called(int before)
{
    for (int i = 0; i < 6000 && endpoint.seen == before; i++)
        co_sleep(10);
    expect_int(endpoint.seen, before + 1);
    return json_loads(endpoint.body, 0, NULL);
}

static void calls_an_endpoint(void)
{
    struct http_listener_options o = {.listen = "127.0.0.1:0", .handler = on_call};
    struct http_listener *listener = NULL;
    struct buf err = BUF_INIT(256);
    bool stopped = false;

    events_clear();
    memset(&endpoint, 0, sizeof endpoint);
    expect_int(http_listener_start(&o, &listener, &err), 0);
    expect_int(call(bot.token, "GET", NULL, "/applications/@me"), 200);
    const char *hex = text_at("verify_key");
    expect_int(sodium_hex2bin(endpoint.key, 32, hex, strlen(hex), NULL, NULL, NULL), 0);
    /* one that looks at no signature is not taken, nor one that is not there */
    endpoint.blind = true;
    expect_int(endpoint_set(http_listener_port(listener)), 400);
    expect_text(str_c(text_at("errors.interactions_endpoint_url._errors.0.code")),
                "APPLICATION_INTERACTIONS_ENDPOINT_URL_INVALID");
    endpoint.blind = false;
    expect_int(endpoint_set(1), 400);
    expect_int(endpoint_set(http_listener_port(listener)), 200);

    endpoint.status = 200;
    endpoint.answer = "{\"type\":4,\"data\":{\"content\":\"from afar\"}}";
    events_clear();
    expect_int(use_command(&bob, ping, ""), 204);
    json_t *e = called(0);
    expect_text(str_c(text_in(e, "data.name")), "ping");
    json_decref(e);
    for (int i = 0; i < 6000 && !event_at(EVENT_MESSAGE_CREATE, 0); i++)
        co_sleep(10);
    expect_text(str_c(text_in(event_at(EVENT_MESSAGE_CREATE, 0), "content")), "from afar");
    expect_true(!event_at(EVENT_INTERACTION_CREATE, 1)); /* bob's client; not the gateway's bot */
    /* 202: it answers over HTTP; anything else: it failed */
    endpoint.status = 202;
    endpoint.answer = NULL;
    expect_int(use_command(&bob, ping, ""), 204);
    e = called(1);
    snprintf(token, sizeof token, "%s", text_in(e, "token"));
    (void)snowflake_parse(str_c(text_in(e, "id")), &interaction);
    json_decref(e);
    expect_int(respond("{\"type\":4,\"data\":{\"content\":\"pong\"}}", ""), 204);
    endpoint.status = 500;
    events_clear();
    expect_int(use_command(&bob, ping, ""), 204);
    for (int i = 0; i < 6000 && !event_at(EVENT_INTERACTION_FAILURE, 0); i++)
        co_sleep(10);
    expect_true(event_seen(EVENT_INTERACTION_FAILURE));
    expect_int(call(bot.token, "PATCH", "{\"interactions_endpoint_url\":null}", "/applications/@me"), 200);
    expect_true(json_is_null(node_at("interactions_endpoint_url")));
    http_listener_stop(listener, 1000, on_stopped, &stopped);
    while (!stopped)
        co_sleep(1);
    buf_done(&err);
}

/* Those that share a server leave it as they found it, or come last. */
static void answers(void)
{
    start(false);
    says_pong();
    follows_up();
    fills_in_what_was_deferred();
    whispers();
    speaks_in_private();
    api_stop();
}

static void commands(void)
{
    start(false);
    resolves_options();
    knows_subcommands_and_menus();
    suggests();
    takes_files();
    minds_permissions();
    api_stop();
}

static void components(void)
{
    start(false);
    uses_components();
    asks_in_a_modal();
    calls_an_endpoint();
    api_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CO_TEST(answers), CO_TEST(commands), CO_TEST(components), CO_TEST(fails_in_time), CO_TEST(limits_by_token),
    };
    return cmocka_run_group_tests_name("api_interactions", tests, NULL, NULL);
}
