/* Messages: what may be sent, what comes back and as which event, history, edits, reactions, pins, attachments, nonces.
 */
#include "tests/contract/api/fixture.h"

#include "platform/base/limits.h"
#include "platform/base/mem.h"

#include <stdio.h>

#define U(v) (unsigned long long)(v)

static struct person alice, bob;
static uint64_t guild, channel;

static void begin(void)
{
    api_start(false);
    alice = person_new("alice");
    bob = person_new("bob");
    guild = guild_new(&alice, "Demo");
    guild_enter(guild, &alice, &bob);
    channel = guild_channel(guild, "general");
    watch(guild);
}

static uint64_t say(const struct person *who, const char *json)
{
    expect_int(call(who->token, "POST", json, "/channels/%llu/messages", U(channel)), 200);
    return id_at("id");
}

static int say_long(unsigned chars)
{
    BUF_AUTO struct buf json = {0};
    buf_adds(&json, "{\"content\":\"");
    for (unsigned i = 0; i < chars; i++)
        buf_addc(&json, 'x');
    buf_adds(&json, "\"}");
    return call(alice.token, "POST", json.data, "/channels/%llu/messages", U(channel));
}

static void a_message_is_answered_told_and_kept(void)
{
    begin();
    uint64_t id = say(&alice, "{\"content\":\"hello\",\"nonce\":123,\"unknown\":[1]}");
    expect_text(str_c(text_at("author.username")), "alice");
    expect_int(int_at("nonce"), 123);
    expect_true(node_at("member") == NULL && node_at("guild_id") == NULL);
    expect_true(json_is_array(node_at("embeds")) && json_is_array(node_at("attachments")));
    expect_true(json_is_null(node_at("edited_timestamp")));
    json_t *e = event_at(EVENT_MESSAGE_CREATE, 0);
    expect_true(json_object_get(e, "guild_id") && json_object_get(e, "member") && json_object_get(e, "nonce"));
    expect_true(json_object_get(json_object_get(e, "member"), "user") == NULL);
    expect_int(call(bob.token, "GET", NULL, "/channels/%llu/messages/%llu", U(channel), U(id)), 200);
    expect_text(str_c(text_at("content")), "hello");
    expect_true(node_at("nonce") == NULL);
    expect_int(call(bob.token, "GET", NULL, "/channels/%llu", U(channel)), 200);
    expect_true(id_at("last_message_id") == id);
    api_stop();
}

static void what_cannot_be_sent(void)
{
    static const struct {
        const char *json;
        int status, code;
        const char *at, *error;
    } bad[] = {
        {"{}", 400, 50006, NULL, NULL},
        {"{\"content\":\" \\n \"}", 400, 50006, NULL, NULL},
        {"{\"content\":5}", 400, 50035, "errors.content._errors.0.code", NULL},
        {"{\"content\":\"x\",\"embeds\":[{\"title\":7}]}", 400, 50035, "errors.embeds.0.title._errors.0.code",
         "STRING_TYPE_CONVERT"},
        {"{\"embeds\":[{\"fields\":[{\"name\":\"a\"}]}]}", 400, 50035, "errors.embeds.0.fields.0.value._errors.0.code",
         "BASE_TYPE_REQUIRED"},
        {"{\"embeds\":[{\"title\":\"x\",\"url\":\"javascript:1\"}]}", 400, 50035, "errors.embeds.0.url._errors.0.code",
         NULL},
        {"{\"embeds\":[{\"title\":\"x\",\"color\":16777216}]}", 400, 50035, "errors.embeds.0.color._errors.0.code",
         NULL},
        {"{\"content\":\"x\",\"message_reference\":{\"message_id\":\"77\"}}", 400, 50035,
         "errors.message_reference._errors.0.code", "REPLIES_UNKNOWN_MESSAGE"},
        {"{\"content\":\"x\",\"allowed_mentions\":{\"parse\":[\"users\"],\"users\":[\"5\"]}}", 400, 50035,
         "errors.allowed_mentions._errors.0.code", "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE"},
        {"{\"content\":\"x\",\"allowed_mentions\":{\"users\":\"5\"}}", 400, 50035,
         "errors.allowed_mentions.users._errors.0.code", "LIST_TYPE_CONVERT"},
        {"{\"embeds\":[{}]}", 400, 50035, "errors.embeds.0.description._errors.0.code", "BASE_TYPE_REQUIRED"},
        {"{\"embeds\":[{\"footer\":{\"text\":7}}]}", 400, 50035, "errors.embeds.0.footer.text._errors.0.code",
         "STRING_TYPE_CONVERT"},
        {"{\"content\":", 400, 50109, NULL, NULL},
        {"[1]", 400, -2, NULL, NULL},
    };
    begin();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        expect_int(call(alice.token, "POST", bad[i].json, "/channels/%llu/messages", U(channel)), bad[i].status);
        if (bad[i].code > -2)
            expect_int(code(), bad[i].code);
        if (bad[i].at)
            expect_true(text_at(bad[i].at) != NULL);
        if (bad[i].error && text_at(bad[i].at))
            expect_text(str_c(text_at(bad[i].at)), bad[i].error);
    }
    expect_int(say_long(LIMIT_MESSAGE_CHARS + 1), 400);
    expect_text(str_c(text_at("errors.content._errors.0.code")), "BASE_TYPE_MAX_LENGTH");
    expect_int(say_long(LIMIT_MESSAGE_CHARS), 200);
    expect_int(call(alice.token, "POST", "{\"content\":\"x\"}", "/channels/77/messages"), 404);
    expect_int(code(), 10003);
    expect_int((int)events_count(), 1);
    api_stop();
}

