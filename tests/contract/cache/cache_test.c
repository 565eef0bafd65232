/* The cache's writer and reader on a real Redis: what a dispatch changes, and that an older one changes nothing. */
#include "platform/base/limits.h"
#include "tests/contract/cache/writing.h"

static const char guild_create[] =
    "{\"id\":\"21000000\",\"name\":\"Demo\",\"member_count\":2,\"unavailable\":false,"
    "\"channels\":[{\"id\":\"31\",\"name\":\"general\"},{\"id\":\"32\",\"name\":\"other\"}],"
    "\"roles\":[{\"id\":\"21000000\",\"name\":\"@everyone\"}],\"voice_states\":[],"
    "\"members\":[{\"user\":{\"id\":\"11\",\"username\":\"bot\"},\"roles\":[]},"
    "{\"user\":{\"id\":\"12\",\"username\":\"alice\"},\"roles\":[]}]}";

static void a_guild_and_what_is_in_it(void)
{
    open_cache(11, ALL);
    assert_int_equal(cache_guild(&cache, GUILD, &text), -ENOENT);
    put("GUILD_CREATE", guild_create);
    assert_str(READ(cache_guild(&cache, GUILD, &text)),
               "{\"id\":\"21000000\",\"name\":\"Demo\",\"member_count\":2,\"unavailable\":false}");
    assert_str(READ(cache_channel(&cache, GUILD, 31, &text)), "{\"id\":\"31\",\"name\":\"general\"}");
    assert_str(READ(cache_channel(&cache, 0, 32, &text)), "{\"id\":\"32\",\"name\":\"other\"}");
    assert_str(READ(cache_role(&cache, GUILD, GUILD, &text)), "{\"id\":\"21000000\",\"name\":\"@everyone\"}");
    assert_str(READ(cache_roles(&cache, GUILD, &text)), "[{\"id\":\"21000000\",\"name\":\"@everyone\"}]");
    assert_str(READ(cache_user(&cache, 12, &text)), "{\"id\":\"12\",\"username\":\"alice\"}");
    assert_non_null(strstr(READ(cache_member(&cache, GUILD, 12, &text)).p, "alice"));

    put("CHANNEL_UPDATE", "{\"id\":\"31\",\"guild_id\":\"21000000\",\"name\":\"lobby\"}");
    assert_non_null(strstr(READ(cache_channel(&cache, 0, 31, &text)).p, "lobby"));
    put("CHANNEL_DELETE", "{\"id\":\"32\",\"guild_id\":\"21000000\",\"name\":\"other\"}");
    assert_int_equal(cache_channel(&cache, 0, 32, &text), -ENOENT);
    assert_int_equal(cache_channel(&cache, GUILD, 32, &text), -ENOENT);
    put("GUILD_UPDATE", "{\"id\":\"21000000\",\"name\":\"New\"}");
    put("GUILD_MEMBER_ADD", "{\"guild_id\":\"21000000\",\"user\":{\"id\":\"13\",\"username\":\"bob\"}}");
    assert_str(READ(cache_guild(&cache, GUILD, &text)),
               "{\"id\":\"21000000\",\"name\":\"New\",\"member_count\":3,\"unavailable\":false}");
    put("GUILD_MEMBER_REMOVE", "{\"guild_id\":\"21000000\",\"user\":{\"id\":\"13\"}}");
    assert_int_equal(cache_member(&cache, GUILD, 13, &text), -ENOENT);
    put("GUILD_ROLE_CREATE", "{\"guild_id\":\"21000000\",\"role\":{\"id\":\"41\",\"name\":\"mod\"}}");
    assert_str(READ(cache_role(&cache, GUILD, 41, &text)), "{\"id\":\"41\",\"name\":\"mod\"}");
    put("GUILD_ROLE_DELETE", "{\"guild_id\":\"21000000\",\"role_id\":\"41\"}");
    assert_int_equal(cache_role(&cache, GUILD, 41, &text), -ENOENT);

    put("GUILD_DELETE", "{\"id\":\"21000000\",\"unavailable\":true}");
    assert_non_null(strstr(READ(cache_guild(&cache, GUILD, &text)).p, "\"unavailable\":true"));
    put("GUILD_DELETE", "{\"id\":\"21000000\"}");
    assert_int_equal(cache_guild(&cache, GUILD, &text), -ENOENT);
    assert_int_equal(cache_channels(&cache, GUILD, &text), -ENOENT);
    close_cache();
}
ON_LOOP(a_guild_and_what_is_in_it)

static void an_older_event_changes_nothing(void)
{
    struct cache_place older, newer;

    open_cache(12, ALL);
    put("GUILD_CREATE", guild_create);
    at.seq = 10;
    put("GUILD_UPDATE", "{\"id\":\"21000000\",\"name\":\"ten\"}"); /* seq 11 */
    older = (struct cache_place){.epoch = 1000, .generation = 1, .seq = 11, .shard_count = 1};
    assert_int_equal(write_at("GUILD_UPDATE", "{\"id\":\"21000000\",\"name\":\"again\"}", &older), CACHE_DONE);
    /* Another process took the shard over and resumed: what it sees again is older, what is new counts. */
    older = (struct cache_place){.epoch = 2000, .generation = 1, .seq = 9, .shard_count = 1};
    assert_int_equal(write_at("GUILD_UPDATE", "{\"id\":\"21000000\",\"name\":\"nine\"}", &older), CACHE_DONE);
    assert_non_null(strstr(READ(cache_guild(&cache, GUILD, &text)).p, "\"ten\""));
    newer = (struct cache_place){.epoch = 2000, .generation = 1, .seq = 12, .shard_count = 1};
    write_at("GUILD_UPDATE", "{\"id\":\"21000000\",\"name\":\"twelve\"}", &newer);
    /* The first one is still alive: refused. */
    older = (struct cache_place){.epoch = 1000, .generation = 1, .seq = 13, .shard_count = 1};
    assert_int_equal(write_at("GUILD_UPDATE", "{\"id\":\"21000000\",\"name\":\"zombie\"}", &older), CACHE_FENCED);
    assert_non_null(strstr(READ(cache_guild(&cache, GUILD, &text)).p, "\"twelve\""));
    /* A new session begins at 1 again. */
    newer = (struct cache_place){.epoch = 2000, .generation = 2, .seq = 1, .shard_count = 1};
    write_at("GUILD_UPDATE", "{\"id\":\"21000000\",\"name\":\"one\"}", &newer);
    assert_non_null(strstr(READ(cache_guild(&cache, GUILD, &text)).p, "\"one\""));
    close_cache();
}
ON_LOOP(an_older_event_changes_nothing)

