/* The protocol's corners: every close code, starting sessions, op 8, who gets which event, privileged intents, counts.
 */
#include "tests/contract/gateway/fixture.h"

#include "platform/base/check.h"
#include "platform/base/limits.h"

#include <stdio.h>

/* --- close codes -----------------------------------------------------------------------------------------------------
 */
/* What a client does and what it is closed with. In payloads $TOKEN is the token of `token_user`. */
static const struct row {
    const char *name;
    const char *query;
    uint64_t session_of; /* identified as, before the payload; 0: not at all */
    uint64_t token_user;
    const char *payload; /* NULL: nothing is sent */
    int code;
} rows[] = {
    {"unknown opcode", "?v=10", 0, 0, "{\"op\":99,\"d\":null}", 4001},
    {"an opcode only servers send", "?v=10", 0, 0, "{\"op\":10,\"d\":null}", 4001},
    {"a dispatch", "?v=10", FULL, 0, "{\"op\":0,\"d\":{}}", 4001},
    {"op 8 without a guild", "?v=10", FULL, 0, "{\"op\":8,\"d\":{\"query\":\"\",\"limit\":0}}", 4001},
    {"op 8 that is no object", "?v=10", FULL, 0, "{\"op\":8,\"d\":[1]}", 4001},
    {"op 3 that is no object", "?v=10", FULL, 0, "{\"op\":3,\"d\":5}", 4001},
    {"op 4 with a wrong id", "?v=10", FULL, 0, "{\"op\":4,\"d\":{\"guild_id\":\"x\"}}", 4001},
    {"no JSON", "?v=10", 0, 0, "hello", 4002},
    {"JSON that ends early", "?v=10", FULL, 0, "{\"op\":1,\"d\":", 4002},
    {"no object", "?v=10", 0, 0, "[1]", 4002},
    {"no op", "?v=10", 0, 0, "{\"d\":null}", 4002},
    {"a heartbeat of text", "?v=10", 0, 0, "{\"op\":1,\"d\":\"x\"}", 4002},
    {"IDENTIFY without a token", "?v=10", 0, 0, "{\"op\":2,\"d\":{\"intents\":0}}", 4002},
    {"intents of text", "?v=10", 0, FULL, "{\"op\":2,\"d\":{\"token\":\"$TOKEN\",\"intents\":\"all\"}}", 4002},
    {"RESUME without a session", "?v=10", 0, FULL, "{\"op\":6,\"d\":{\"token\":\"$TOKEN\",\"seq\":1}}", 4002},
    {"presence before IDENTIFY", "?v=10", 0, 0, "{\"op\":3,\"d\":{\"status\":\"online\",\"activities\":[]}}", 4003},
    {"voice before IDENTIFY", "?v=10", 0, 0, "{\"op\":4,\"d\":{\"guild_id\":\"1\",\"channel_id\":null}}", 4003},
    {"members before IDENTIFY", "?v=10", 0, 0, "{\"op\":8,\"d\":{\"guild_id\":\"1\",\"query\":\"\",\"limit\":0}}",
     4003},
    {"sounds before IDENTIFY", "?v=10", 0, 0, "{\"op\":31,\"d\":{\"guild_ids\":[]}}", 4003},
    {"channel info before IDENTIFY", "?v=10", 0, 0, "{\"op\":43,\"d\":{\"guild_id\":\"1\",\"fields\":[]}}", 4003},
    {"no such token", "?v=10", 0, 0, "{\"op\":2,\"d\":{\"token\":\"MTA0.x.y\",\"intents\":0}}", 4004},
    {"RESUME with no such token", "?v=10", 0, 0,
     "{\"op\":6,\"d\":{\"token\":\"MTA0.x.y\",\"session_id\":\"a\",\"seq\":1}}", 4004},
    {"identifying twice", "?v=10", FULL, FULL, "{\"op\":2,\"d\":{\"token\":\"$TOKEN\",\"intents\":0}}", 4005},
    {"resuming a session that is there", "?v=10", FULL, FULL,
     "{\"op\":6,\"d\":{\"token\":\"$TOKEN\",\"session_id\":\"a\",\"seq\":1}}", 4005},
    {"a number below zero", "?v=10", 0, FULL, "{\"op\":6,\"d\":{\"token\":\"$TOKEN\",\"session_id\":\"a\",\"seq\":-1}}",
     4007},
    {"a shard beyond the last", "?v=10", 0, FULL,
     "{\"op\":2,\"d\":{\"token\":\"$TOKEN\",\"intents\":0,\"shard\":[2,2]}}", 4010},
    {"no shards at all", "?v=10", 0, FULL, "{\"op\":2,\"d\":{\"token\":\"$TOKEN\",\"intents\":0,\"shard\":[0,0]}}",
     4010},
    {"a shard that is none", "?v=10", 0, FULL,
     "{\"op\":2,\"d\":{\"token\":\"$TOKEN\",\"intents\":0,\"shard\":[\"0\"]}}", 4010},
    {"too many guilds", "?v=10", 0, BOT, "{\"op\":2,\"d\":{\"token\":\"$TOKEN\",\"intents\":0}}", 4011},
    {"version 5", "?v=5&encoding=json", 0, 0, NULL, 4012},
    {"a version of letters", "?v=ten", 0, 0, NULL, 4012},
    {"a bit that is no intent", "?v=10", 0, FULL, "{\"op\":2,\"d\":{\"token\":\"$TOKEN\",\"intents\":131072}}", 4013},
    {"intents below zero", "?v=10", 0, FULL, "{\"op\":2,\"d\":{\"token\":\"$TOKEN\",\"intents\":-1}}", 4013},
    {"no intents", "?v=10", 0, FULL, "{\"op\":2,\"d\":{\"token\":\"$TOKEN\"}}", 4013},
    {"members not allowed", "?v=10", 0, BOT, "{\"op\":2,\"d\":{\"token\":\"$TOKEN\",\"intents\":2,\"shard\":[0,2]}}",
     4014},
    {"presences not allowed", "?v=10", 0, BOT,
     "{\"op\":2,\"d\":{\"token\":\"$TOKEN\",\"intents\":256,\"shard\":[0,2]}}", 4014},
    {"content not allowed", "?v=10", 0, BOT,
     "{\"op\":2,\"d\":{\"token\":\"$TOKEN\",\"intents\":32768,\"shard\":[0,2]}}", 4014},
};

