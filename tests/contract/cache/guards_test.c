/* What the cache never does on a real Redis: let an older event win, lose messages to a GUILD_CREATE, trip over keys of
 * another layout, stop at a full Redis, or say that it has seen what Redis forgot. */
#include "cache/schema.h"
#include "tests/contract/cache/writing.h"

#define G            "\"guild_id\":\"21000000\""
#define NONE(call)   (buf_clear(&text), assert_int_equal((call), -ENOENT))
#define HAS(text_)   assert_non_null(strstr(buf_str(&text).p, text_))
#define LACKS(text_) assert_null(strstr(buf_str(&text).p, text_))
#define USER         READ(cache_user(&cache, 12, &text))

static int64_t run(int argc, const struct str *argv)
{
    struct redis_reply *r;

    assert_int_equal(redis_await(redis, argc, argv, &r), 0);
    assert_int_not_equal(redis_reply_type(r), REDIS_ERROR);
    int64_t n = redis_reply_int(r);
    redis_reply_free(r);
    return n;
}

#define RUN(...)                                                                                                       \
    run((int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), words_of((const char *[]){__VA_ARGS__, NULL}))

static const struct str *words_of(const char *const *words)
{
    static struct str out[16];

    for (int i = 0; words[i]; i++)
        out[i] = str_c(words[i]);
    return out;
}

static void user_at(const char *name, const struct cache_place *place)
{
    char data[128];

    snprintf(data, sizeof(data), "{\"id\":\"12\",\"username\":\"%s\"}", name);
    assert_int_equal(write_at("USER_UPDATE", data, place), CACHE_DONE);
}

static void an_older_event_never_changes_a_user(void)
{
    struct cache_place a = {.epoch = 1000, .generation = 1, .seq = 5, .shard = 0, .shard_count = 2, .received_ms = 100};
    struct cache_place b = {.epoch = 1000, .generation = 1, .seq = 2, .shard = 1, .shard_count = 2, .received_ms = 200};

    open_cache(51, INTENTS_ALL);
    user_at("five", &a);
    a.seq = 4, a.received_ms = 150;
    user_at("four", &a); /* replayed after a RESUME */
    USER, HAS("five");
    a.epoch = 999, a.seq = 6;
    user_at("zombie", &a); /* whoever lost the shard */
    USER, HAS("five");
    /* Another shard's numbers are not comparable: what was received later wins. */
    user_at("two", &b);
    USER, HAS("two");
    a = (struct cache_place){1000, 1, 6, 0, 2, 190};
    user_at("late", &a); /* received before, written after */
    USER, HAS("two");
    a.seq = 7, a.received_ms = 210;
    user_at("seven", &a);
    USER, HAS("seven");
    b.received_ms = 300; /* the other shard's again */
    user_at("two", &b);
    USER, HAS("seven");
    a = (struct cache_place){2000, 2, 1, 0, 2, 310}; /* a new session */
    user_at("one", &a);
    USER, HAS("one");
    close_cache();
}
ON_LOOP(an_older_event_never_changes_a_user)

static void more_shards_than_are_remembered_share_a_user(void)
{
    char name[16];

    open_cache(52, INTENTS_ALL);
    for (unsigned i = 0; i < 40; i++) {
        struct cache_place place = {1000, 1, 5, i, 40, 100 + i};
        snprintf(name, sizeof(name), "u%u", i);
        user_at(name, &place);
    }
    struct cache_place again = {1000, 1, 5, 39, 40, 500};
    user_at("again", &again);
    USER, HAS("u39");
    assert_true(RUN("STRLEN", "gh:52:{12}:user") < 700);
    close_cache();
}
ON_LOOP(more_shards_than_are_remembered_share_a_user)

