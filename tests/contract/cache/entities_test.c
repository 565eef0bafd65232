/* Every entity of the cache on a real Redis, by the dispatches that change it; what is switched off or trimmed; that a
 * guild that was left leaves nothing behind. */
#include "cache/stats.h"
#include "tests/contract/cache/writing.h"
#include <sys/wait.h>

#define EVERYTHING   INTENTS_ALL
#define G            "\"guild_id\":\"21000000\""
#define HAS(text_)   assert_non_null(strstr(buf_str(&text).p, text_))
#define LACKS(text_) assert_null(strstr(buf_str(&text).p, text_))
#define NONE(call)   (buf_clear(&text), assert_int_equal((call), -ENOENT))

static const char whole_guild[] =
    "{\"id\":\"21000000\",\"name\":\"Demo\",\"member_count\":2,"
    "\"channels\":[{\"id\":\"31\",\"type\":0,\"name\":\"general\",\"permission_overwrites\":[]},{\"id\":\"32\","
    "\"type\":2}],"
    "\"threads\":[{\"id\":\"71\",\"parent_id\":\"31\",\"name\":\"t\",\"member_count\":1,\"member\":{\"flags\":1}},"
    "{\"id\":\"72\",\"parent_id\":\"33\",\"name\":\"u\"}],"
    "\"roles\":[{\"id\":\"21000000\",\"name\":\"@everyone\"}],\"emojis\":[{\"id\":\"51\",\"name\":\"e\"}],"
    "\"stickers\":[{\"id\":\"61\",\"name\":\"s\"}],\"soundboard_sounds\":[{\"sound_id\":\"81\",\"name\":\"b\"}],"
    "\"stage_instances\":[{\"id\":\"91\",\"channel_id\":\"32\"}],"
    "\"guild_scheduled_events\":[{\"id\":\"95\",\"name\":\"party\"}],"
    "\"presences\":[{\"user\":{\"id\":\"12\"},\"status\":\"idle\"}],"
    "\"voice_states\":[{\"user_id\":\"12\",\"channel_id\":\"32\"}],"
    "\"members\":[{\"user\":{\"id\":\"11\",\"username\":\"bot\"}},{\"user\":{\"id\":\"12\",\"username\":\"alice\"}}]}";

#define GET(e, id)  READ(cache_get(&cache, CACHE_##e, GUILD, id, &text))
#define GONE(e, id) NONE(cache_get(&cache, CACHE_##e, GUILD, id, &text))

static void a_guild_has_all_its_entities(void)
{
    open_cache(21, EVERYTHING);
    put("GUILD_CREATE", whole_guild);
    assert_str(READ(cache_guild(&cache, GUILD, &text)), "{\"id\":\"21000000\",\"name\":\"Demo\",\"member_count\":2}");
    GET(CHANNELS, 31), HAS("general"), HAS("\"permission_overwrites\":[]");
    READ(cache_channel(&cache, 0, 71, &text)), HAS("\"parent_id\":\"31\""), LACKS("flags");
    READ(cache_thread_member(&cache, GUILD, 71, 21, &text)), HAS("\"flags\":1"); /* the bot's own */
    GET(ROLES, GUILD), HAS("@everyone");
    GET(EMOJIS, 51), GET(STICKERS, 61), GET(SOUNDS, 81), GET(STAGES, 91), GET(EVENTS, 95);
    GET(PRESENCES, 12), HAS("idle");
    GET(VOICE_STATES, 12), HAS("32");
    GET(MEMBERS, 12), HAS("alice");
    assert_str(READ(cache_guilds(&cache, &text)), "[\"21000000\"]");

    put("GUILD_EMOJIS_UPDATE", "{" G ",\"emojis\":[{\"id\":\"52\",\"name\":\"f\"}]}");
    GONE(EMOJIS, 51), GET(EMOJIS, 52);
    put("GUILD_STICKERS_UPDATE", "{" G ",\"stickers\":[]}");
    GONE(STICKERS, 61);
    put("GUILD_SOUNDBOARD_SOUND_CREATE", "{" G ",\"sound_id\":\"82\",\"name\":\"c\"}");
    put("GUILD_SOUNDBOARD_SOUNDS_UPDATE", "{" G ",\"soundboard_sounds\":[{\"sound_id\":\"82\",\"name\":\"d\"}]}");
    GET(SOUNDS, 81), GET(SOUNDS, 82), HAS("\"d\"");
    put("GUILD_SOUNDBOARD_SOUND_DELETE", "{" G ",\"sound_id\":\"82\"}");
    GONE(SOUNDS, 82);
    put("SOUNDBOARD_SOUNDS", "{" G ",\"soundboard_sounds\":[]}");
    GONE(SOUNDS, 81);
    put("STAGE_INSTANCE_UPDATE", "{\"id\":\"91\"," G ",\"topic\":\"new\"}");
    GET(STAGES, 91), HAS("new");
    put("STAGE_INSTANCE_DELETE", "{\"id\":\"91\"," G "}");
    GONE(STAGES, 91);
    put("GUILD_SCHEDULED_EVENT_CREATE", "{\"id\":\"96\"," G ",\"name\":\"x\"}");
    GET(EVENTS, 96);
    put("GUILD_SCHEDULED_EVENT_DELETE", "{\"id\":\"95\"," G "}");
    GONE(EVENTS, 95);
    close_cache();
}
ON_LOOP(a_guild_has_all_its_entities)

