/* What a worker reads of the cache with libguildhall, from a real Redis. */
#include "tests/contract/cache/writing.h"
#include "worker-sdk/src/sdk.h"

static void a_worker_reads_every_entity(void)
{
    struct gh_bot bot = {0};
    struct gh_context c = {.bot = &bot};
    size_t n = 99;

    open_cache(41, INTENTS_ALL);
    bot.cache = cache;
    assert_null(gh_cache_guild(&c, GUILD));
    assert_null(gh_cache_roles(&c, GUILD, &n));
    assert_int_equal(n, 99);
    put("GUILD_CREATE",
        "{\"id\":\"21000000\",\"name\":\"Demo\",\"channels\":[{\"id\":\"31\",\"name\":\"general\"},{\"id\":\"32\"}],"
        "\"threads\":[{\"id\":\"71\",\"parent_id\":\"31\",\"member\":{\"flags\":1}}],"
        "\"roles\":[{\"id\":\"21000000\",\"name\":\"@everyone\",\"permissions\":\"8\"}],"
        "\"emojis\":[{\"id\":\"51\",\"name\":\"e\"}],\"stickers\":[{\"id\":\"61\",\"name\":\"s\"}],"
        "\"soundboard_sounds\":[{\"sound_id\":\"81\",\"name\":\"b\"}],\"stage_instances\":[{\"id\":\"91\",\"topic\":"
        "\"t\"}],"
        "\"guild_scheduled_events\":[{\"id\":\"95\",\"name\":\"party\"}],"
        "\"presences\":[{\"user\":{\"id\":\"12\"},\"status\":\"idle\"}],"
        "\"voice_states\":[{\"user_id\":\"12\",\"channel_id\":\"32\"}],"
        "\"members\":[{\"user\":{\"id\":\"12\",\"username\":\"alice\"},\"nick\":\"a\"}]}");
    put("MESSAGE_CREATE", "{\"id\":\"901\",\"guild_id\":\"21000000\",\"channel_id\":\"31\",\"content\":\"hi\","
                          "\"author\":{\"id\":\"12\",\"username\":\"alice\"}}");
    put("MESSAGE_CREATE", "{\"id\":\"902\",\"guild_id\":\"21000000\",\"channel_id\":\"31\",\"content\":\"ho\","
                          "\"author\":{\"id\":\"12\",\"username\":\"alice\"}}");

    assert_string_equal(gh_cache_guild(&c, GUILD)->name, "Demo");
    assert_string_equal(gh_cache_channel(&c, 0, 31)->name, "general");
    assert_int_equal(gh_cache_channel(&c, 0, 71)->parent_id, 31);
    assert_int_equal(gh_cache_role(&c, GUILD, GUILD)->permissions, 8);
    assert_string_equal(gh_cache_emoji(&c, GUILD, 51)->name, "e");
    assert_string_equal(gh_cache_sticker(&c, GUILD, 61)->name, "s");
    assert_string_equal(gh_cache_soundboard_sound(&c, GUILD, 81)->name, "b");
    assert_string_equal(gh_cache_stage_instance(&c, GUILD, 91)->topic, "t");
    assert_string_equal(gh_cache_scheduled_event(&c, GUILD, 95)->name, "party");
    assert_string_equal(gh_cache_presence(&c, GUILD, 12)->status, "idle");
    assert_int_equal(gh_cache_voice_state(&c, GUILD, 12)->channel_id, 32);
    assert_string_equal(gh_cache_member(&c, GUILD, 12)->nick, "a");
    assert_string_equal(gh_cache_user(&c, 12)->username, "alice");
    assert_int_equal(gh_cache_thread_member(&c, GUILD, 71, 41)->flags, 1);
    assert_string_equal(gh_cache_message(&c, GUILD, 31, 901)->content, "hi");
    assert_null(gh_cache_presence(&c, GUILD, 13));

    const struct gh_message *messages = gh_cache_messages(&c, GUILD, 31, 10, &n);
    assert_int_equal(n, 2);
    assert_int_equal(messages[0].id, 902);
    assert_string_equal(messages[1].author.username, "alice");
    assert_non_null(gh_cache_channels(&c, GUILD, &n));
    assert_int_equal(n, 2);
    assert_int_equal(gh_cache_threads(&c, GUILD, &n)[0].id, 71);
    assert_int_equal(gh_cache_members(&c, GUILD, &n)[0].user.id, 12);
    assert_int_equal(gh_cache_thread_members(&c, GUILD, 71, &n)[0].flags, 1);
    assert_int_equal(gh_cache_guild_ids(&c, &n)[0], GUILD);
    assert_int_equal(n, 1);
    context_done(&c);
    close_cache();
}
ON_LOOP(a_worker_reads_every_entity)