static void an_older_event_never_changes_where_a_channel_is(void)
{
    uint64_t guild = 0;
    struct cache_place old;

    open_cache(53, INTENTS_ALL);
    put("CHANNEL_CREATE", "{\"id\":\"31\"," G "}");
    old = at;
    assert_int_equal(cache_guild_of(&cache, 31, &guild), 0);
    assert_int_equal(guild, GUILD);
    put("CHANNEL_DELETE", "{\"id\":\"31\"," G "}");
    assert_int_equal(cache_guild_of(&cache, 31, &guild), -ENOENT);
    assert_int_equal(write_at("CHANNEL_CREATE", "{\"id\":\"31\"," G "}", &old), CACHE_DONE);
    assert_int_equal(cache_guild_of(&cache, 31, &guild), -ENOENT);
    assert_true(RUN("TTL", "gh:53:{31}:guild_of") > 0);
    /* A guild that is left and joined again: what comes late of the leaving changes nothing. */
    put("GUILD_CREATE", "{\"id\":\"21000000\",\"channels\":[{\"id\":\"31\"}]}");
    old = at;
    at.seq++;
    assert_true(cache_write(writer, STR("GUILD_DELETE"), STR("{\"id\":\"21000000\"}"), &at, on_nothing, NULL));
    put("GUILD_CREATE", "{\"id\":\"21000000\",\"channels\":[{\"id\":\"31\"}]}");
    UNTIL(cache_writer_idle(writer));
    assert_int_equal(cache_guild_of(&cache, 31, &guild), 0);
    close_cache();
}
ON_LOOP(an_older_event_never_changes_where_a_channel_is)

#define MESSAGE(id, channel)                                                                                           \
    put("MESSAGE_CREATE", "{\"id\":\"" id "\"," G ",\"channel_id\":\"" channel "\",\"author\":{\"id\":\"12\"}}")
#define MEMBER(id) "{\"user\":{\"id\":\"" id "\"}}"

static void a_guild_that_comes_again_keeps_its_messages(void)
{
    open_cache(54, INTENTS_ALL);
    put("READY", "{\"user\":{\"id\":\"11\"}}");
    put("GUILD_CREATE",
        "{\"id\":\"21000000\",\"name\":\"A\",\"large\":true,\"member_count\":900,\"owner_id\":\"1\","
        "\"channels\":[{\"id\":\"31\"},{\"id\":\"32\"}],\"threads\":[{\"id\":\"71\",\"parent_id\":\"31\"},"
        "{\"id\":\"72\",\"parent_id\":\"32\"},{\"id\":\"73\",\"parent_id\":\"31\"}],\"roles\":[{\"id\":\"41\"}],"
        "\"emojis\":[{\"id\":\"51\"}],\"members\":[" MEMBER("11") "],\"voice_states\":[{\"user_id\":\"12\","
                                                                  "\"channel_id\":\"32\"}]}");
    MESSAGE("901", "31");
    MESSAGE("902", "32");
    MESSAGE("903", "72");
    MESSAGE("904", "73");
    put("MESSAGE_REACTION_ADD", "{" G ",\"channel_id\":\"31\",\"message_id\":\"901\",\"user_id\":\"12\",\"emoji\":"
                                "{\"id\":null,\"name\":\"x\"}}");
    put("GUILD_MEMBERS_CHUNK", "{" G ",\"members\":[" MEMBER("12") "]}");
    put("THREAD_MEMBERS_UPDATE", "{" G ",\"id\":\"71\",\"added_members\":[{\"user_id\":\"12\"}]}");
    int64_t ttl = RUN("EXPIRE", "gh:54:{21000000}:messages:31", "777");
    assert_int_equal(ttl, 1);

    /* Available again in the same session: channel 32 is gone, and thread 73 is no active one any more. */
    static const char again[] =
        "{\"id\":\"21000000\",\"name\":\"B\",\"large\":true,\"member_count\":900,\"channels\":[{\"id\":\"31\"}],"
        "\"threads\":[{\"id\":\"71\",\"parent_id\":\"31\"}],\"roles\":[],\"emojis\":[{\"id\":\"52\"}],"
        "\"members\":[" MEMBER("11") "],\"voice_states\":[]}";
    put("GUILD_CREATE", again);
    READ(cache_guild(&cache, GUILD, &text)), HAS("\"B\""), LACKS("owner_id");
    READ(cache_message(&cache, GUILD, 31, 901, &text)), HAS("\"count\":1");
    ttl = RUN("TTL", "gh:54:{21000000}:messages:31");
    assert_true(ttl > 0 && ttl <= 777);
    READ(cache_message(&cache, GUILD, 73, 904, &text));
    NONE(cache_message(&cache, GUILD, 32, 902, &text));
    NONE(cache_message(&cache, GUILD, 72, 903, &text));
    NONE(cache_get(&cache, CACHE_CHANNELS, GUILD, 32, &text));
    NONE(cache_get(&cache, CACHE_THREADS, GUILD, 73, &text));
    NONE(cache_get(&cache, CACHE_ROLES, GUILD, 41, &text));
    NONE(cache_get(&cache, CACHE_EMOJIS, GUILD, 51, &text));
    READ(cache_get(&cache, CACHE_EMOJIS, GUILD, 52, &text));
    NONE(cache_get(&cache, CACHE_VOICE_STATES, GUILD, 12, &text));
    READ(cache_member(&cache, GUILD, 12, &text)); /* of 900 it names one, and nothing was missed */
    READ(cache_thread_member(&cache, GUILD, 71, 12, &text));
    uint64_t guild;
    UNTIL(cache_guild_of(&cache, 32, &guild) == -ENOENT);

    /* In a new session what was missed is not known: only messages stay. */
    at.generation++, at.seq = 0;
    put("GUILD_CREATE", again);
    READ(cache_message(&cache, GUILD, 31, 901, &text));
    NONE(cache_member(&cache, GUILD, 12, &text));
    NONE(cache_thread_member(&cache, GUILD, 71, 12, &text));
    READ(cache_member(&cache, GUILD, 11, &text));
    close_cache();
}
ON_LOOP(a_guild_that_comes_again_keeps_its_messages)