static void single_members_of_a_channel_change(void)
{
    open_cache(22, EVERYTHING);
    put("GUILD_CREATE", whole_guild);
    put("CHANNEL_PINS_UPDATE", "{" G ",\"channel_id\":\"31\",\"last_pin_timestamp\":\"2020-01-01\"}");
    put("CHANNEL_PINS_UPDATE", "{" G ",\"channel_id\":\"31\",\"last_pin_timestamp\":null}");
    assert_str(GET(CHANNELS, 31), "{\"id\":\"31\",\"type\":0,\"name\":\"general\",\"permission_overwrites\":[],"
                                  "\"last_pin_timestamp\":null}");
    put("VOICE_CHANNEL_STATUS_UPDATE", "{\"id\":\"32\"," G ",\"status\":\"a \\\"b\\\", {c}\"}");
    put("VOICE_CHANNEL_START_TIME_UPDATE", "{\"id\":\"32\"," G ",\"voice_start_time\":5}");
    assert_str(GET(CHANNELS, 32), "{\"id\":\"32\",\"type\":2,\"status\":\"a \\\"b\\\", {c}\",\"voice_start_time\":5}");
    put("CHANNEL_INFO", "{" G ",\"channels\":[{\"id\":\"32\",\"status\":\"x\",\"voice_start_time\":null}]}");
    assert_str(GET(CHANNELS, 32), "{\"id\":\"32\",\"type\":2,\"status\":\"x\",\"voice_start_time\":null}");
    put("CHANNEL_PINS_UPDATE", "{" G ",\"channel_id\":\"39\",\"last_pin_timestamp\":null}"); /* nobody knows it */
    GONE(CHANNELS, 39);
    close_cache();
}
ON_LOOP(single_members_of_a_channel_change)