static void embeds_come_back_in_their_documented_form(void)
{
    begin();
    say(&alice,
        "{\"embeds\":[{\"title\":\"T\",\"description\":\"D\",\"color\":255,\"timestamp\":\"2024-01-02T03:04:05Z\","
        "\"footer\":{\"text\":\"F\",\"proxy_icon_url\":\"x\"},\"author\":{\"name\":\"A\"},"
        "\"fields\":[{\"name\":\"n\",\"value\":\"v\"}],\"nonsense\":1}]}");
    expect_text(str_c(text_at("embeds.0.type")), "rich");
    expect_text(str_c(text_at("embeds.0.timestamp")), "2024-01-02T03:04:05.000000+00:00");
    expect_true(json_is_false(node_at("embeds.0.fields.0.inline")));
    expect_true(node_at("embeds.0.nonsense") == NULL);
    api_stop();
}

static void mentions_are_worked_out(void)
{
    char json[300];
    begin();
    uint64_t role = role_new(&alice, guild, "{\"name\":\"team\",\"mentionable\":true}");
    expect_int(call(alice.token, "PATCH", "{\"permissions\":\"68608\"}", "/guilds/%llu/roles/%llu", U(guild), U(guild)),
               200);
    uint64_t quiet = role_new(&alice, guild, "{\"name\":\"quiet\"}");
    snprintf(json, sizeof json, "{\"content\":\"<@%llu> <@!%llu> <@&%llu> <@&%llu> @everyone <@1>\"}", U(bob.id),
             U(bob.id), U(role), U(quiet));
    say(&bob, json);
    expect_int((int)json_array_size(node_at("mentions")), 1);
    expect_true(id_at("mentions.0.id") == bob.id);
    expect_int((int)json_array_size(node_at("mention_roles")), 1);
    expect_true(json_is_false(node_at("mention_everyone"))); /* @everyone may not be mentioned by everyone... */
    say(&alice, json);
    expect_int((int)json_array_size(node_at("mention_roles")), 2);
    expect_true(json_is_true(node_at("mention_everyone"))); /* ...but by the owner */
    snprintf(json, sizeof json, "{\"content\":\"<@%llu> @everyone\",\"allowed_mentions\":{\"parse\":[]}}", U(bob.id));
    say(&alice, json);
    expect_int((int)json_array_size(node_at("mentions")), 0);
    expect_true(json_is_false(node_at("mention_everyone")));
    api_stop();
}

static void replies(void)
{
    char json[200];
    begin();
    uint64_t first = say(&bob, "{\"content\":\"question\"}");
    snprintf(json, sizeof json, "{\"content\":\"answer\",\"message_reference\":{\"message_id\":%llu}}", U(first));
    uint64_t reply = say(&alice, json);
    expect_int(int_at("type"), 19);
    expect_text(str_c(text_at("referenced_message.content")), "question");
    expect_true(id_at("message_reference.message_id") == first && id_at("mentions.0.id") == bob.id);
    snprintf(json, sizeof json,
             "{\"content\":\"quietly\",\"message_reference\":{\"message_id\":\"%llu\"},"
             "\"allowed_mentions\":{\"replied_user\":false}}",
             U(first));
    say(&alice, json);
    expect_int((int)json_array_size(node_at("mentions")), 0);
    expect_int(call(bob.token, "DELETE", NULL, "/channels/%llu/messages/%llu", U(channel), U(first)), 204);
    expect_int(call(alice.token, "GET", NULL, "/channels/%llu/messages/%llu", U(channel), U(reply)), 200);
    expect_true(json_is_null(node_at("referenced_message")));
    say(&alice, "{\"content\":\"x\",\"message_reference\":{\"message_id\":\"77\",\"fail_if_not_exists\":false}}");
    expect_int(int_at("type"), 0);
    api_stop();
}