static void payload_send(struct client *c, const struct row *row)
{
    const char *at = strstr(row->payload, "$TOKEN");

    if (at)
        client_send(c, "%.*s%s%s", (int)(at - row->payload), row->payload, token_of(row->token_user), at + 6);
    else
        client_send(c, "%s", row->payload);
}

static void close_codes(void)
{
    struct node n;
    struct client c;

    world_open();
    node_options.guilds_per_session = 1;
    node_open(&n, "a");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].session_of) {
            client_login(&c, &n, rows[i].session_of, INTENTS_ALL, 1);
        } else {
            client_open(&c, &n, rows[i].query);
            if (rows[i].payload)
                (void)client_op(&c, 10);
        }
        if (rows[i].payload)
            payload_send(&c, &rows[i]);
        int code = client_closed(&c);
        if (code != rows[i].code)
            fail_msg("%s: closed with %d", rows[i].name, code);
        client_close(&c, 1000);
    }
    node_close(&n);
    world_close();
}

/* Those that take more than one payload: 4000, 4002 by size, 4007 by a number to come, 4008, 4009. */
static void other_close_codes(void)
{
    struct node n;
    struct client c;
    char big[LIMIT_WS_PAYLOAD_BYTES + 1];

    world_open();
    node_options.heartbeat_interval_ms = 5000;
    node_options.limits = true;
    node_open(&n, "a");
    client_login(&c, &n, BOB, INTENTS_USUAL, 1);
    memset(big, ' ', sizeof big);
    memcpy(big, "{\"op\":1,\"d\":null}", 17);
    client_send_raw(&c, (struct str){big, LIMIT_WS_PAYLOAD_BYTES});
    (void)client_op(&c, 11); /* exactly as much as is allowed */
    client_send_raw(&c, (struct str){big, sizeof big});
    assert_int_equal(client_closed(&c), 4002);
    client_close(&c, 1000);

    client_login(&c, &n, BOB, INTENTS_USUAL, 1);
    struct client again;
    client_open(&again, &n, "?v=10");
    (void)client_op(&again, 10);
    client_cut(&c);
    memcpy(again.session_id, c.session_id, sizeof c.session_id);
    again.seq = c.seq + 1;
    client_resume(&again, BOB);
    assert_int_equal(client_closed(&again), 4007);
    client_close(&again, 1000);

    client_login(&c, &n, CAROL, INTENTS_USUAL, 0);
    for (int i = 1; i < LIMIT_WS_SENDS_PER_MINUTE; i++) /* IDENTIFY was one */
        client_send(&c, "{\"op\":1,\"d\":null}");
    for (int i = 1; i < LIMIT_WS_SENDS_PER_MINUTE; i++)
        (void)client_op(&c, 11);
    client_send(&c, "{\"op\":1,\"d\":null}");
    assert_int_equal(client_closed(&c), 4008);
    client_close(&c, 1000);

    client_login(&c, &n, BOB, INTENTS_USUAL, 1);
    assert_int_equal(client_closed(&c), 4009);
    client_close(&c, 1000);

    client_login(&c, &n, CAROL, INTENTS_USUAL, 0);
    gateway_stop(n.gateway);
    n.gateway = NULL;
    assert_int_equal(client_closed(&c), 4000);
    client_close(&c, 1000);
    node_close(&n);
    world_close();
}