static void keys_of_another_layout_go(void)
{
    open_cache(55, INTENTS_ALL);
    /* Sessions alone, as a Redis that forgot everything is told of: they stay. */
    RUN("HSET", "gh:55:{shard:0/1}:session:1", "seq", "5");
    assert_int_equal(cache_schema_open(&cache), 0);
    assert_int_equal(RUN("EXISTS", "gh:55:{shard:0/1}:session:1"), 1);
    RUN("SET", "gh:55:schema", "1");
    RUN("ZADD", "gh:55:{21000000}:order:31", "1", "900");
    RUN("HSET", "gh:55:{21000000}:version", "e", "1");
    RUN("SET", "gh:55:{12}:user", "{}");
    RUN("SADD", "gh:55:guilds", "21000000");
    RUN("HSET", "gh:55:{shard:0/1}:marker", "seq", "5");
    RUN("HSET", "gh:55:{shard:0/1}:session:1", "seq", "5");
    RUN("HSET", "gh:55:shards:1/1", "a", "b");
    RUN("SET", "gh:55:{workers:7}:done", "x");
    RUN("SET", "gh:555:{12}:user", "another's");
    for (int i = 0; i < 3000; i++) {
        char key[64];
        snprintf(key, sizeof(key), "gh:55:{%d}:user", 1000 + i);
        RUN("SET", key, "{}");
    }
    assert_int_equal(cache_schema_open(&cache), 0);
    assert_int_equal(RUN("EXISTS", "gh:55:{21000000}:order:31", "gh:55:{21000000}:version", "gh:55:{12}:user",
                         "gh:55:guilds", "gh:55:{shard:0/1}:marker", "gh:55:{shard:0/1}:session:1", "gh:55:{1000}:user",
                         "gh:55:{3999}:user"),
                     0);
    assert_int_equal(RUN("EXISTS", "gh:55:shards:1/1", "gh:55:{workers:7}:done", "gh:555:{12}:user"), 3);
    /* Ours is left alone, and while another process is at it nobody begins. */
    put("CHANNEL_CREATE", "{\"id\":\"31\"," G "}");
    assert_int_equal(cache_schema_open(&cache), 0);
    READ(cache_channel(&cache, GUILD, 31, &text));
    RUN("SET", "gh:55:schema", "purge other/1");
    assert_int_equal(cache_schema_open(&cache), -EAGAIN);
    close_cache();
}
ON_LOOP(keys_of_another_layout_go)