static void history(void)
{
    uint64_t ids[12];
    char json[64];
    begin();
    for (int i = 0; i < 12; i++) {
        snprintf(json, sizeof json, "{\"content\":\"m%d\"}", i);
        ids[i] = say(&alice, json);
    }
    expect_int(call(bob.token, "GET", NULL, "/channels/%llu/messages?limit=5", U(channel)), 200);
    expect_int((int)json_array_size(body), 5);
    expect_true(id_at("0.id") == ids[11] && id_at("4.id") == ids[7]);
    expect_int(call(bob.token, "GET", NULL, "/channels/%llu/messages?before=%llu&limit=2", U(channel), U(ids[5])), 200);
    expect_true(id_at("0.id") == ids[4] && id_at("1.id") == ids[3]);
    expect_int(call(bob.token, "GET", NULL, "/channels/%llu/messages?after=%llu&limit=2", U(channel), U(ids[5])), 200);
    expect_true(id_at("0.id") == ids[7] && id_at("1.id") == ids[6]);
    expect_int(call(bob.token, "GET", NULL, "/channels/%llu/messages?around=%llu&limit=3", U(channel), U(ids[5])), 200);
    expect_true(json_array_size(body) == 3 && id_at("0.id") == ids[6] && id_at("2.id") == ids[4]);
    expect_int(call(bob.token, "GET", NULL, "/channels/%llu/messages?after=0&limit=2", U(channel)), 200);
    expect_true(json_array_size(body) == 2 && id_at("0.id") == ids[1] && id_at("1.id") == ids[0]);
    expect_int(call(bob.token, "GET", NULL, "/channels/%llu/messages?limit=101", U(channel)), 400);
    expect_int(call(bob.token, "GET", NULL, "/channels/%llu/messages?before=x", U(channel)), 400);
    api_stop();
}

static void edits(void)
{
    begin();
    uint64_t id = say(&bob, "{\"content\":\"before\",\"embeds\":[{\"title\":\"kept\"}]}");
    expect_int(call(bob.token, "PATCH", "{\"content\":\"after\"}", "/channels/%llu/messages/%llu", U(channel), U(id)),
               200);
    expect_text(str_c(text_at("content")), "after");
    expect_text(str_c(text_at("embeds.0.title")), "kept");
    expect_true(json_is_string(node_at("edited_timestamp")));
    json_t *e = event_at(EVENT_MESSAGE_UPDATE, 0);
    expect_true(json_object_get(e, "author") && json_object_get(e, "guild_id") && json_object_get(e, "member"));
    expect_int(call(alice.token, "PATCH", "{\"content\":\"x\"}", "/channels/%llu/messages/%llu", U(channel), U(id)),
               403);
    expect_int(code(), 50005);
    expect_int(call(alice.token, "PATCH", "{\"flags\":4}", "/channels/%llu/messages/%llu", U(channel), U(id)), 200);
    expect_int((int)json_array_size(node_at("embeds")), 0);
    expect_int(
        call(bob.token, "PATCH", "{\"content\":\"\",\"embeds\":[]}", "/channels/%llu/messages/%llu", U(channel), U(id)),
        400);
    expect_int(code(), 50006);
    expect_int(call(bob.token, "PATCH", "{\"content\":\"x\"}", "/channels/%llu/messages/77", U(channel)), 404);
    expect_int(code(), 10008);
    api_stop();
}

