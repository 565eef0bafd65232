/* Permissions as documented, mentions, timestamps, ids. */
#include "tests/support/cm.h"

#include "worker-sdk/src/sdk.h"

#include <guildhall/helpers.h>

#define P GH_PERMISSION

static struct gh_context c;

static int end(void **state)
{
    (void)state;
    context_done(&c);
    c = (struct gh_context){0};
    return 0;
}

static void roles_overwrites_and_timeouts_decide(void **state)
{
    (void)state;
    static const struct gh_role roles[] = {
        {.id = 1, .permissions = P(VIEW_CHANNEL) | P(SEND_MESSAGES) | P(EMBED_LINKS) | P(READ_MESSAGE_HISTORY)},
        {.id = 10, .permissions = P(KICK_MEMBERS)},
        {.id = 11, .permissions = P(ADMINISTRATOR)}};
    static const uint64_t kicker[] = {10}, admin[] = {11};
    struct gh_member m = {.user = {.id = 5}, .roles = kicker, .roles_count = 1};
    const uint64_t base = roles[0].permissions | P(KICK_MEMBERS);
    assert_true(gh_permissions(1, 9, roles, 3, &m, NULL, 0) == base);
    assert_true(gh_permissions(1, 5, roles, 3, &m, NULL, 0) == GH_PERMISSIONS_ALL);
    m.roles = admin;
    assert_true(gh_permissions(1, 9, roles, 3, &m, NULL, 0) == GH_PERMISSIONS_ALL);
    m.roles = kicker;
    struct gh_overwrite o[] = {{.id = 1, .type = 0, .deny = P(SEND_MESSAGES)},
                               {.id = 10, .type = 0, .allow = P(MANAGE_MESSAGES)},
                               {.id = 5, .type = 1, .deny = P(MANAGE_MESSAGES)}};
    struct gh_channel ch = {.permission_overwrites = o, .permission_overwrites_count = 1};
    assert_true(gh_permissions(1, 9, roles, 3, &m, &ch, 0) == (base & ~(P(SEND_MESSAGES) | P(EMBED_LINKS))));
    ch.permission_overwrites_count = 2;
    assert_true(gh_permissions(1, 9, roles, 3, &m, &ch, 0) & P(MANAGE_MESSAGES));
    ch.permission_overwrites_count = 3;
    assert_false(gh_permissions(1, 9, roles, 3, &m, &ch, 0) & P(MANAGE_MESSAGES));
    o[0].deny = P(VIEW_CHANNEL);
    assert_true(gh_permissions(1, 9, roles, 3, &m, &ch, 0) == 0);
    m.communication_disabled_until = "2030-01-01T00:00:00.000000+00:00";
    assert_true(gh_permissions(1, 9, roles, 3, &m, NULL, 1893456000 - 1) ==
                (P(VIEW_CHANNEL) | P(READ_MESSAGE_HISTORY)));
    assert_true(gh_permissions(1, 9, roles, 3, &m, NULL, 1893456000) == base);
    assert_string_equal(gh_permissions_text(&c, P(KICK_MEMBERS) | P(BAN_MEMBERS)), "KICK_MEMBERS, BAN_MEMBERS");
}

static void permissions_are_the_platforms(void **state)
{
    (void)state;
#define PERMISSION(name, bit) assert_true(GH_PERMISSION(name) == (uint64_t)1 << (bit));
#include "platform/protocol/permissions.def"
}

static void mentions_are_written_and_found(void **state)
{
    (void)state;
    assert_string_equal(gh_mention_user(&c, 5), "<@5>");
    assert_string_equal(gh_mention_command(&c, "config set", 6), "</config set:6>");
    assert_string_equal(gh_emoji_text(&c, &(struct gh_emoji){.id = 7, .name = "x", .animated = true}), "<a:x:7>");
    assert_string_equal(gh_emoji_reaction(&c, &(struct gh_emoji){.id = 7, .name = "x"}), "x:7");
    assert_string_equal(gh_emoji_text(&c, &(struct gh_emoji){.name = "\xf0\x9f\x91\x8d"}), "\xf0\x9f\x91\x8d");
    assert_int_equal(gh_mentioned_user("hi < <#3> <@!12> <@13>"), 12);
    assert_int_equal(gh_mentioned_channel("hi <#3>"), 3);
    assert_int_equal(gh_mentioned_role("<@5> <@&6>"), 6);
    assert_int_equal(gh_mentioned_user("<@&6> <@x> <@7"), 0);
    assert_string_equal(gh_escape(&c, "*a* @all"), "\\*a\\* @\xe2\x80\x8b"
                                                   "all");
}

static void times_are_the_apis(void **state)
{
    (void)state;
    assert_string_equal(gh_timestamp(&c, 1618953630, 'R'), "<t:1618953630:R>");
    assert_string_equal(gh_timestamp(&c, 1618953630, 0), "<t:1618953630>");
    assert_string_equal(gh_iso_time(&c, 1430029616936), "2015-04-26T06:26:56.936000+00:00");
    assert_true(gh_iso_read_ms("2015-04-26T06:26:56.936000+00:00") == 1430029616936);
    assert_true(gh_iso_read_ms("2015-04-26T08:26:56.936+02:00") == 1430029616936);
    assert_true(gh_iso_read_ms("2015-04-26T06:26:56Z") == 1430029616000);
    assert_true(gh_iso_read_ms("yesterday") == -1 && gh_iso_read_ms("") == -1);
    assert_true(gh_id_time_ms(175928847299117063) == 1462015105796); /* the documentation's example */
    assert_true(gh_id_at(1462015105796) == 175928847299117063 >> 22 << 22);
    assert_true(gh_id_at(0) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(roles_overwrites_and_timeouts_decide, end),
        cmocka_unit_test_teardown(permissions_are_the_platforms, end),
        cmocka_unit_test_teardown(mentions_are_written_and_found, end),
        cmocka_unit_test_teardown(times_are_the_apis, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
