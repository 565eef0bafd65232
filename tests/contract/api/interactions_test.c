/* Interactions over HTTP: a person uses a command, its bot hears of it and answers in every way there is; what the
 * person hears; who may not. */
#include "tests/contract/api/interactions_fixture.h"

#include <stdio.h>

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
    /* the bot's is one of the guild's events, which a RESUME brings back */
    expect_true(event_number(EVENT_INTERACTION_CREATE, 0) || event_number(EVENT_INTERACTION_CREATE, 1));
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
    expect_text(str_c(text_at("resource.message.interaction_metadata.target_user.username")), "alice");
    expect_int(call(alice.token, "POST", "{\"content\":\"wise words\"}", "/channels/%llu/messages", U(general)), 200);
    uint64_t message = id_at("id");
    events_clear();
    snprintf(more, sizeof more, ",\"type\":3,\"target_id\":\"%llu\"", U(message));
    expect_int(use_command(&bob, on_message, more), 204);
    snprintf(path, sizeof path, "data.resolved.messages.%llu.content", U(message));
    expect_text(str_c(text_in(heard(), path)), "wise words");
    expect_int(respond("{\"type\":4,\"data\":{\"content\":\"so wise\"}}", "?with_response=true"), 200);
    expect_true(id_at("resource.message.message_reference.message_id") == message);
    expect_text(str_c(text_at("resource.message.referenced_message.content")), "wise words");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        CO_TEST(answers),  CO_TEST(commands),      CO_TEST(components),      CO_TEST(endpoints),
        CO_TEST(installs), CO_TEST(fails_in_time), CO_TEST(limits_by_token),
    };
    return cmocka_run_group_tests_name("api_interactions", tests, NULL, NULL);
}
