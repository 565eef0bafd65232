/* The entities' JSON: the members client libraries cannot do without, and none that must not be there. */
#include "tests/support/cm.h"

#include "platform/model/model.h"

static bool has(const struct buf *b, const char *text)
{
    return b->data && strstr(b->data, text) != NULL;
}

static void writes_users(void **state)
{
    BUF_AUTO struct buf b = BUF_INIT(0);
    struct user u = {.id = 11, .username = STR("alice"), .email = STR("a@example.test"), .accent_color = -1};

    (void)state;
    user_write(&b, &u);
    assert_buf(&b, "{\"id\":\"11\",\"username\":\"alice\",\"discriminator\":\"0\",\"global_name\":null,\"avatar\":null,"
                   "\"public_flags\":0}");
    buf_clear(&b);
    u.bot = true;
    user_write_private(&b, &u);
    assert_true(has(&b, "\"bot\":true"));
    assert_true(has(&b, "\"email\":\"a@example.test\""));
    assert_true(has(&b, "\"verified\":false"));
}

static void writes_channels_by_type(void **state)
{
    BUF_AUTO struct buf b = BUF_INIT(0);
    struct overwrite o = {.id = 1, .type = 0, .allow = UINT64_C(1) << 52, .deny = 1024};
    struct channel c = {.id = 5, .guild_id = 1, .name = STR("general"), .overwrites = &o, .overwrite_count = 1};
    struct user bob = {.id = 12, .username = STR("bob"), .accent_color = -1};

    (void)state;
    channel_write(&b, &c);
    assert_buf(&b,
               "{\"id\":\"5\",\"type\":0,\"guild_id\":\"1\",\"name\":\"general\",\"position\":0,\"parent_id\":null,"
               "\"nsfw\":false,\"permission_overwrites\":[{\"id\":\"1\",\"type\":0,\"allow\":\"4503599627370496\","
               "\"deny\":\"1024\"}],\"topic\":null,\"rate_limit_per_user\":0,\"last_message_id\":null,\"flags\":0}");
    buf_clear(&b);
    c.type = CHANNEL_GUILD_VOICE;
    c.bitrate = 64000;
    channel_write(&b, &c);
    assert_true(has(&b, "\"bitrate\":64000,\"user_limit\":0,\"rtc_region\":null"));
    buf_clear(&b);
    c.type = CHANNEL_GUILD_CATEGORY;
    channel_write(&b, &c);
    assert_false(has(&b, "topic"));
    buf_clear(&b);
    struct channel dm = {.id = 6, .type = CHANNEL_DM, .recipients = &bob, .recipient_count = 1};
    channel_write(&b, &dm);
    assert_true(has(&b, "\"recipients\":[{\"id\":\"12\""));
    assert_false(has(&b, "guild_id"));
    assert_false(has(&b, "last_pin_timestamp"));
}

static void writes_roles(void **state)
{
    BUF_AUTO struct buf b = BUF_INIT(0);
    struct role r = {.id = 2, .guild_id = 1, .name = STR("mod"), .color = 3447003, .permissions = 8192};

    (void)state;
    role_write(&b, &r);
    assert_buf(&b, "{\"id\":\"2\",\"name\":\"mod\",\"color\":3447003,\"colors\":{\"primary_color\":3447003,"
                   "\"secondary_color\":null,\"tertiary_color\":null},\"hoist\":false,\"icon\":null,"
                   "\"unicode_emoji\":null,\"position\":0,\"permissions\":\"8192\",\"managed\":false,"
                   "\"mentionable\":false,\"flags\":0}");
    buf_clear(&b);
    r.bot_id = 9;
    role_write(&b, &r);
    assert_true(has(&b, "\"tags\":{\"bot_id\":\"9\"}"));
}

static void writes_guilds_and_members(void **state)
{
    BUF_AUTO struct buf b = BUF_INIT(0);
    struct guild g = {.id = 1, .owner_id = 11, .name = STR("Demo"), .member_count = 3};
    struct role everyone = {.id = 1, .guild_id = 1, .name = STR("@everyone")};
    uint64_t roles[] = {2};
    struct member m = {.guild_id = 1,
                       .user = {.id = 12, .username = STR("bob")},
                       .roles = roles,
                       .role_count = 1,
                       .joined_ms = INT64_C(1420070400000)};

    (void)state;
    guild_write(&b, &g, &everyone, 1, true);
    assert_true(has(&b, "\"roles\":[{\"id\":\"1\""));
    assert_true(has(&b, "\"features\":[]"));
    assert_true(has(&b, "\"approximate_member_count\":3"));
    buf_clear(&b);
    member_write(&b, &m, false);
    assert_buf(&b, "{\"nick\":null,\"avatar\":null,\"banner\":null,\"roles\":[\"2\"],"
                   "\"joined_at\":\"2015-01-01T00:00:00.000000+00:00\",\"premium_since\":null,\"deaf\":false,"
                   "\"mute\":false,\"flags\":0,\"pending\":false,\"communication_disabled_until\":null}");
    buf_clear(&b);
    member_write(&b, &m, true);
    assert_true(has(&b, "{\"user\":{\"id\":\"12\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_users),
        cmocka_unit_test(writes_channels_by_type),
        cmocka_unit_test(writes_roles),
        cmocka_unit_test(writes_guilds_and_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