/* --- starting sessions -----------------------------------------------------------------------------------------------
 */
static void limits_set(uint64_t application, int concurrency, int starts)
{
    struct arena a = {0};
    struct commit c;

    commit_init(&c, &a);
    store_application_limits_set(&c, application, concurrency, starts);
    assert_int_equal(commit_run(&c, &ports), 0);
    arena_done(&a);
}

/* True: READY; false: op 9, not resumable. */
static bool starts(struct client *c, const struct node *n, uint64_t bot, const char *shard)
{
    client_open(c, n, "?v=10");
    client_identify(c, bot, INTENTS_USUAL, shard);
    json_t *p = client_next(c);
    assert_non_null(p);
    bool ready = strcmp(text_at(p, "t"), "READY") == 0;
    if (!ready) {
        assert_int_equal(json_integer_value(json_object_get(p, "op")), 9);
        assert_true(json_is_false(json_object_get(p, "d")));
    }
    return ready;
}

static void identify_buckets(void)
{
    struct node one, two;
    struct client c[6];

    world_open();
    limits_set(BOT, 2, 0);
    limits_set(FULL, 16, 2);
    node_options.limits = true;
    node_open(&one, "a");
    node_open(&two, "b");
    /* two buckets: shards 0 and 1 at once, wherever they connect; 2 is of the bucket of 0 */
    assert_true(starts(&c[0], &one, BOT, ",\"shard\":[0,4]"));
    assert_true(starts(&c[1], &two, BOT, ",\"shard\":[1,4]"));
    assert_false(starts(&c[2], &two, BOT, ",\"shard\":[2,4]"));
    /* two a day */
    assert_true(starts(&c[3], &one, FULL, ",\"shard\":[0,16]"));
    assert_true(starts(&c[4], &two, FULL, ",\"shard\":[1,16]"));
    assert_false(starts(&c[5], &one, FULL, ",\"shard\":[2,16]"));
    for (int i = 0; i < 6; i++)
        client_close(&c[i], 1000);
    node_close(&one), node_close(&two);
    world_close();
}

/* --- op 8 ------------------------------------------------------------------------------------------------------------
 */
static int64_t count_at(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);

    return json_is_array(v) ? (int64_t)json_array_size(v) : json_integer_value(v);
}