/* Whoever put them there: the guild's go, and the event is written after all. */
static void keys_of_another_type_are_no_dead_end(void)
{
    open_cache(56, INTENTS_ALL);
    put("CHANNEL_CREATE", "{\"id\":\"32\"," G "}");
    RUN("ZADD", "gh:56:{21000000}:order:31", "1", "900");
    at.seq++;
    static const char message[] = "{\"id\":\"901\"," G ",\"channel_id\":\"31\",\"author\":{\"id\":\"12\"}}";
    assert_int_equal(write_at("MESSAGE_CREATE", message, &at), CACHE_RETRY);
    assert_int_equal(write_at("MESSAGE_CREATE", message, &at), CACHE_DONE);
    READ(cache_message(&cache, GUILD, 31, 901, &text));
    NONE(cache_channel(&cache, GUILD, 32, &text));
    RUN("DEL", "gh:56:{21000000}:version");
    RUN("HSET", "gh:56:{21000000}:version", "e", "1");
    at.seq++;
    assert_int_equal(write_at("CHANNEL_CREATE", "{\"id\":\"32\"," G "}", &at), CACHE_RETRY);
    assert_int_equal(write_at("CHANNEL_CREATE", "{\"id\":\"32\"," G "}", &at), CACHE_DONE);
    READ(cache_channel(&cache, GUILD, 32, &text));
    RUN("DEL", "gh:56:{12}:user");
    RUN("HSET", "gh:56:{12}:user", "e", "1");
    put("USER_UPDATE", "{\"id\":\"12\",\"username\":\"new\"}");
    READ(cache_user(&cache, 12, &text));
    close_cache();
}
ON_LOOP(keys_of_another_type_are_no_dead_end)

static void with_a_full_redis_what_changes_goes(void)
{
    open_cache(57, INTENTS_ALL);
    put("GUILD_CREATE", "{\"id\":\"21000000\",\"name\":\"A\",\"member_count\":1,\"channels\":[{\"id\":\"31\",\"name\":"
                        "\"old\"},{\"id\":\"32\"}],\"members\":[" MEMBER("11") "]}");
    MESSAGE("901", "31");
    MESSAGE("902", "31");
    put("USER_UPDATE", "{\"id\":\"12\",\"username\":\"old\"}");
    RUN("CONFIG", "SET", "maxmemory", "1");
    put("CHANNEL_UPDATE", "{\"id\":\"31\"," G ",\"name\":\"new\"}");
    put("GUILD_UPDATE", "{\"id\":\"21000000\",\"name\":\"B\"}");
    put("GUILD_MEMBER_ADD", "{" G ",\"user\":{\"id\":\"13\"}}");
    put("MESSAGE_CREATE", "{\"id\":\"903\"," G ",\"channel_id\":\"31\",\"author\":{\"id\":\"15\"}}");
    put("MESSAGE_UPDATE", "{\"id\":\"901\"," G ",\"channel_id\":\"31\",\"author\":{\"id\":\"15\"}}");
    put("MESSAGE_REACTION_ADD", "{" G ",\"channel_id\":\"31\",\"message_id\":\"902\",\"user_id\":\"12\",\"emoji\":"
                                "{\"id\":null,\"name\":\"x\"}}");
    put("USER_UPDATE", "{\"id\":\"12\",\"username\":\"new\"}");
    put("CHANNEL_CREATE", "{\"id\":\"33\"," G "}");
    cache_mark(writer, STR("abc"), &at, false);
    UNTIL(cache_writer_idle(writer));
    assert_int_equal(cache_seen(&cache, 0, 1, "abc", at.seq), 1);
    NONE(cache_channel(&cache, GUILD, 31, &text));
    NONE(cache_channel(&cache, GUILD, 33, &text));
    NONE(cache_message(&cache, GUILD, 31, 901, &text));
    NONE(cache_message(&cache, GUILD, 31, 902, &text));
    NONE(cache_message(&cache, GUILD, 31, 903, &text));
    NONE(cache_member(&cache, GUILD, 13, &text));
    NONE(cache_user(&cache, 12, &text));
    READ(cache_channel(&cache, GUILD, 32, &text)); /* did not change */
    NONE(cache_guild(&cache, GUILD, &text));
    /* What came meanwhile counts: it does not come back when there is room again. */
    RUN("CONFIG", "SET", "maxmemory", "0");
    struct cache_place old = at;
    old.seq -= 6;
    assert_int_equal(write_at("CHANNEL_UPDATE", "{\"id\":\"31\"," G ",\"name\":\"older\"}", &old), CACHE_DONE);
    NONE(cache_channel(&cache, GUILD, 31, &text));
    put("CHANNEL_UPDATE", "{\"id\":\"31\"," G ",\"name\":\"newest\"}");
    READ(cache_channel(&cache, GUILD, 31, &text)), HAS("newest");
    put("USER_UPDATE", "{\"id\":\"12\",\"username\":\"newest\"}");
    USER, HAS("newest");
    close_cache();
}
ON_LOOP(with_a_full_redis_what_changes_goes)

