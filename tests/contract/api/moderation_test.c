/* Bans and the audit log, with the events that tell of them. */
#include "tests/contract/api/fixture.h"

#include <stdio.h>

#define U(v) (unsigned long long)(v)

static void bans_and_lifts(void)
{
    char json[256];
    api_start(false);
    struct person alice = person_new("alice"), bob = person_new("bob"), carol = person_new("carol");
    uint64_t guild = guild_new(&alice, "Demo"), general = guild_channel(guild, "general");
    guild_enter(guild, &alice, &bob);
    guild_enter(guild, &alice, &carol);
    expect_int(call(bob.token, "POST", "{\"content\":\"spam\"}", "/channels/%llu/messages", U(general)), 200);
    expect_int(call(alice.token, "POST", "{}", "/channels/%llu/invites", U(general)), 200);
    char invite[32];
    snprintf(invite, sizeof invite, "%s", text_at("code"));
    watch(guild);
    watch(bob.id);
    events_clear();
    expect_int(call(carol.token, "PUT", "{}", "/guilds/%llu/bans/%llu", U(guild), U(bob.id)), 403);
    expect_int(
        call(alice.token, "PUT", "{\"delete_message_seconds\":3600}", "/guilds/%llu/bans/%llu", U(guild), U(bob.id)),
        204);
    expect_true(event_seen(EVENT_GUILD_BAN_ADD) && event_seen(EVENT_GUILD_MEMBER_REMOVE));
    expect_true(event_seen(EVENT_CONTROL_GUILD_LEFT));
    json_t *gone = event_at(EVENT_MESSAGE_DELETE_BULK, 0);
    expect_int((int)json_array_size(json_object_get(gone, "ids")), 1);
    json_t *entry = event_at(EVENT_GUILD_AUDIT_LOG_ENTRY_CREATE, 0);
    expect_int(json_integer_value(json_object_get(entry, "action_type")), 22);
    expect_int(call(alice.token, "GET", NULL, "/channels/%llu/messages", U(general)), 200);
    expect_int((int)json_array_size(body), 0);
    /* again: nothing happens */
    events_clear();
    expect_int(call(alice.token, "PUT", NULL, "/guilds/%llu/bans/%llu", U(guild), U(bob.id)), 204);
    expect_int((int)events_count(), 0);
    expect_int(call(bob.token, "POST", "{}", "/invites/%s", invite), 403);
    expect_int(code(), 40007);

    expect_int(call(alice.token, "GET", NULL, "/guilds/%llu/bans", U(guild)), 200);
    expect_int((int)json_array_size(body), 1);
    expect_true(id_at("0.user.id") == bob.id);
    expect_int(call(alice.token, "GET", NULL, "/guilds/%llu/bans?after=%llu", U(guild), U(bob.id)), 200);
    expect_int((int)json_array_size(body), 0);
    expect_int(call(alice.token, "GET", NULL, "/guilds/%llu/bans/%llu", U(guild), U(bob.id)), 200);
    expect_true(node_at("reason") && json_is_null(node_at("reason")));
    expect_int(call(alice.token, "GET", NULL, "/guilds/%llu/bans/%llu", U(guild), U(carol.id)), 404);
    expect_int(code(), 10026);
    expect_int(call(alice.token, "PUT", NULL, "/guilds/%llu/bans/4711", U(guild)), 404);
    expect_int(code(), 10013);
    expect_int(call(alice.token, "PUT", NULL, "/guilds/%llu/bans/%llu", U(guild), U(alice.id)), 403);

    expect_int(call(alice.token, "DELETE", NULL, "/guilds/%llu/bans/%llu", U(guild), U(bob.id)), 204);
    expect_true(event_seen(EVENT_GUILD_BAN_REMOVE));
    expect_int(call(alice.token, "DELETE", NULL, "/guilds/%llu/bans/%llu", U(guild), U(bob.id)), 404);
    expect_int(call(bob.token, "POST", "{}", "/invites/%s", invite), 200);

    snprintf(json, sizeof json, "{\"user_ids\":[\"%llu\",\"%llu\",\"4711\"]}", U(bob.id), U(alice.id));
    expect_int(call(alice.token, "POST", json, "/guilds/%llu/bulk-ban", U(guild)), 200);
    expect_int((int)json_array_size(node_at("banned_users")), 1);
    expect_int((int)json_array_size(node_at("failed_users")), 2);
    expect_int(call(alice.token, "POST", json, "/guilds/%llu/bulk-ban", U(guild)), 400);
    expect_int(code(), 500000);
    api_stop();
}