static void deletes(void)
{
    char json[200];
    begin();
    uint64_t own = say(&bob, "{\"content\":\"1\"}"), other = say(&alice, "{\"content\":\"2\"}");
    expect_int(call(bob.token, "DELETE", NULL, "/channels/%llu/messages/%llu", U(channel), U(other)), 403);
    expect_int(code(), 50013);
    expect_int(call(alice.token, "DELETE", NULL, "/channels/%llu/messages/%llu", U(channel), U(own)), 204);
    expect_true(event_seen(EVENT_MESSAGE_DELETE));
    expect_int(call(alice.token, "DELETE", NULL, "/channels/%llu/messages/%llu", U(channel), U(own)), 404);
    uint64_t third = say(&bob, "{\"content\":\"3\"}");
    snprintf(json, sizeof json, "{\"messages\":[\"%llu\",\"%llu\",\"%llu\"]}", U(other), U(third), U(own));
    expect_int(call(bob.token, "POST", json, "/channels/%llu/messages/bulk-delete", U(channel)), 403);
    expect_int(call(alice.token, "POST", json, "/channels/%llu/messages/bulk-delete", U(channel)), 204);
    expect_int((int)json_array_size(json_object_get(event_at(EVENT_MESSAGE_DELETE_BULK, 0), "ids")), 2);
    expect_int(call(alice.token, "POST", "{\"messages\":[\"1\"]}", "/channels/%llu/messages/bulk-delete", U(channel)),
               400);
    expect_int(code(), 50016);
    expect_int(
        call(alice.token, "POST", "{\"messages\":[\"1\",\"2\"]}", "/channels/%llu/messages/bulk-delete", U(channel)),
        400);
    expect_int(code(), 50034);
    uint64_t last = say(&bob, "{\"content\":\"4\"}");
    snprintf(json, sizeof json, "{\"messages\":[\"%llu\",\"%llu\"]}", U(last), U(last));
    expect_int(call(alice.token, "POST", json, "/channels/%llu/messages/bulk-delete", U(channel)), 400);
    expect_int(code(), 50035);
    api_stop();
}

#define THUMB "%F0%9F%91%8D"

static void reactions(void)
{
    begin();
    uint64_t id = say(&alice, "{\"content\":\"x\"}");
    expect_int(call(bob.token, "PUT", NULL, "/channels/%llu/messages/%llu/reactions/%s/@me", U(channel), U(id), THUMB),
               204);
    json_t *e = event_at(EVENT_MESSAGE_REACTION_ADD, 0);
    expect_true(json_object_get(e, "member") && json_object_get(e, "message_author_id"));
    expect_int((int)json_integer_value(json_object_get(e, "type")), 0);
    events_clear();
    expect_int(call(bob.token, "PUT", NULL, "/channels/%llu/messages/%llu/reactions/%s/@me", U(channel), U(id), THUMB),
               204);
    expect_int((int)events_count(), 0); /* it is there already */
    expect_int(
        call(alice.token, "PUT", NULL, "/channels/%llu/messages/%llu/reactions/%s/@me", U(channel), U(id), THUMB), 204);
    expect_int(call(alice.token, "GET", NULL, "/channels/%llu/messages/%llu", U(channel), U(id)), 200);
    expect_int(int_at("reactions.0.count"), 2);
    expect_true(json_is_true(node_at("reactions.0.me")));
    expect_int(call(alice.token, "GET", NULL, "/channels/%llu/messages/%llu/reactions/%s", U(channel), U(id), THUMB),
               200);
    expect_int((int)json_array_size(body), 2);
    expect_int(call(bob.token, "PUT", NULL, "/channels/%llu/messages/%llu/reactions/abc/@me", U(channel), U(id)), 404);
    expect_int(call(bob.token, "PUT", NULL, "/channels/%llu/messages/%llu/reactions/%s%s/@me", U(channel), U(id), THUMB,
                    THUMB),
               404);
    expect_int(code(), 10014);
    expect_int(code(), 10014);
    expect_int(call(bob.token, "DELETE", NULL, "/channels/%llu/messages/%llu/reactions/%s/%llu", U(channel), U(id),
                    THUMB, U(alice.id)),
               403);
    expect_int(
        call(bob.token, "DELETE", NULL, "/channels/%llu/messages/%llu/reactions/%s/@me", U(channel), U(id), THUMB),
        204);
    expect_true(event_seen(EVENT_MESSAGE_REACTION_REMOVE));
    expect_int(call(alice.token, "DELETE", NULL, "/channels/%llu/messages/%llu/reactions", U(channel), U(id)), 204);
    expect_true(event_seen(EVENT_MESSAGE_REACTION_REMOVE_ALL));
    expect_int(call(alice.token, "GET", NULL, "/channels/%llu/messages/%llu", U(channel), U(id)), 200);
    expect_true(node_at("reactions") == NULL);
    api_stop();
}

