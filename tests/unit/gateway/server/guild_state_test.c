#include "gateway/server/guild_state.h"
#include "platform/base/limits.h"
#include "platform/protocol/json_text.h"
#include "tests/support/cm.h"

#include <stdio.h>

#define GUILD   21u
#define OWNER   1u
#define BOB     2u
#define CAROL   3u
#define GENERAL 31u
#define SECRET  32u
#define MOD     41u

/* A guild of three: #general for all, #secret for the role mod; bob is a mod. */
static struct guild_state *demo(void)
{
    uint64_t bob_roles[] = {MOD};
    struct role roles[] = {
        {.id = GUILD, .guild_id = GUILD, .name = STR("@everyone"), .permissions = PERMISSION_VIEW_CHANNEL},
        {.id = MOD, .guild_id = GUILD, .name = STR("mod"), .position = 1},
    };
    struct overwrite secret[] = {{GUILD, 0, 0, PERMISSION_VIEW_CHANNEL}, {MOD, 0, PERMISSION_VIEW_CHANNEL, 0}};
    struct channel channels[] = {
        {.id = GENERAL, .guild_id = GUILD, .name = STR("general"), .last_message_id = 7},
        {.id = SECRET, .guild_id = GUILD, .name = STR("secret"), .overwrites = secret, .overwrite_count = 2},
    };
    struct member members[] = {
        {.guild_id = GUILD, .user = {.id = OWNER, .username = STR("alice")}, .joined_ms = 1},
        {.guild_id = GUILD,
         .user = {.id = BOB, .username = STR("bob")},
         .roles = bob_roles,
         .role_count = 1,
         .joined_ms = 1},
        {.guild_id = GUILD, .user = {.id = CAROL, .username = STR("carol")}, .joined_ms = 1704067200000},
    };
    struct guild_snapshot snap = {.guild = {.id = GUILD, .owner_id = OWNER, .name = STR("Demo"), .member_count = 3},
                                  .roles = roles,
                                  .role_count = 2,
                                  .channels = channels,
                                  .channel_count = 2,
                                  .members = members,
                                  .member_count = 3};
    struct guild_state *s = guild_state_new(GUILD);
    guild_state_load(s, &snap);
    return s;
}

static bool sees(const struct guild_state *s, uint64_t user, uint64_t channel)
{
    int slot = guild_state_slot(s, channel);
    assert_true(slot >= 0);
    return guild_state_visible(s, guild_state_member(s, user), (unsigned)slot);
}

static enum state_change apply(struct guild_state *s, enum event_type type, const char *data, unsigned *slot)
{
    struct event e = {.type = type, .topic = GUILD, .data = str_c(data)};
    return guild_state_apply(s, &e, slot);
}

static void snapshot(void **state)
{
    (void)state;
    struct guild_state *s = demo();
    uint64_t words[1];
    assert_true(s->members_complete);
    assert_true(sees(s, CAROL, GENERAL) && !sees(s, CAROL, SECRET));
    assert_true(sees(s, BOB, SECRET) && sees(s, OWNER, SECRET));
    guild_state_visible_all(s, guild_state_member(s, CAROL), words);
    assert_int_equal(words[0], 1u << guild_state_slot(s, GENERAL));
    guild_state_free(s);
}

static void overwrites_change_what_is_seen(void **state)
{
    (void)state;
    struct guild_state *s = demo();
    unsigned slot = 99;
    assert_int_equal(
        apply(s, EVENT_CHANNEL_UPDATE,
              "{\"id\":\"32\",\"type\":0,\"guild_id\":\"21\",\"name\":\"secret\",\"permission_overwrites\":[]}", &slot),
        STATE_CHANNEL);
    assert_int_equal(slot, guild_state_slot(s, SECRET));
    assert_true(sees(s, CAROL, SECRET));
    assert_int_equal(apply(s, EVENT_CHANNEL_UPDATE,
                           "{\"id\":\"32\",\"type\":0,\"permission_overwrites\":[{\"id\":\"3\",\"type\":1,\"allow\":"
                           "\"0\",\"deny\":\"1024\"}]}",
                           &slot),
                     STATE_CHANNEL);
    assert_false(sees(s, CAROL, SECRET));
    assert_true(sees(s, BOB, SECRET));
    /* what is no channel changes nothing */
    assert_int_equal(apply(s, EVENT_CHANNEL_UPDATE, "{\"id\":\"32\",\"type\":0,\"permission_overwrites\":[5]}", &slot),
                     STATE_SAME);
    assert_int_equal(apply(s, EVENT_CHANNEL_UPDATE, "nonsense", &slot), STATE_SAME);
    guild_state_free(s);
}