static void chunks_of_a_large_guild(void)
{
    struct node n;
    struct client full, bot;
    int64_t members = 0;

    world_open();
    members_make(2500);
    node_options.limits = true;
    node_open(&n, "a");
    client_login(&full, &n, FULL, INTENTS_ALL, 0);
    json_t *guild = client_event(&full, "GUILD_CREATE");
    assert_int_equal(count_at(guild, "member_count"), 2504);
    assert_true(json_is_true(json_object_get(guild, "large")));
    assert_int_equal(count_at(guild, "members"), 1);

    client_send(&full, "{\"op\":8,\"d\":{\"guild_id\":\"%d\",\"query\":\"\",\"limit\":0,\"nonce\":\"all\"}}", GUILD);
    for (int i = 0; i < 3; i++) {
        json_t *chunk = client_event(&full, "GUILD_MEMBERS_CHUNK");
        assert_int_equal(count_at(chunk, "chunk_index"), i);
        assert_int_equal(count_at(chunk, "chunk_count"), 3);
        assert_true(count_at(chunk, "members") <= LIMIT_MEMBERS_CHUNK);
        assert_string_equal(text_at(chunk, "nonce"), "all");
        members += count_at(chunk, "members");
    }
    assert_int_equal(members, 2504);
    /* the whole guild once in thirty seconds */
    client_send(&full, "{\"op\":8,\"d\":{\"guild_id\":\"%d\",\"query\":\"\",\"limit\":0,\"nonce\":\"more\"}}", GUILD);
    json_t *d = client_event(&full, "RATE_LIMITED");
    assert_int_equal(count_at(d, "opcode"), 8);
    double wait = json_number_value(json_object_get(d, "retry_after"));
    assert_true(wait > 0 && wait <= LIMIT_MEMBERS_ALL_MS / 1000.0);
    json_t *meta = json_object_get(d, "meta");
    assert_string_equal(text_at(meta, "guild_id"), "8388608");
    assert_string_equal(text_at(meta, "nonce"), "more");
    /* a prefix: never more than a hundred, and not limited */
    client_send(&full, "{\"op\":8,\"d\":{\"guild_id\":\"%d\",\"query\":\"MEMB\",\"limit\":1000}}", GUILD);
    assert_int_equal(count_at(client_event(&full, "GUILD_MEMBERS_CHUNK"), "members"), 100);
    client_send(&full, "{\"op\":8,\"d\":{\"guild_id\":\"%d\",\"query\":\"zoe\",\"limit\":50}}", GUILD);
    assert_int_equal(count_at(client_event(&full, "GUILD_MEMBERS_CHUNK"), "members"), 25);
    client_send(&full, "{\"op\":8,\"d\":{\"guild_id\":\"%d\",\"query\":\"\",\"limit\":7}}", GUILD);
    assert_int_equal(count_at(client_event(&full, "GUILD_MEMBERS_CHUNK"), "members"), 7);
    /* without GUILD_MEMBERS: prefixes and ids, but no list */
    client_login(&bot, &n, BOT, INTENTS_USUAL, 2);
    client_send(&bot, "{\"op\":8,\"d\":{\"guild_id\":\"%d\",\"query\":\"\",\"limit\":7}}", GUILD);
    assert_int_equal(count_at(client_event(&bot, "GUILD_MEMBERS_CHUNK"), "members"), 0);
    client_send(&bot, "{\"op\":8,\"d\":{\"guild_id\":\"%d\",\"query\":\"zoe1\",\"limit\":0}}", GUILD);
    assert_int_equal(count_at(client_event(&bot, "GUILD_MEMBERS_CHUNK"), "members"), 11);
    client_send(&bot,
                "{\"op\":8,\"d\":{\"guild_id\":\"%d\",\"user_ids\":[100000,\"5\",\"100001\"],\"presences\":true}}",
                GUILD);
    d = client_event(&bot, "GUILD_MEMBERS_CHUNK");
    assert_int_equal(count_at(d, "members"), 2);
    assert_int_equal(count_at(d, "not_found"), 1);
    assert_null(json_object_get(d, "presences"));
    /* a guild it is not in */
    client_send(&full, "{\"op\":8,\"d\":{\"guild_id\":\"%d\",\"query\":\"a\",\"limit\":0}}", OTHER);
    assert_int_equal(count_at(client_event(&full, "GUILD_MEMBERS_CHUNK"), "members"), 0);
    client_close(&full, 1000), client_close(&bot, 1000);
    node_close(&n);
    world_close();
}