static void pins(void)
{
    begin();
    uint64_t id = say(&alice, "{\"content\":\"x\",\"tts\":true}");
    expect_true(json_is_true(json_object_get(event_at(EVENT_MESSAGE_CREATE, 0), "tts")));
    expect_int(call(bob.token, "PUT", NULL, "/channels/%llu/pins/%llu", U(channel), U(id)), 403);
    expect_int(call(alice.token, "PUT", NULL, "/channels/%llu/pins/%llu", U(channel), U(id)), 204);
    expect_true(event_seen(EVENT_CHANNEL_PINS_UPDATE));
    expect_true(json_is_false(json_object_get(event_at(EVENT_MESSAGE_UPDATE, 0), "tts")));
    expect_int(call(bob.token, "GET", NULL, "/channels/%llu/pins", U(channel)), 200);
    expect_true(json_array_size(body) == 1 && id_at("0.id") == id && json_is_true(node_at("0.pinned")));
    expect_int(call(bob.token, "GET", NULL, "/channels/%llu/messages/pins", U(channel)), 200);
    expect_true(id_at("items.0.message.id") == id && json_is_false(node_at("has_more")));
    expect_int(call(bob.token, "GET", NULL, "/channels/%llu/messages?limit=1", U(channel)), 200);
    expect_int(int_at("0.type"), 6);
    expect_int(
        call(alice.token, "PATCH", "{\"content\":\"x\"}", "/channels/%llu/messages/%llu", U(channel), U(id_at("0.id"))),
        403);
    expect_int(code(), 50021);
    expect_int(call(alice.token, "DELETE", NULL, "/channels/%llu/messages/pins/%llu", U(channel), U(id)), 204);
    expect_int(call(bob.token, "GET", NULL, "/channels/%llu/pins", U(channel)), 200);
    expect_int((int)json_array_size(body), 0);
    api_stop();
}

static void a_repeated_nonce_makes_no_second_message(void)
{
    begin();
    uint64_t first = say(&alice, "{\"content\":\"once\",\"nonce\":\"n1\",\"enforce_nonce\":true}");
    uint64_t again = say(&alice, "{\"content\":\"once\",\"nonce\":\"n1\",\"enforce_nonce\":true}");
    expect_true(first == again);
    expect_true(say(&bob, "{\"content\":\"other\",\"nonce\":\"n1\",\"enforce_nonce\":true}") != first);
    expect_true(say(&alice, "{\"content\":\"not enforced\",\"nonce\":\"n1\"}") != first);
    expect_int((int)events_count(), 3);
    api_stop();
}

static void attachments(void)
{
    static const char multipart[] =
        "--b\r\nContent-Disposition: form-data; name=\"payload_json\"\r\nContent-Type: application/json\r\n\r\n"
        "{\"content\":\"see\",\"attachments\":[{\"id\":0,\"description\":\"alt\"}],"
        "\"embeds\":[{\"image\":{\"url\":\"attachment://x.PNG\"}}]}\r\n"
        "--b\r\nContent-Disposition: form-data; name=\"files[0]\"; filename=\"../a b.txt\"\r\n"
        "Content-Type: text/plain\r\n\r\nfile bytes\r\n"
        "--b\r\nContent-Disposition: form-data; name=\"files[1]\"; filename=\"x.PNG\"\r\n"
        "Content-Type: application/octet-stream\r\n\r\nno picture\r\n--b--\r\n";
    char path[128];
    begin();
    snprintf(path, sizeof path, "/channels/%llu/messages", U(channel));
    expect_int(call_raw(alice.token, "POST", "multipart/form-data; boundary=b", str_c(multipart), path), 200);
    expect_text(str_c(text_at("attachments.0.description")), "alt");
    expect_int(int_at("attachments.0.size"), 10);
    expect_text(str_c(text_at("attachments.1.content_type")), "image/png");
    expect_text(str_c(text_at("embeds.0.image.url")), text_at("attachments.1.url"));
    const char *url = text_at("attachments.0.url");
    expect_true(url && strstr(url, "/attachments/") && !strstr(url, "..") && !strstr(url, " "));
    char *link = mem_strdup(url ? strstr(url, "/attachments/") : "/attachments/");
    expect_int(call(NULL, "GET", NULL, "%s", link), 200);
    expect_text(answer_text(), "file bytes");
    expect_text(answer_header("x-content-type-options"), "nosniff");
    *strrchr(link, '=') = '\0';
    expect_int(call(NULL, "GET", NULL, "%s", link), 403);
    mem_free(link);
    api_stop();
}