static void roles_and_members_change_what_is_seen(void **state)
{
    (void)state;
    struct guild_state *s = demo();
    unsigned slot;
    assert_int_equal(apply(s, EVENT_GUILD_ROLE_UPDATE,
                           "{\"guild_id\":\"21\",\"role\":{\"id\":\"21\",\"permissions\":\"0\"}}", &slot),
                     STATE_EVERYBODY);
    assert_false(sees(s, CAROL, GENERAL));
    assert_false(sees(s, BOB, GENERAL));
    assert_true(sees(s, BOB, SECRET));
    assert_int_equal(apply(s, EVENT_GUILD_ROLE_UPDATE, "{\"role\":{\"id\":\"21\",\"permissions\":\"0\"}}", &slot),
                     STATE_SAME);
    assert_int_equal(apply(s, EVENT_GUILD_ROLE_CREATE, "{\"role\":{\"id\":\"42\",\"permissions\":\"8\"}}", &slot),
                     STATE_EVERYBODY);
    assert_int_equal(apply(s, EVENT_GUILD_MEMBER_UPDATE,
                           "{\"guild_id\":\"21\",\"user\":{\"id\":\"3\"},\"roles\":[\"42\"],\"joined_at\":\"x\"}",
                           &slot),
                     STATE_MEMBER);
    assert_true(sees(s, CAROL, GENERAL) && sees(s, CAROL, SECRET));
    assert_int_equal(apply(s, EVENT_GUILD_ROLE_DELETE, "{\"guild_id\":\"21\",\"role_id\":\"42\"}", &slot),
                     STATE_EVERYBODY);
    assert_false(sees(s, CAROL, GENERAL));
    assert_str(json_member(guild_state_member(s, CAROL)->json, STR("roles")), "[]");
    /* @everyone cannot go */
    assert_int_equal(apply(s, EVENT_GUILD_ROLE_DELETE, "{\"role_id\":\"21\"}", &slot), STATE_SAME);
    guild_state_free(s);
}

static void the_owner_sees_all(void **state)
{
    (void)state;
    struct guild_state *s = demo();
    unsigned slot;
    assert_int_equal(
        apply(s, EVENT_GUILD_UPDATE, "{\"id\":\"21\",\"owner_id\":\"3\",\"name\":\"New\",\"roles\":[]}", &slot),
        STATE_EVERYBODY);
    assert_true(sees(s, CAROL, SECRET));
    assert_false(sees(s, OWNER, SECRET));
    assert_int_equal(apply(s, EVENT_GUILD_UPDATE, "{\"id\":\"21\",\"owner_id\":\"3\",\"name\":\"Newer\"}", &slot),
                     STATE_SAME);
    assert_int_equal(s->role_count, 2);
    guild_state_free(s);
}

static void channels_keep_their_slots(void **state)
{
    (void)state;
    struct guild_state *s = demo();
    unsigned slot, secret = (unsigned)guild_state_slot(s, SECRET);
    assert_int_equal(apply(s, EVENT_CHANNEL_DELETE, "{\"id\":\"31\"}", &slot), STATE_CHANNEL);
    guild_state_channel_drop(s, slot);
    assert_int_equal(guild_state_slot(s, GENERAL), -1);
    assert_int_equal(guild_state_slot(s, SECRET), secret);
    assert_int_equal(apply(s, EVENT_CHANNEL_DELETE, "{\"id\":\"31\"}", &slot), STATE_SAME);
    char text[128];
    for (unsigned i = 0; i < 100; i++) {
        snprintf(text, sizeof text, "{\"id\":\"%u\",\"type\":0,\"permission_overwrites\":[]}", 1000 + i);
        assert_int_equal(apply(s, EVENT_CHANNEL_CREATE, text, &slot), STATE_CHANNEL);
        assert_int_equal(guild_state_slot(s, 1000 + i), slot);
    }
    assert_int_equal(guild_state_slot(s, SECRET), secret);
    assert_int_equal(guild_state_words(s), 2);
    uint64_t words[2];
    guild_state_visible_all(s, guild_state_member(s, CAROL), words);
    assert_int_equal(__builtin_popcountll(words[0]) + __builtin_popcountll(words[1]), 100);
    guild_state_free(s);
}