static void a_hundred_ids(void)
{
    struct node n;
    struct client full;
    BUF_AUTO struct buf text = {0};

    world_open();
    members_make(120);
    node_open(&n, "a");
    client_login(&full, &n, FULL, INTENTS_ALL, 1);
    buf_addf(&text, "{\"op\":8,\"d\":{\"guild_id\":\"%d\",\"user_ids\":[\"100000\"", GUILD);
    for (int i = 1; i < 120; i++)
        buf_addf(&text, ",\"%d\"", 100000 + i);
    buf_adds(&text, "]}}");
    client_send_raw(&full, buf_str(&text));
    assert_int_equal(count_at(client_event(&full, "GUILD_MEMBERS_CHUNK"), "members"), 100);
    client_close(&full, 1000);
    node_close(&n);
    world_close();
}

static void sounds_and_channel_info(void)
{
    struct node n;
    struct client full;

    world_open();
    node_open(&n, "a");
    client_login(&full, &n, FULL, INTENTS_ALL, 1);
    client_send(&full, "{\"op\":31,\"d\":{\"guild_ids\":[\"%d\",\"%d\"]}}", OTHER, GUILD);
    json_t *d = client_event(&full, "SOUNDBOARD_SOUNDS");
    assert_string_equal(text_at(d, "guild_id"), "8388608");
    assert_true(json_is_array(json_object_get(d, "soundboard_sounds")));
    client_send(&full, "{\"op\":43,\"d\":{\"guild_id\":\"%d\",\"fields\":[\"status\"]}}", GUILD);
    d = client_event(&full, "CHANNEL_INFO");
    assert_string_equal(text_at(d, "guild_id"), "8388608");
    assert_true(json_is_array(json_object_get(d, "channels")));
    client_quiet(&full, 50);
    client_close(&full, 1000);
    node_close(&n);
    world_close();
}

/* GUILD_CREATE lists whom it may: without GUILD_PRESENCES the session itself. */
static void members_in_guild_create(void)
{
    struct node n;
    struct client c;

    world_open();
    node_open(&n, "a");
    client_login(&c, &n, FULL, INTENTS_ALL, 0);
    assert_int_equal(count_at(client_event(&c, "GUILD_CREATE"), "members"), 4);
    client_close(&c, 1000);
    client_login(&c, &n, FULL, INTENTS_ALL & ~(uint32_t)INTENT_GUILD_PRESENCES, 0);
    assert_int_equal(count_at(client_event(&c, "GUILD_CREATE"), "members"), 1);
    client_close(&c, 1000);
    /* over the threshold those that have a role, a nick or are there */
    members_make(60);
    tell(EVENT_GUILD_DELETE, GUILD, false, 0, 0, "{\"id\":\"8388608\"}"); /* so that the guild is read again */
    co_sleep(50);
    struct arena a = {0};
    struct commit commit;
    struct member m = {.guild_id = GUILD, .user = {.id = 100005}, .nick = STR("ab"), .joined_ms = 1};
    commit_init(&commit, &a);
    store_member_update(&commit, &m);
    assert_int_equal(commit_run(&commit, &ports), 0);
    arena_done(&a);
    client_open(&c, &n, "?v=10");
    client_identify(&c, FULL, INTENTS_ALL, ",\"large_threshold\":60");
    json_t *guild = client_event(&c, "GUILD_CREATE");
    assert_true(json_is_true(json_object_get(guild, "large")));
    assert_int_equal(count_at(guild, "members"), 2);
    client_close(&c, 1000);
    client_open(&c, &n, "?v=10");
    client_identify(&c, FULL, INTENTS_ALL, ",\"large_threshold\":64");
    guild = client_event(&c, "GUILD_CREATE");
    assert_true(json_is_false(json_object_get(guild, "large")));
    assert_int_equal(count_at(guild, "members"), 64);
    client_close(&c, 1000);
    node_close(&n);
    world_close();
}