static void slowmode_and_typing(void)
{
    api_start(true);
    alice = person_new("alice");
    bob = person_new("bob");
    guild = guild_new(&alice, "Demo");
    guild_enter(guild, &alice, &bob);
    channel = guild_channel(guild, "general");
    watch(guild);
    expect_int(call(alice.token, "PATCH", "{\"rate_limit_per_user\":60}", "/channels/%llu", U(channel)), 200);
    say(&bob, "{\"content\":\"1\"}");
    expect_int(call(bob.token, "POST", "{\"content\":\"2\"}", "/channels/%llu/messages", U(channel)), 429);
    expect_true(json_is_number(node_at("retry_after")) && json_is_false(node_at("global")));
    expect_int(code(), 20016);
    say(&alice, "{\"content\":\"exempt\"}");
    say(&alice, "{\"content\":\"exempt\"}");
    expect_int(call(bob.token, "POST", NULL, "/channels/%llu/typing", U(channel)), 204);
    expect_int(call(bob.token, "POST", NULL, "/channels/%llu/typing", U(guild_channel(guild, "Text Channels"))), 400);
    expect_int(code(), 50008);
    for (int i = 0; !event_seen(EVENT_TYPING_START) && i < 50; i++)
        co_sleep(10);
    json_t *e = event_at(EVENT_TYPING_START, 0);
    expect_true(json_object_get(json_object_get(e, "member"), "user") &&
                json_is_integer(json_object_get(e, "timestamp")));
    api_stop();
}

/* What the process keeps must never let in, or keep out, who may not or may by now. */
static void rights_count_at_once(void)
{
    begin();
    char path[128], json[256];
    for (int i = 0; i < 3; i++) {
        say(&bob, "{\"content\":\"as it was\"}");
        snprintf(path, sizeof path, "/channels/%llu/permissions/%llu", U(channel), U(bob.id));
        expect_int(call(alice.token, "PUT", "{\"type\":1,\"deny\":\"2048\"}", "%s", path), 204);
        expect_int(call(bob.token, "POST", "{\"content\":\"no\"}", "/channels/%llu/messages", U(channel)), 403);
        expect_int(code(), 50013);
        expect_int(call(alice.token, "DELETE", NULL, "%s", path), 204);
    }
    say(&bob, "{\"content\":\"before the name\"}");
    snprintf(json, sizeof json, "{\"nick\":\"bobby\"}");
    expect_int(call(alice.token, "PATCH", json, "/guilds/%llu/members/%llu", U(guild), U(bob.id)), 200);
    events_clear();
    say(&bob, "{\"content\":\"with the name\"}");
    json_t *e = event_at(EVENT_MESSAGE_CREATE, 0);
    expect_text(str_c(json_string_value(json_object_get(json_object_get(e, "member"), "nick"))), "bobby");
    expect_int(call(alice.token, "DELETE", NULL, "/guilds/%llu/members/%llu", U(guild), U(bob.id)), 204);
    expect_int(call(bob.token, "POST", "{\"content\":\"no\"}", "/channels/%llu/messages", U(channel)), 403);
    expect_int(code(), 50001);
    say(&alice, "{\"content\":\"the last\"}");
    expect_int(call(alice.token, "DELETE", NULL, "/channels/%llu", U(channel)), 200);
    expect_int(call(alice.token, "POST", "{\"content\":\"no\"}", "/channels/%llu/messages", U(channel)), 404);
    api_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CO_TEST(a_message_is_answered_told_and_kept),
        CO_TEST(what_cannot_be_sent),
        CO_TEST(embeds_come_back_in_their_documented_form),
        CO_TEST(mentions_are_worked_out),
        CO_TEST(replies),
        CO_TEST(history),
        CO_TEST(edits),
        CO_TEST(deletes),
        CO_TEST(reactions),
        CO_TEST(pins),
        CO_TEST(a_repeated_nonce_makes_no_second_message),
        CO_TEST(attachments),
        CO_TEST(slowmode_and_typing),
        CO_TEST(rights_count_at_once),
    };
    return cmocka_run_group_tests_name("messages", tests, NULL, NULL);
}