static void threads_come_and_go(void)
{
    open_cache(23, EVERYTHING);
    put("READY", "{\"user\":{\"id\":\"11\",\"username\":\"bot\"}}");
    put("GUILD_CREATE", whole_guild);
    put("THREAD_CREATE", "{\"id\":\"73\"," G ",\"parent_id\":\"31\",\"member\":{\"id\":\"73\",\"user_id\":\"11\"}}");
    READ(cache_thread_member(&cache, GUILD, 73, 11, &text));
    put("THREAD_MEMBERS_UPDATE",
        "{\"id\":\"73\"," G ",\"member_count\":2,\"added_members\":[{\"id\":\"73\",\"user_id\":\"14\",\"flags\":0,"
        "\"presence\":null,\"member\":{\"nick\":\"d\",\"user\":{\"id\":\"14\",\"username\":\"dora\"}}}],"
        "\"removed_member_ids\":[\"11\"]}");
    NONE(cache_thread_member(&cache, GUILD, 73, 11, &text));
    assert_str(READ(cache_thread_members(&cache, GUILD, 73, &text)),
               "[{\"id\":\"73\",\"user_id\":\"14\",\"flags\":0}]");
    GET(MEMBERS, 14), HAS("\"nick\":\"d\"");
    READ(cache_user(&cache, 14, &text)), HAS("dora");
    GET(THREADS, 73), HAS("\"member_count\":2");
    put("THREAD_MEMBER_UPDATE", "{\"id\":\"73\"," G ",\"user_id\":\"11\",\"flags\":9}");
    READ(cache_thread_member(&cache, GUILD, 73, 11, &text)), HAS("\"flags\":9");

    /* Those of channel 31 are listed anew; 72, of another channel, stays. */
    put("THREAD_LIST_SYNC", "{" G ",\"channel_ids\":[\"31\"],\"threads\":[{\"id\":\"74\",\"parent_id\":\"31\"}],"
                            "\"members\":[{\"id\":\"74\",\"user_id\":\"11\"}]}");
    GONE(THREADS, 71), GONE(THREADS, 73), GET(THREADS, 74), GET(THREADS, 72);
    NONE(cache_thread_members(&cache, GUILD, 73, &text));
    READ(cache_thread_member(&cache, GUILD, 74, 11, &text));
    put("THREAD_UPDATE", "{\"id\":\"74\"," G ",\"parent_id\":\"31\",\"thread_metadata\":{\"archived\":true}}");
    GONE(THREADS, 74);
    put("THREAD_UPDATE", "{\"id\":\"74\"," G ",\"parent_id\":\"31\",\"thread_metadata\":{\"archived\":false}}");
    GET(THREADS, 74);
    put("CHANNEL_DELETE", "{\"id\":\"31\"," G "}"); /* its threads, too */
    GONE(THREADS, 74), GET(THREADS, 72);
    put("THREAD_DELETE", "{\"id\":\"72\"," G ",\"parent_id\":\"33\",\"type\":11}");
    GONE(THREADS, 72);
    put("THREAD_CREATE", "{\"id\":\"75\"," G ",\"parent_id\":\"32\"}");
    put("THREAD_LIST_SYNC", "{" G ",\"threads\":[],\"members\":[]}"); /* of the whole guild */
    GONE(THREADS, 75);
    close_cache();
}
ON_LOOP(threads_come_and_go)

static void people_come_and_go(void)
{
    open_cache(24, EVERYTHING);
    put("GUILD_CREATE", whole_guild);
    put("GUILD_MEMBER_ADD", "{" G ",\"user\":{\"id\":\"12\",\"username\":\"alice\"}}"); /* she is one already */
    READ(cache_guild(&cache, GUILD, &text)), HAS("\"member_count\":2");
    put("GUILD_MEMBERS_CHUNK", "{" G ",\"members\":[{\"user\":{\"id\":\"15\",\"username\":\"eve\"}}],"
                               "\"presences\":[{\"user\":{\"id\":\"15\"},\"status\":\"dnd\"}],\"chunk_index\":0}");
    GET(MEMBERS, 15), HAS("eve");
    GET(PRESENCES, 15), HAS("dnd");
    put("PRESENCE_UPDATE", "{" G ",\"user\":{\"id\":\"15\"},\"status\":\"offline\"}");
    GONE(PRESENCES, 15);
    put("VOICE_STATE_UPDATE", "{" G ",\"user_id\":\"15\",\"channel_id\":\"32\",\"self_mute\":true}");
    GET(VOICE_STATES, 15), HAS("self_mute");
    put("VOICE_STATE_UPDATE", "{" G ",\"user_id\":\"15\",\"channel_id\":null}");
    GONE(VOICE_STATES, 15);
    put("GUILD_MEMBER_REMOVE", "{" G ",\"user\":{\"id\":\"12\"}}");
    GONE(MEMBERS, 12), GONE(PRESENCES, 12), GONE(VOICE_STATES, 12);
    put("USER_UPDATE", "{\"id\":\"24\",\"username\":\"renamed\"}");
    READ(cache_user(&cache, 24, &text)), HAS("renamed");
    close_cache();
}
ON_LOOP(people_come_and_go)

#define REACTION(kind, user, emoji, more)                                                                              \
    put("MESSAGE_REACTION_" kind,                                                                                      \
        "{" G ",\"channel_id\":\"31\",\"message_id\":\"900\",\"user_id\":\"" user "\",\"emoji\":{" emoji "}" more "}")