#define SEEN(session, seq) cache_seen(&cache, 0, 1, session, seq)

/* A shard that moves: the session goes on under another epoch. A Redis that forgot it: nothing is said any more. */
static void the_marker_moves_and_does_not_lie(void)
{
    open_cache(59, INTENTS_ALL);
    at.seq = 5;
    cache_mark(writer, STR("abc"), &at, false);
    UNTIL(SEEN("abc", 5) == 1);
    struct cache_writer *other =
        cache_writer_new(&(struct cache_writer_options){.redis = redis, .application = 59, .intents = INTENTS_ALL});
    struct cache_place moved = at;
    moved.epoch++, moved.seq = 6;
    cache_mark(other, STR("abc"), &moved, true);
    UNTIL(SEEN("abc", 6) == 1);
    at.seq = 9; /* who lost it does not know yet */
    cache_mark(writer, STR("abc"), &at, false);
    UNTIL(cache_writer_idle(writer));
    assert_int_equal(SEEN("abc", 6), 1);
    assert_int_equal(SEEN("abc", 9), 0);
    RUN("DEL", "gh:59:{shard:0/1}:marker");
    for (moved.seq = 7; moved.seq < 10; moved.seq++) {
        cache_mark(other, STR("abc"), &moved, true);
        UNTIL(cache_writer_idle(other));
        assert_int_equal(SEEN("abc", moved.seq), 0);
    }
    /* Neither when it has an older state, from before a crash. */
    moved.generation++, moved.seq = 1;
    cache_mark(other, STR("new"), &moved, false);
    UNTIL(SEEN("new", 1) == 1);
    RUN("HSET", "gh:59:{shard:0/1}:marker", "seq", "0");
    moved.seq = 2;
    cache_mark(other, STR("new"), &moved, false);
    UNTIL(cache_writer_idle(other));
    assert_int_equal(SEEN("new", 2), 0);
    assert_int_equal(SEEN("new", 0), 0);
    cache_writer_free(other);
    close_cache();
}
ON_LOOP(the_marker_moves_and_does_not_lie)

#define MANY 25000
static const char many_script[] =
    "for i = 1, 25000 do redis.call('HSET', KEYS[1], i, '{\"user\":{\"id\":\"' .. i .. '\"},\"nick\":\"a nick "
    "that is long enough for a hash of its own kind, not a packed one\"}') end return 1";

static void a_long_list_is_read_in_slices(void)
{
    uint64_t cursor = 0;
    unsigned slices = 0;
    size_t bytes = 0, longest = 0;

    open_cache(60, INTENTS_ALL);
    RUN("EVAL", many_script, "1", "gh:60:{21000000}:members");
    do {
        buf_clear(&text);
        assert_int_equal(cache_list_slice(&cache, CACHE_MEMBERS, GUILD, &cursor, &text), 0);
        bytes += text.len;
        longest = text.len > longest ? text.len : longest;
        slices++;
    } while (cursor != 0);
    assert_true(slices > 10 && longest < bytes / 5 && bytes > MANY * (size_t)90);
    buf_clear(&text);
    assert_int_equal(cache_list(&cache, CACHE_MEMBERS, GUILD, &text), -E2BIG);
    close_cache();
}
ON_LOOP(a_long_list_is_read_in_slices)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_older_event_never_changes_a_user_test),
        cmocka_unit_test(more_shards_than_are_remembered_share_a_user_test),
        cmocka_unit_test(an_older_event_never_changes_where_a_channel_is_test),
        cmocka_unit_test(a_guild_that_comes_again_keeps_its_messages_test),
        cmocka_unit_test(keys_of_another_layout_go_test),
        cmocka_unit_test(keys_of_another_type_are_no_dead_end_test),
        cmocka_unit_test(with_a_full_redis_what_changes_goes_test),
        cmocka_unit_test(the_marker_moves_and_does_not_lie_test),
        cmocka_unit_test(a_long_list_is_read_in_slices_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