static bool has_member(const json_t *guild, uint64_t user)
{
    char id[24];
    size_t i;
    const json_t *m;

    snprintf(id, sizeof id, "%llu", (unsigned long long)user);
    json_array_foreach(json_object_get(guild, "members"), i, m)
    {
        if (strcmp(text_at(json_object_get(m, "user"), "id"), id) == 0)
            return true;
    }
    return false;
}

static void members_mark(void)
{
    struct arena a = {0};
    struct commit c;
    struct member nick = {.guild_id = GUILD, .user = {.id = 100005}, .nick = STR("ab"), .joined_ms = 1};
    struct member role = {
        .guild_id = GUILD, .user = {.id = 100006}, .roles = (uint64_t[]){MOD}, .role_count = 1, .joined_ms = 1};

    commit_init(&c, &a);
    store_member_update(&c, &nick);
    store_member_update(&c, &role);
    assert_int_equal(commit_run(&c, &ports), 0);
    arena_done(&a);
}

/* GUILD_CREATE of GUILD to a session of `user`, with how many members and presences. */
static json_t *sees_members(struct client *c, const struct node *n, uint64_t user, uint32_t intents, int members,
                            int presences)
{
    client_login(c, n, user, intents, 0);
    json_t *guild = client_event(c, "GUILD_CREATE");
    if (strcmp(text_at(guild, "id"), "8388608") != 0)
        guild = client_event(c, "GUILD_CREATE");
    assert_true(json_is_true(json_object_get(guild, "large")));
    assert_int_equal(count_at(guild, "members"), members);
    assert_int_equal(count_at(guild, "presences"), presences);
    return guild;
}

static bool presences_kept(unsigned count)
{
    unsigned there;

    return kv_entries_count(ports.kv, KV_PRESENCE, GUILD, &there) == 0 && there == count;
}

/* Of a guild that is too large to be kept: who is online (on any node), has a nick or a role. */
static void active_members_of_a_large_guild(void)
{
    struct node one, two;
    struct client bob, full, alice, bot;

    world_open();
    members_make(600);
    members_mark();
    node_open(&one, "a");
    node_open(&two, "b");
    client_login(&bob, &two, BOB, INTENTS_USUAL, 1);
    UNTIL(presences_kept(1));
    json_t *guild = sees_members(&full, &one, FULL, INTENTS_ALL, 4, 2);
    assert_true(has_member(guild, BOB) && has_member(guild, FULL) && has_member(guild, 100005) &&
                has_member(guild, 100006));
    UNTIL(presences_kept(2));
    /* who joins, and who gets a nick, while they are kept; who goes offline */
    (void)tell(EVENT_GUILD_MEMBER_UPDATE, GUILD, false, 0, 100007,
               "{\"guild_id\":\"8388608\",\"user\":{\"id\":\"100007\"},\"nick\":\"new\",\"roles\":[]}");
    (void)tell(EVENT_GUILD_MEMBER_UPDATE, GUILD, false, 0, 100005,
               "{\"guild_id\":\"8388608\",\"user\":{\"id\":\"100005\"},\"nick\":null,\"roles\":[]}");
    (void)client_event(&full, "GUILD_MEMBER_UPDATE");
    (void)client_event(&full, "GUILD_MEMBER_UPDATE");
    guild = sees_members(&alice, &one, ALICE, INTENTS_USUAL, 5, 1);
    assert_true(has_member(guild, ALICE) && has_member(guild, FULL) && has_member(guild, BOB) &&
                has_member(guild, 100006) && has_member(guild, 100007));
    client_close(&alice, 1000);
    client_close(&bob, 1000);
    for (json_t *d = NULL; !d || strcmp(text_at(d, "status"), "offline") != 0 ||
                           strcmp(text_at(json_object_get(d, "user"), "id"), "102") != 0;)
        d = client_event(&full, "PRESENCE_UPDATE");
    guild = sees_members(&alice, &one, ALICE, INTENTS_USUAL, 4, 1);
    assert_false(has_member(guild, BOB));
    client_close(&alice, 1000);
    /* without the intent */
    guild = sees_members(&bot, &one, BOT, INTENTS_USUAL, 1, 1);
    assert_true(has_member(guild, BOT));
    client_close(&full, 1000), client_close(&bot, 1000);
    node_close(&one), node_close(&two);
    world_close();
}