#define HEART   "\"id\":null,\"name\":\"\xe2\x9d\xa4\""
#define CUSTOM  "\"id\":\"51\",\"name\":\"e\",\"animated\":true"
#define MESSAGE READ(cache_message(&cache, GUILD, 31, 900, &text))

static void reactions_are_counted(void)
{
    open_cache(25, EVERYTHING);
    put("READY", "{\"user\":{\"id\":\"11\",\"username\":\"bot\"}}");
    put("MESSAGE_CREATE", "{\"id\":\"900\"," G ",\"channel_id\":\"31\",\"content\":\"hi\",\"embeds\":[],"
                          "\"author\":{\"id\":\"12\"}}");
    REACTION("ADD", "11", HEART, ",\"burst\":false,\"type\":0");
    REACTION("ADD", "12", HEART, ",\"burst\":false");
    REACTION("ADD", "12", CUSTOM, ",\"burst\":true,\"burst_colors\":[\"#ff0000\"]");
    assert_str(MESSAGE,
               "{\"id\":\"900\"," G
               ",\"channel_id\":\"31\",\"content\":\"hi\",\"embeds\":[],\"author\":{\"id\":\"12\"},"
               "\"reactions\":[{\"emoji\":{" HEART "},\"count\":2,\"count_details\":{\"burst\":0,\"normal\":2},"
               "\"me\":true,\"me_burst\":false,\"burst_colors\":[]},{\"emoji\":{" CUSTOM "},\"count\":1,"
               "\"count_details\":{\"burst\":1,\"normal\":0},\"me\":false,\"me_burst\":false,"
               "\"burst_colors\":[\"#ff0000\"]}]}");
    REACTION("REMOVE", "11", HEART, ",\"burst\":false");
    MESSAGE, HAS("\"count\":1,\"count_details\":{\"burst\":0,\"normal\":1},\"me\":false");
    put("MESSAGE_UPDATE",
        "{\"id\":\"900\"," G ",\"channel_id\":\"31\",\"content\":\"new\",\"author\":{\"id\":\"12\"}}");
    MESSAGE, HAS("\"new\""), HAS(HEART);
    REACTION("REMOVE_EMOJI", "12", HEART, "");
    MESSAGE, LACKS(HEART), HAS(CUSTOM);
    REACTION("REMOVE", "12", CUSTOM, ",\"burst\":true");
    MESSAGE, LACKS("reactions");
    REACTION("ADD", "12", CUSTOM, "");
    REACTION("REMOVE_ALL", "12", "", "");
    MESSAGE, LACKS("reactions");
    put("MESSAGE_UPDATE", "{\"id\":\"900\"," G ",\"channel_id\":\"31\",\"content\":\"c\",\"author\":{\"id\":\"12\"},"
                          "\"reactions\":[{\"emoji\":{" HEART "},\"count\":3,\"me\":false}]}");
    MESSAGE, HAS("\"count\":3");
    REACTION("ADD", "11", HEART, "");
    MESSAGE, HAS("\"count\":4"), HAS("\"me\":true");
    put("MESSAGE_DELETE", "{\"id\":\"900\"," G ",\"channel_id\":\"31\"}");
    REACTION("ADD", "12", HEART, "");
    NONE(cache_message(&cache, GUILD, 31, 900, &text));
    close_cache();
}
ON_LOOP(reactions_are_counted)

static void messages_are_listed_newest_first(void)
{
    char data[256];

    open_cache(26, EVERYTHING);
    NONE(cache_messages(&cache, GUILD, 31, 50, &text));
    for (int i = 1; i <= 3; i++) {
        snprintf(data, sizeof(data),
                 "{\"id\":\"11000000000000000%d\"," G ",\"channel_id\":\"31\",\"author\":{\"id\":\"12\"}}", i);
        put("MESSAGE_CREATE", data);
    }
    READ(cache_messages(&cache, GUILD, 31, 2, &text));
    assert_true(strstr(text.data, "0003") < strstr(text.data, "0002"));
    LACKS("0001");
    close_cache();
}
ON_LOOP(messages_are_listed_newest_first)