static void members_come_and_go(void **state)
{
    (void)state;
    struct guild_state *s = demo();
    unsigned slot;
    assert_int_equal(
        apply(s, EVENT_GUILD_MEMBER_ADD, "{\"guild_id\":\"21\",\"user\":{\"id\":\"4\"},\"roles\":[]}", &slot),
        STATE_MEMBER);
    assert_int_equal(s->member_count, 4);
    assert_int_equal(apply(s, EVENT_GUILD_MEMBER_REMOVE, "{\"guild_id\":\"21\",\"user\":{\"id\":\"4\"}}", &slot),
                     STATE_SAME);
    assert_int_equal(s->member_count, 3);
    assert_null(guild_state_member(s, 4));
    guild_state_member(s, BOB)->sessions = 1;
    assert_int_equal(apply(s, EVENT_GUILD_MEMBER_REMOVE, "{\"user\":{\"id\":\"2\"}}", &slot), STATE_MEMBER_GONE);
    assert_non_null(guild_state_member(s, BOB));
    guild_state_member_drop(s, BOB);
    assert_int_equal(s->member_count, 2);
    guild_state_free(s);
}

/* Each coming and going counts once: not when the snapshot had counted it, and also when the member was read before. */
static void the_count_is_exact(void **state)
{
    (void)state;
    uint64_t counted[] = {1001, 1002};
    struct guild_snapshot snap = {
        .guild = {.id = GUILD, .owner_id = OWNER, .member_count = 1000}, .counted = counted, .counted_count = 2};
    struct guild_state *s = guild_state_new(GUILD);
    struct event e = {
        .type = EVENT_GUILD_MEMBER_ADD, .topic = GUILD, .data = STR("{\"user\":{\"id\":\"4\"},\"roles\":[]}")};
    struct member self = {.guild_id = GUILD, .user = {.id = 4, .username = STR("dave")}};
    unsigned slot;

    guild_state_load(s, &snap);
    for (e.id = 1000; e.id <= 1003; e.id++)
        guild_state_apply(s, &e, &slot);
    assert_int_equal(s->member_count, 1002);
    guild_state_members_begin(s);
    guild_state_member_put(s, &self);
    guild_state_members_end(s, false);
    e.id = 1004;
    guild_state_apply(s, &e, &slot);
    assert_int_equal(s->member_count, 1003);
    e.type = EVENT_GUILD_MEMBER_REMOVE;
    for (e.id = 1005; e.id <= 1006; e.id++)
        guild_state_apply(s, &e, &slot);
    assert_int_equal(s->member_count, 1001);
    guild_state_free(s);
}

/* While members are read from the store, events win over what was read. */
static void reading_members_beside_events(void **state)
{
    (void)state;
    struct guild_state *s = demo();
    unsigned slot;
    guild_state_member(s, BOB)->sessions = 1;
    guild_state_members_forget(s);
    assert_null(guild_state_member(s, CAROL));
    assert_non_null(guild_state_member(s, BOB));

    guild_state_members_begin(s);
    apply(s, EVENT_GUILD_MEMBER_UPDATE,
          "{\"guild_id\":\"21\",\"user\":{\"id\":\"3\"},\"nick\":\"new\",\"roles\":[\"41\"]}", &slot);
    apply(s, EVENT_GUILD_MEMBER_REMOVE, "{\"guild_id\":\"21\",\"user\":{\"id\":\"1\"}}", &slot);
    struct member carol = {.user = {.id = CAROL, .username = STR("carol")}, .nick = STR("old")};
    struct member alice = {.user = {.id = OWNER, .username = STR("alice")}};
    struct member bob = {.user = {.id = BOB, .username = STR("bob")}, .nick = STR("read")};
    guild_state_member_put(s, &carol);
    guild_state_member_put(s, &alice);
    guild_state_member_put(s, &bob);
    guild_state_members_end(s, true);
    assert_str(json_member(guild_state_member(s, CAROL)->json, STR("nick")), "\"new\"");
    assert_null(guild_state_member(s, OWNER));
    assert_str(json_member(guild_state_member(s, BOB)->json, STR("nick")), "\"read\"");
    assert_int_equal(s->member_count, 2);
    guild_state_free(s);
}