/* 2,500 guilds are one shard's; one more needs another. */
static void sharding_is_required(void)
{
    struct node n;
    struct client c;
    struct arena a = {0};
    struct commit commit;

    world_open();
    node_open(&n, "a");
    commit_init(&commit, &a);
    for (uint64_t i = 1; i < LIMIT_GUILDS_PER_SESSION; i++) {
        struct guild g = {.id = (1000 + i) << 22, .owner_id = ALICE, .name = STR("one of many")};
        struct member m = {.guild_id = g.id, .user = {.id = FULL}, .joined_ms = 1};
        store_guild_insert(&commit, &g);
        store_member_insert(&commit, &m);
    }
    assert_int_equal(commit_run(&commit, &ports), 0);
    client_login(&c, &n, FULL, 0, 0);
    client_close(&c, 1000);
    commit_init(&commit, &a);
    struct member m = {.guild_id = OTHER, .user = {.id = FULL}, .joined_ms = 1};
    store_member_insert(&commit, &m);
    assert_int_equal(commit_run(&commit, &ports), 0);
    client_open(&c, &n, "?v=10");
    client_identify(&c, FULL, 0, "");
    assert_int_equal(client_closed(&c), 4011);
    client_close(&c, 1000);
    client_open(&c, &n, "?v=10");
    client_identify(&c, FULL, 0, ",\"shard\":[1,2]");
    (void)client_event(&c, "READY");
    client_close(&c, 1000);
    arena_done(&a);
    node_close(&n);
    world_close();
}

/* --- who gets what ---------------------------------------------------------------------------------------------------
 */
static void events_that_need_a_permission(void)
{
    struct node n;
    struct client alice, bob, full, deaf;
    static const char ban[] = "{\"guild_id\":\"8388608\",\"user\":{\"id\":\"103\"}}";

    world_open();
    node_open(&n, "a");
    client_login(&alice, &n, ALICE, INTENTS_ALL, 2); /* the owner holds everything */
    client_login(&bob, &n, BOB, INTENTS_ALL, 1);
    client_login(&full, &n, FULL, INTENTS_ALL, 1);
    client_login(&deaf, &n, ALICE, INTENTS_ALL & ~(uint32_t)INTENT_GUILD_MODERATION, 2);
    tell(EVENT_GUILD_BAN_ADD, GUILD, false, 0, CAROL, ban);
    (void)client_event(&alice, "GUILD_BAN_ADD");
    tell(EVENT_INVITE_CREATE, GUILD, false, GENERAL, 0, "{\"code\":\"x\",\"channel_id\":\"301\"}");
    (void)client_event(&alice, "INVITE_CREATE");
    (void)client_event(&deaf, "INVITE_CREATE");
    client_quiet(&bob, 100);
    client_quiet(&full, 0);
    /* VIEW_AUDIT_LOG for a bot's role: bans and the log, no invites */
    tell(
        EVENT_GUILD_ROLE_UPDATE, GUILD, false, 0, 0,
        "{\"guild_id\":\"8388608\",\"role\":{\"id\":\"401\",\"name\":\"mod\",\"permissions\":\"128\",\"position\":1}}");
    tell(EVENT_GUILD_MEMBER_UPDATE, GUILD, false, 0, FULL,
         "{\"guild_id\":\"8388608\",\"user\":{\"id\":\"105\"},\"roles\":[\"401\"],\"joined_at\":\"x\"}");
    tell(EVENT_GUILD_AUDIT_LOG_ENTRY_CREATE, GUILD, false, 0, 0, "{\"id\":\"9\",\"guild_id\":\"8388608\"}");
    tell(EVENT_GUILD_BAN_REMOVE, GUILD, false, 0, CAROL, ban);
    tell(EVENT_INVITE_DELETE, GUILD, false, GENERAL, 0, "{\"code\":\"x\",\"channel_id\":\"301\"}");
    (void)client_event(&full, "GUILD_AUDIT_LOG_ENTRY_CREATE");
    (void)client_event(&full, "GUILD_BAN_REMOVE");
    (void)client_event(&alice, "INVITE_DELETE");
    client_quiet(&full, 100);
    /* what is for one user only, and what is nobody's */
    tell(EVENT_THREAD_MEMBER_UPDATE, GUILD, false, 0, FULL, "{\"id\":\"1\"}");
    tell(EVENT_RATE_LIMITED, GUILD, false, 0, FULL, "{}");
    (void)client_event(&full, "THREAD_MEMBER_UPDATE");
    client_quiet(&full, 100);
    client_close(&alice, 1000), client_close(&bob, 1000), client_close(&full, 1000), client_close(&deaf, 1000);
    node_close(&n);
    world_close();
}