#define MANY 12000

struct tally {
    uint64_t sum;
    unsigned count, most;
    bool told[MANY + 1]; /* one may come twice */
};

static int on_member(const struct gh_member *member, void *arg)
{
    struct tally *t = arg;

    assert_in_range(member->user.id, 1, MANY);
    t->count += !t->told[member->user.id];
    t->told[member->user.id] = true;
    return t->count == t->most ? 7 : 0;
}

static int on_guild_id(uint64_t guild_id, void *arg)
{
    ((struct tally *)arg)->sum += guild_id;
    return 0;
}

static void a_worker_reads_a_long_list_in_slices(void)
{
    struct gh_bot bot = {0};
    struct gh_context c = {.bot = &bot};
    struct buf BUF_AUTO data = BUF_INIT(8 << 20);
    static struct tally all, some = {.most = 1500}, guilds, none = {.most = 1};
    size_t n = 99;

    open_cache(43, INTENTS_ALL);
    bot.cache = cache;
    for (unsigned i = 0; i < MANY; i += 1000) {
        buf_clear(&data);
        buf_adds(&data, "{\"guild_id\":\"21000000\",\"members\":[");
        for (unsigned k = i; k < i + 1000; k++)
            buf_addf(&data,
                     "%s{\"user\":{\"id\":\"%u\",\"username\":\"someone\"},\"nick\":\"somebody whose nick is "
                     "longer than a packed hash takes\"}",
                     k > i ? "," : "", k + 1);
        buf_adds(&data, "]}");
        put("GUILD_MEMBERS_CHUNK", data.data);
    }
    put("GUILD_CREATE", "{\"id\":\"22000000\"}");
    assert_int_equal(gh_cache_each_member(&c, GUILD, on_member, &all), 0);
    assert_int_equal(all.count, MANY);
    assert_int_equal(gh_cache_each_member(&c, GUILD, on_member, &some), 7);
    assert_int_equal(some.count, 1500);
    assert_int_equal(gh_cache_each_member(&c, 5, on_member, &none), 0);
    assert_int_equal(none.count, 0);
    assert_int_equal(gh_cache_each_guild_id(&c, on_guild_id, &guilds), 0);
    assert_int_equal(guilds.sum, 22000000);
    assert_null(gh_cache_members(&c, GUILD, &n)); /* too many for one array */
    assert_null(c.roots);                         /* nothing was kept */
    context_done(&c);
    close_cache();
}
ON_LOOP(a_worker_reads_a_long_list_in_slices)

static void a_worker_asks_how_far_the_cache_is(void)
{
    struct gh_bot bot = {0};
    struct item item = {.event = {.session = "abc", .seq = 5, .shard = 0, .shard_count = 1}};
    struct gh_context c = {.bot = &bot, .item = &item}, task = {.bot = &bot};

    open_cache(42, INTENTS_ALL);
    bot.cache = cache;
    assert_int_equal(gh_cache_caught_up(&task), -EINVAL);
    assert_int_equal(gh_cache_caught_up(&c), 0);
    at.seq = 5;
    cache_mark(writer, STR("abc"), &at, false);
    assert_int_equal(gh_cache_caught_up(&c), 1);
    close_cache();
}
ON_LOOP(a_worker_asks_how_far_the_cache_is)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_reads_every_entity_test),
        cmocka_unit_test(a_worker_reads_a_long_list_in_slices_test),
        cmocka_unit_test(a_worker_asks_how_far_the_cache_is_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