/* Keys that never expire. */
static int64_t keys_for_good(void)
{
    static const char script[] = "local n = 0\n"
                                 "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do\n"
                                 "  if redis.call('TTL', key) == -1 then n = n + 1 end\n"
                                 "end\n"
                                 "return n\n";
    struct redis_reply *r;
    int64_t n = 0;
    struct str words[] = {STR("EVAL"), str_c(script), STR("0"), STR("gh:27:*")};

    assert_int_equal(redis_await(redis, 4, words, &r), 0);
    n = redis_reply_int(r);
    redis_reply_free(r);
    return n;
}

#define FILL                                                                                                           \
    put("GUILD_CREATE", whole_guild);                                                                                  \
    put("THREAD_MEMBER_UPDATE", "{\"id\":\"72\"," G ",\"user_id\":\"27\"}");                                           \
    put("MESSAGE_CREATE", "{\"id\":\"900\"," G ",\"channel_id\":\"31\",\"author\":{\"id\":\"12\"}}");                  \
    REACTION("ADD", "12", HEART, "")

/* The schema's number. The guild's version, its channels' index and users stay a while. */
#define LEFT 1

static void a_guild_that_is_left_leaves_nothing(void)
{
    uint64_t keys = 0;

    open_cache(27, EVERYTHING);
    put("READY", "{\"user\":{\"id\":\"27\",\"username\":\"bot\"}}");
    FILL;
    assert_true(keys_for_good() > 15);
    put("GUILD_DELETE", "{\"id\":\"21000000\",\"unavailable\":true}"); /* an outage: all stays */
    READ(cache_guild(&cache, GUILD, &text)), HAS("\"unavailable\":true");
    GET(MEMBERS, 12);
    put("GUILD_DELETE", "{\"id\":\"21000000\"}");
    UNTIL(keys_for_good() == LEFT);
    /* Left and joined again at once: the channels are still found by their id alone. */
    FILL;
    at.seq++;
    assert_true(cache_write(writer, STR("GUILD_DELETE"), STR("{\"id\":\"21000000\"}"), &at, on_nothing, NULL));
    put("GUILD_CREATE", whole_guild);
    co_sleep(50);
    READ(cache_channel(&cache, 0, 31, &text));
    /* By hand. */
    FILL;
    assert_int_equal(cache_purge_guild(&cache, GUILD, &keys), 0);
    assert_true(keys > 15);
    assert_int_equal(keys_for_good(), LEFT + 1); /* and the version */
    close_cache();
}
ON_LOOP(a_guild_that_is_left_leaves_nothing)

/* Guild 21000000 belongs to shard 1 of 2: (id >> 22) % 2. */
static void guilds_left_while_nobody_listened_go(void)
{
    open_cache(28, EVERYTHING);
    put("GUILD_CREATE", whole_guild);
    put("GUILD_CREATE", "{\"id\":\"25000000\",\"name\":\"B\",\"channels\":[]}");
    at.generation++, at.seq = 0;
    put("READY", "{\"user\":{\"id\":\"28\"},\"shard\":[0,2],\"guilds\":[]}"); /* another shard's */
    put("READY",
        "{\"user\":{\"id\":\"28\",\"a\":1},\"shard\":[1,2],\"guilds\":[{\"id\":\"25000000\",\"unavailable\":true}]}");
    UNTIL(cache_guild(&cache, GUILD, &text) == -ENOENT);
    READ(cache_guild(&cache, 25000000, &text));
    assert_str(READ(cache_guilds(&cache, &text)), "[\"25000000\"]");
    close_cache();
}
ON_LOOP(guilds_left_while_nobody_listened_go)