/* --- counts ----------------------------------------------------------------------------------------------------------
 */
#define JOINERS 60

static void joins(void *arg)
{
    for (uint64_t i = 0; i < JOINERS; i++) {
        struct arena a = {0};
        struct commit c;
        struct user u = {.id = 200000 + i,
                         .username = arena_printf(&a, "late%llu", (unsigned long long)i),
                         .accent_color = -1,
                         .created_ms = 1};
        struct member m = {.guild_id = GUILD, .user = u, .joined_ms = 1700000000000};
        commit_init(&c, &a);
        store_user_insert(&c, &u);
        store_member_insert(&c, &m);
        struct event *e = commit_event(&c, EVENT_GUILD_MEMBER_ADD, GUILD, false);
        e->user_id = u.id;
        e->data = arena_printf(&a, "{\"guild_id\":\"%d\",\"user\":{\"id\":\"%llu\"},\"roles\":[]}", GUILD,
                               (unsigned long long)u.id);
        CHECK(commit_run(&c, &ports) == 0);
        arena_done(&a);
    }
    *(bool *)arg = true;
}

static int64_t count_on(const struct node *n)
{
    struct client c;

    client_login(&c, n, FULL, INTENTS_ALL, 0);
    int64_t count = count_at(client_event(&c, "GUILD_CREATE"), "member_count");
    client_close(&c, 1000);
    return count;
}

/* Nodes load the guild while people join it; each then knows how many they are. */
static void the_count_while_joining(void)
{
    struct node n[3];
    struct client c[3];
    bool done = false;
    static const char *const ids[] = {"a", "b", "c"};

    world_open();
    members_make(300);
    for (int i = 0; i < 3; i++)
        node_open(&n[i], ids[i]);
    assert_int_equal(co_spawn(joins, &done), 0);
    for (int i = 0; i < 3; i++)
        client_login(&c[i], &n[i], FULL, INTENTS_ALL, 1);
    UNTIL(done);
    for (int i = 0; i < 3; i++)
        UNTIL(count_on(&n[i]) == 304 + JOINERS);
    for (int i = 0; i < 3; i++) {
        client_close(&c[i], 1000);
        node_close(&n[i]);
    }
    world_close();
}

CONVERSATIONS(CONVERSATION(close_codes), CONVERSATION(other_close_codes), CONVERSATION(identify_buckets),
              CONVERSATION(chunks_of_a_large_guild), CONVERSATION(a_hundred_ids), CONVERSATION(sounds_and_channel_info),
              CONVERSATION(members_in_guild_create), CONVERSATION(active_members_of_a_large_guild),
              CONVERSATION(sharding_is_required), CONVERSATION(events_that_need_a_permission),
              CONVERSATION(the_count_while_joining))