static int64_t entries(const struct person *who, uint64_t guild, const char *query)
{
    expect_int(call(who->token, "GET", NULL, "/guilds/%llu/audit-logs%s", U(guild), query), 200);
    return (int64_t)json_array_size(node_at("audit_log_entries"));
}

static void keeps_an_audit_log(void)
{
    char json[256], query[64];
    api_start(false);
    struct person alice = person_new("alice"), bob = person_new("bob");
    uint64_t guild = guild_new(&alice, "Demo"), general = guild_channel(guild, "general");
    guild_enter(guild, &alice, &bob);
    expect_int(call(bob.token, "GET", NULL, "/guilds/%llu/audit-logs", U(guild)), 403);
    int64_t before = entries(&alice, guild, "");

    uint64_t role = role_new(&alice, guild, "{\"name\":\"staff\"}");
    expect_int(call(alice.token, "PATCH", "{\"name\":\"crew\"}", "/guilds/%llu/roles/%llu", U(guild), U(role)), 200);
    role_give(&alice, guild, &bob, role);
    expect_int(call(alice.token, "PATCH", "{\"nick\":\"Bobby\"}", "/guilds/%llu/members/%llu", U(guild), U(bob.id)),
               200);
    expect_int(call(alice.token, "PATCH", "{\"topic\":\"t\"}", "/channels/%llu", U(general)), 200);
    expect_int(call(alice.token, "PATCH", "{\"topic\":\"t\"}", "/channels/%llu", U(general)), 200); /* no change */
    snprintf(json, sizeof json, "{\"type\":0,\"deny\":\"2048\"}");
    expect_int(call(alice.token, "PUT", json, "/channels/%llu/permissions/%llu", U(general), U(role)), 204);
    expect_int(call(alice.token, "PATCH", "{\"name\":\"Demo 2\"}", "/guilds/%llu", U(guild)), 200);
    expect_int(call(bob.token, "POST", "{\"content\":\"x\"}", "/channels/%llu/messages", U(general)), 403);
    expect_int(call(alice.token, "DELETE", NULL, "/guilds/%llu/members/%llu", U(guild), U(bob.id)), 204);

    expect_int(entries(&alice, guild, ""), before + 8);
    expect_int(int_at("audit_log_entries.0.action_type"), 20); /* newest first */
    expect_true(id_at("audit_log_entries.0.target_id") == bob.id && id_at("audit_log_entries.0.user_id") == alice.id);
    expect_int((int)json_array_size(node_at("users")), 2);
    expect_int(entries(&alice, guild, "?action_type=31"), 1);
    expect_text(str_c(text_at("audit_log_entries.0.changes.0.key")), "name");
    expect_text(str_c(text_at("audit_log_entries.0.changes.0.old_value")), "staff");
    expect_text(str_c(text_at("audit_log_entries.0.changes.0.new_value")), "crew");
    expect_int(entries(&alice, guild, "?action_type=25"), 1);
    expect_text(str_c(text_at("audit_log_entries.0.changes.0.key")), "$add");
    expect_text(str_c(text_at("audit_log_entries.0.changes.0.new_value.0.name")), "crew");
    expect_int(entries(&alice, guild, "?action_type=24"), 1);
    expect_text(str_c(text_at("audit_log_entries.0.changes.0.new_value")), "Bobby");
    expect_int(entries(&alice, guild, "?action_type=11"), 1);
    expect_int((int)json_array_size(node_at("audit_log_entries.0.changes")), 1);
    expect_int(entries(&alice, guild, "?action_type=13"), 1);
    expect_text(str_c(text_at("audit_log_entries.0.options.role_name")), "crew");
    expect_int(entries(&alice, guild, "?after=0&limit=2"), 2); /* oldest first */
    uint64_t first = id_at("audit_log_entries.0.id");
    expect_true(first < id_at("audit_log_entries.1.id"));
    snprintf(query, sizeof query, "?before=%llu", U(first));
    expect_int(entries(&alice, guild, query), 0);
    snprintf(query, sizeof query, "?user_id=%llu", U(bob.id));
    expect_int(entries(&alice, guild, query), 0);
    api_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {CO_TEST(bans_and_lifts), CO_TEST(keeps_an_audit_log)};
    return cmocka_run_group_tests_name("api_moderation", tests, NULL, NULL);
}