static void entities_are_switched_off_and_trimmed(void)
{
    BUF_AUTO struct buf err = BUF_INIT(256);
    struct cache_selection s;

    assert_int_equal(cache_selection_read(&s, "guilds:name,channels:name|type,members:roles,-nothing", &err), -EINVAL);
    assert_non_null(strstr(err.data, "-nothing"));
    cache_selection_done(&s);
    assert_int_equal(
        cache_selection_read(&s, "all,-emojis,-threads,guilds:name,channels:name|type,members:roles,messages:content",
                             &err),
        0);
    open_cache_with(29, EVERYTHING, &s);
    put("GUILD_CREATE", whole_guild);
    assert_str(READ(cache_guild(&cache, GUILD, &text)), "{\"id\":\"21000000\",\"name\":\"Demo\"}");
    assert_str(GET(CHANNELS, 31), "{\"id\":\"31\",\"type\":0,\"name\":\"general\"}");
    assert_str(GET(MEMBERS, 12), "{\"user\":{\"id\":\"12\",\"username\":\"alice\"}}");
    GONE(EMOJIS, 51), GONE(THREADS, 71), GET(ROLES, GUILD);
    assert_false(cache_write(writer, STR("GUILD_EMOJIS_UPDATE"), STR("{" G ",\"emojis\":[]}"), &at, on_nothing, NULL));
    assert_false(
        cache_write(writer, STR("CHANNEL_PINS_UPDATE"), STR("{" G ",\"channel_id\":\"31\"}"), &at, on_nothing, NULL));
    put("MESSAGE_CREATE", "{\"id\":\"900\"," G ",\"channel_id\":\"31\",\"content\":\"hi\",\"author\":{\"id\":\"12\"}}");
    assert_str(MESSAGE, "{\"id\":\"900\",\"channel_id\":\"31\",\"content\":\"hi\"}");
    close_cache();
    cache_selection_done(&s);
}
ON_LOOP(entities_are_switched_off_and_trimmed)

static void the_marker_never_goes_back(void)
{
    open_cache(30, EVERYTHING);
    assert_int_equal(cache_seen(&cache, 0, 1, "abc", 1), 0);
    at.seq = 77;
    cache_mark(writer, STR("abc"), &at, false);
    assert_int_equal(cache_seen(&cache, 0, 1, "abc", 77), 1);
    assert_int_equal(cache_seen(&cache, 0, 1, "abc", 78), 0);
    assert_int_equal(cache_seen(&cache, 0, 1, "other", 5), 0);
    struct cache_place older = {
        at.epoch - 1, at.generation, 99, 0, 1, 0}; /* who lost the shard and does not know it yet */
    cache_mark(writer, STR("abc"), &older, false);
    assert_int_equal(cache_seen(&cache, 0, 1, "abc", 99), 0);
    close_cache();
}
ON_LOOP(the_marker_never_goes_back)

static int64_t ttl(const char *key)
{
    struct redis_reply *r;

    assert_int_equal(redis_await(redis, 2, (struct str[]){STR("TTL"), str_c(key)}, &r), 0);
    int64_t s = redis_reply_int(r);
    redis_reply_free(r);
    return s;
}

static void direct_messages_leave_nothing_for_good(void)
{
    open_cache(31, EVERYTHING);
    put("MESSAGE_CREATE", "{\"id\":\"900\",\"channel_id\":\"99000000\",\"author\":{\"id\":\"12\"}}");
    put("MESSAGE_REACTION_ADD", "{\"channel_id\":\"99000000\",\"message_id\":\"900\",\"user_id\":\"31\","
                                "\"emoji\":{" HEART "}}");
    READ(cache_message(&cache, 0, 99000000, 900, &text)), HAS("\"me\":true");
    assert_true(ttl("gh:31:{99000000}:messages:99000000") > 0);
    assert_true(ttl("gh:31:{99000000}:order:99000000") > 0);
    assert_true(ttl("gh:31:{99000000}:reactions:99000000") > 0);
    assert_true(ttl("gh:31:{99000000}:parts") > 0);
    assert_true(ttl("gh:31:{99000000}:version") > 0);
    assert_true(ttl("gh:31:{12}:user") > 0);
    close_cache();
}
ON_LOOP(direct_messages_leave_nothing_for_good)