static void messages_are_capped(void)
{
    char data[256];

    open_cache(13, ALL);
    for (int i = 1; i <= LIMIT_CACHE_MESSAGES + 5; i++) {
        snprintf(data, sizeof(data),
                 "{\"id\":\"%d\",\"channel_id\":\"31\",\"guild_id\":\"21000000\",\"content\":\"m%d\","
                 "\"author\":{\"id\":\"12\",\"username\":\"alice\"}}",
                 1000 + i, i);
        put("MESSAGE_CREATE", data);
    }
    assert_int_equal(cache_message(&cache, GUILD, 31, 1005, &text), -ENOENT);
    assert_non_null(strstr(READ(cache_message(&cache, GUILD, 31, 1006, &text)).p, "\"m6\""));
    put("MESSAGE_UPDATE", "{\"id\":\"1007\",\"channel_id\":\"31\",\"guild_id\":\"21000000\",\"content\":\"new\","
                          "\"author\":{\"id\":\"12\"}}");
    assert_non_null(strstr(READ(cache_message(&cache, GUILD, 31, 1007, &text)).p, "\"new\""));
    put("MESSAGE_DELETE", "{\"id\":\"1007\",\"channel_id\":\"31\",\"guild_id\":\"21000000\"}");
    assert_int_equal(cache_message(&cache, GUILD, 31, 1007, &text), -ENOENT);
    put("MESSAGE_DELETE_BULK", "{\"ids\":[\"1008\",\"1009\"],\"channel_id\":\"31\",\"guild_id\":\"21000000\"}");
    assert_int_equal(cache_message(&cache, GUILD, 31, 1009, &text), -ENOENT);
    put("MESSAGE_CREATE", "{\"id\":\"7\",\"channel_id\":\"99\",\"content\":\"dm\",\"author\":{\"id\":\"12\"}}");
    assert_non_null(strstr(READ(cache_message(&cache, 0, 99, 7, &text)).p, "\"dm\""));
    close_cache();
}
ON_LOOP(messages_are_capped)

static void intents_say_what_is_kept(void)
{
    open_cache(16, INTENT_GUILDS);
    put("READY", "{\"v\":10,\"user\":{\"id\":\"11\",\"username\":\"bot\"}}");
    put("GUILD_CREATE", guild_create);
    assert_non_null(strstr(READ(cache_member(&cache, GUILD, 11, &text)).p, "bot"));
    assert_int_equal(cache_member(&cache, GUILD, 12, &text), -ENOENT); /* nobody would tell of its changes */
    put("MESSAGE_CREATE", "{\"id\":\"7\",\"channel_id\":\"31\",\"guild_id\":\"21000000\",\"author\":{\"id\":\"14\"}}");
    assert_int_equal(cache_message(&cache, GUILD, 31, 7, &text), -ENOENT);
    assert_str(READ(cache_user(&cache, 14, &text)), "{\"id\":\"14\"}");
    assert_false(cache_write(writer, STR("TYPING_START"), STR("{}"), &at, on_done, NULL));
    close_cache();
}
ON_LOOP(intents_say_what_is_kept)

static void marks_how_far_it_is(void)
{
    struct cache_marker m;

    open_cache(14, ALL);
    assert_int_equal(cache_marker(&cache, 1, 4, &m), -ENOENT);
    at.seq = 77;
    at.shard = 1, at.shard_count = 4;
    cache_mark(writer, STR("abc"), &at, false);
    assert_int_equal(cache_marker(&cache, 1, 4, &m), 0);
    assert_int_equal(m.seq, 77);
    assert_string_equal(m.session, "abc");
    close_cache();
}
ON_LOOP(marks_how_far_it_is)

static void without_redis_it_says_so(void)
{
    open_cache(15, ALL);
    put("GUILD_CREATE", guild_create);
    services_do("kill", "redis");
    at.seq++;
    assert_int_equal(write_at("GUILD_UPDATE", "{\"id\":\"21000000\",\"name\":\"late\"}", &at), CACHE_RETRY);
    assert_int_equal(cache_guild(&cache, GUILD, &text), -EHOSTDOWN);
    services_do("start", "redis");
    UNTIL(redis_connected(redis));
    assert_int_equal(write_at("GUILD_UPDATE", "{\"id\":\"21000000\",\"name\":\"late\"}", &at), CACHE_DONE);
    assert_non_null(strstr(READ(cache_guild(&cache, GUILD, &text)).p, "\"late\""));
    close_cache();
}
ON_LOOP(without_redis_it_says_so)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guild_and_what_is_in_it_test), cmocka_unit_test(an_older_event_changes_nothing_test),
        cmocka_unit_test(messages_are_capped_test),       cmocka_unit_test(intents_say_what_is_kept_test),
        cmocka_unit_test(marks_how_far_it_is_test),       cmocka_unit_test(without_redis_it_says_so_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