/* Of a large guild: events put those that are not known, and keep no stranger once they are forgotten. */
static void active_members_are_kept(void **state)
{
    (void)state;
    struct guild_state *s = demo();
    const char *nick = "{\"guild_id\":\"21\",\"user\":{\"id\":\"9\"},\"nick\":\"nine\",\"roles\":[]}";
    const char *joins = "{\"guild_id\":\"21\",\"user\":{\"id\":\"10\"},\"nick\":null,\"roles\":[]}";
    BUF_AUTO struct buf out = {0};
    unsigned slot;

    guild_state_members_begin(s);
    guild_state_members_end(s, false);
    s->members_active = true;
    s->member_count = 1000;
    apply(s, EVENT_GUILD_MEMBER_UPDATE, nick, &slot);
    apply(s, EVENT_GUILD_MEMBER_ADD, joins, &slot);
    assert_non_null(guild_state_member(s, 9));
    assert_non_null(guild_state_member(s, 10));
    struct guild_create_view v = {.self = guild_state_member(s, OWNER),
                                  .visible = (uint64_t[1]){0},
                                  .members = MEMBERS_ALL,
                                  .large_threshold = 50,
                                  .members_max = 100};
    guild_state_write_create(s, &v, &out);
    assert_non_null(memmem(out.data, out.len, "\"nine\"", 6));
    assert_null(memmem(out.data, out.len, "\"10\"", 4));
    buf_clear(&out);
    v.members_max = 0;
    guild_state_write_create(s, &v, &out);
    assert_null(memmem(out.data, out.len, "\"nine\"", 6));
    guild_state_members_forget(s);
    apply(s, EVENT_GUILD_MEMBER_UPDATE, nick, &slot);
    assert_null(guild_state_member(s, 9));
    guild_state_free(s);
}

static bool is_alice(const void *arg, uint64_t user_id)
{
    (void)arg;
    return user_id == OWNER;
}

static void guild_create(void **state)
{
    (void)state;
    struct guild_state *s = demo();
    struct event e = {.type = EVENT_MESSAGE_CREATE, .channel_id = GENERAL, .data = STR("{\"id\":\"55\"}")};
    unsigned slot;
    uint64_t words[1];
    BUF_AUTO struct buf out = {0};

    assert_int_equal(guild_state_apply(s, &e, &slot), STATE_SAME);
    guild_state_visible_all(s, guild_state_member(s, CAROL), words);
    struct guild_create_view v = {.self = guild_state_member(s, CAROL),
                                  .visible = words,
                                  .members = MEMBERS_SELF,
                                  .large_threshold = 50,
                                  .startup = true};
    guild_state_write_create(s, &v, &out);
    struct str d = buf_str(&out);
    assert_str(json_member(d, STR("id")), "\"21\"");
    assert_str(json_member(d, STR("name")), "\"Demo\"");
    assert_str(json_member(d, STR("unavailable")), "false");
    assert_str(json_member(d, STR("large")), "false");
    assert_str(json_member(d, STR("member_count")), "3");
    assert_str(json_member(d, STR("joined_at")), "\"2024-01-01T00:00:00.000000+00:00\"");
    assert_str(json_member(d, STR("presences")), "[]");
    assert_non_null(strstr(out.data, "\"last_message_id\":\"55\""));
    assert_non_null(strstr(out.data, "\"general\""));
    assert_null(strstr(out.data, "\"secret\""));
    assert_null(strstr(out.data, "\"alice\""));
    assert_non_null(strstr(out.data, "\"carol\""));

    buf_clear(&out);
    v.members = MEMBERS_ALL;
    v.startup = false;
    guild_state_write_create(s, &v, &out);
    assert_non_null(strstr(out.data, "\"alice\""));
    assert_null(json_member(buf_str(&out), STR("unavailable")).p);
    buf_clear(&out);
    v.large_threshold = 2;
    guild_state_write_create(s, &v, &out);
    assert_null(strstr(out.data, "\"alice\""));
    assert_non_null(strstr(out.data, "\"bob\"")); /* has a role */
    assert_str(json_member(buf_str(&out), STR("large")), "true");
    buf_clear(&out);
    v.is_active = is_alice;
    guild_state_write_create(s, &v, &out);
    assert_non_null(strstr(out.data, "\"alice\""));
    guild_state_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshot),
        cmocka_unit_test(overwrites_change_what_is_seen),
        cmocka_unit_test(roles_and_members_change_what_is_seen),
        cmocka_unit_test(the_owner_sees_all),
        cmocka_unit_test(channels_keep_their_slots),
        cmocka_unit_test(members_come_and_go),
        cmocka_unit_test(the_count_is_exact),
        cmocka_unit_test(reading_members_beside_events),
        cmocka_unit_test(active_members_are_kept),
        cmocka_unit_test(guild_create),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