static void it_is_counted(void)
{
    struct cache_stats s;

    open_cache(32, EVERYTHING);
    assert_int_equal(cache_stats_read(&cache, 64, &s), 0);
    assert_int_equal(s.guilds, 0);
    put("GUILD_CREATE", whole_guild);
    put("MESSAGE_CREATE", "{\"id\":\"900\"," G ",\"channel_id\":\"31\",\"author\":{\"id\":\"16\"}}");
    assert_int_equal(cache_stats_read(&cache, 64, &s), 0);
    assert_int_equal(s.guilds, 1);
    assert_int_equal(s.sampled, 1);
    assert_int_equal(s.of[CACHE_GUILDS].count, 1);
    assert_int_equal(s.of[CACHE_CHANNELS].count, 2);
    assert_int_equal(s.of[CACHE_MEMBERS].count, 2);
    assert_int_equal(s.of[CACHE_MESSAGES].count, 1);
    assert_int_equal(s.of[CACHE_THREAD_MEMBERS].count, 1);
    assert_int_equal(s.of[CACHE_REACTIONS].count, 0);
    assert_int_equal(s.of[CACHE_USERS].count, 3); /* two members, one author */
    assert_true(s.of[CACHE_CHANNELS].bytes > 50 && s.of[CACHE_CHANNELS].bytes < 5000);
    assert_true(s.of[CACHE_MESSAGES].bytes > 50 && s.of[CACHE_USERS].bytes > 50);
    close_cache();
}
ON_LOOP(it_is_counted)

/* What `guildhall ctl cache WORDS` prints; its exit status is in the answer. */
static int ctl(const char *words)
{
    char command[512];
    int byte;

    buf_clear(&text);
    snprintf(command, sizeof(command), "%s ctl cache %s --application-id 33 --redis-url %s 2>&1", GUILDHALL_BIN, words,
             services_env("REDIS_URL"));
    FILE *f = popen(command, "re"); // NOLINT(cert-env33-c): a test's own words
    assert_non_null(f);
    while ((byte = fgetc(f)) != EOF)
        buf_addc(&text, (char)byte);
    return WEXITSTATUS(pclose(f));
}

static void ctl_shows_and_purges(void)
{
    open_cache(33, EVERYTHING);
    put("GUILD_CREATE", whole_guild);
    put("MESSAGE_CREATE", "{\"id\":\"900\"," G ",\"channel_id\":\"31\",\"author\":{\"id\":\"16\"}}");
    cache_mark(writer, STR("abc"), &at, false);
    UNTIL(cache_writer_idle(writer));
    assert_int_equal(ctl("get guild 21000000"), 0);
    HAS("{\"id\":\"21000000\",\"name\":\"Demo\",\"member_count\":2}\n");
    assert_int_equal(ctl("get channel 31"), 0), HAS("general");
    assert_int_equal(ctl("get member 21000000 12"), 0), HAS("alice");
    assert_int_equal(ctl("get user 12"), 0), HAS("alice");
    assert_int_equal(ctl("get role 21000000 21000000"), 0), HAS("@everyone");
    assert_int_equal(ctl("get message 31 900"), 0), HAS("\"900\"");
    assert_int_equal(ctl("list messages 31"), 0), HAS("[{");
    assert_int_equal(ctl("list guilds"), 0), HAS("[\"21000000\"]");
    assert_int_equal(ctl("marker 0 1"), 0), HAS("session abc seq 2 ");
    assert_int_equal(ctl("stats"), 0), HAS("channels                      2"), HAS("from 1 of 1 guilds");
    assert_int_equal(ctl("get role 21000000 1"), 1), HAS("not in the cache");
    assert_int_equal(ctl("get role 21000000"), 2);
    assert_int_equal(ctl("purge guild 21000000"), 0), HAS(" keys");
    assert_int_equal(ctl("get guild 21000000"), 1);
    close_cache();
}
ON_LOOP(ctl_shows_and_purges)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guild_has_all_its_entities_test),
        cmocka_unit_test(single_members_of_a_channel_change_test),
        cmocka_unit_test(threads_come_and_go_test),
        cmocka_unit_test(people_come_and_go_test),
        cmocka_unit_test(reactions_are_counted_test),
        cmocka_unit_test(messages_are_listed_newest_first_test),
        cmocka_unit_test(a_guild_that_is_left_leaves_nothing_test),
        cmocka_unit_test(guilds_left_while_nobody_listened_go_test),
        cmocka_unit_test(entities_are_switched_off_and_trimmed_test),
        cmocka_unit_test(the_marker_never_goes_back_test),
        cmocka_unit_test(direct_messages_leave_nothing_for_good_test),
        cmocka_unit_test(it_is_counted_test),
        cmocka_unit_test(ctl_shows_and_purges_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
