/* route.c: what a request is counted by. */
#include "tests/support/cm.h"

#include "rest-proxy/route.h"

#define NOW INT64_C(1735689600000) /* 2025-01-01 */

static void check(const char *method, const char *path, const char *template, const char *major, bool exempt)
{
    struct arena a = {0};
    struct route r;

    route_parse(str_c(method), str_c(path), NOW, &a, &r);
    assert_str(r.template, template);
    assert_str(r.major, major);
    assert_int_equal(r.global_exempt, exempt);
    arena_done(&a);
}

static void finds_major_parameters(void **state)
{
    (void)state;
    check("GET", "/channels/80351110224678912", "GET /channels/{major}", "80351110224678912", false);
    check("POST", "/v10/channels/80351110224678912/messages", "POST /channels/{major}/messages", "80351110224678912",
          false);
    check("GET", "/guilds/197038439483310086/members/80351110224678912", "GET /guilds/{major}/members/{x}",
          "197038439483310086", false);
    check("GET", "/users/80351110224678912", "GET /users/{x}", "", false);
    check("GET", "/users/@me", "GET /users/@me", "", false);
    check("GET", "/guilds/templates/AbC", "GET /guilds/templates/{x}", "", false);
    check("POST", "/webhooks/223704706495545344/3d89bb7572e0fb30d8128367b3b1b44fecd1726de135cbe28a41f8b2f777c372ba",
          "POST /webhooks/{major}/{token}",
          "223704706495545344/3d89bb7572e0fb30d8128367b3b1b44fecd1726de135cbe28a41f8b2f777c372ba", false);
}

static void hides_what_is_no_word(void **state)
{
    (void)state;
    check("PUT", "/channels/80351110224678912/messages/80351110224678913/reactions/%F0%9F%91%8D/@me",
          "PUT /channels/{major}/messages/{x}/reactions/{x}/@me", "80351110224678912", false);
    check("PUT", "/channels/80351110224678912/messages/80351110224678913/reactions/thumb/@me",
          "PUT /channels/{major}/messages/{x}/reactions/{x}/@me", "80351110224678912", false);
    check("GET", "/invites/abcdef", "GET /invites/{x}", "", false);
    check("GET", "/something/new/80351110224678912/xYz", "GET /something/new/{x}/{x}", "", false);
    check("GET", "//channels//80351110224678912/", "GET /channels/{major}", "80351110224678912", false);
    check("GET", "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a", "GET /a/a/a/a/a/a/a/a/a/a/a/{x}", "", false);
    check("GET", "", "GET ", "", false);
}

static void knows_interactions(void **state)
{
    (void)state;
    check("POST", "/interactions/80351110224678912/abc/callback", "POST /interactions/{x}/{x}/callback", "", true);
    check("PATCH", "/webhooks/80351110224678912/aW50ZXJhY3Rpb246MTIz/messages/@original",
          "PATCH /webhooks/{major}/{token}/messages/@original", "80351110224678912/aW50ZXJhY3Rpb246MTIz", true);
}

static void old_messages_are_another_route(void **state)
{
    (void)state;
    check("DELETE", "/channels/80351110224678912/messages/80351110224678913",
          "DELETE /channels/{major}/messages/{x} old", "80351110224678912", false);
    check("DELETE", "/channels/80351110224678912/messages/1323794486476800000", "DELETE /channels/{major}/messages/{x}",
          "80351110224678912", false);
}

static void has_a_group_for_operators(void **state)
{
    static const char *const cases[][2] = {
        {"/v10/channels/100000000000000001/messages", "messages"},
        {"/channels/100000000000000001/messages/100000000000000002/reactions/x/@me", "reactions"},
        {"/channels/100000000000000001", "channels"},
        {"/guilds/100000000000000001/members/100000000000000002", "members"},
        {"/guilds/100000000000000001", "guilds"},
        {"/interactions/100000000000000001/aW50ZXJhY3Rpb246MQ/callback", "interactions"},
        {"/webhooks/100000000000000001/aW50ZXJhY3Rpb246MQ", "interactions"},
        {"/webhooks/100000000000000001/token", "webhooks"},
        {"/a-route-of-tomorrow", "other"},
        {"", "other"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena a = {0};
        struct route r;

        route_parse(STR("POST"), str_c(cases[i][0]), 0, &a, &r);
        assert_string_equal(route_group_name(route_group(&r)), cases[i][1]);
        arena_done(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_major_parameters),    cmocka_unit_test(hides_what_is_no_word),
        cmocka_unit_test(knows_interactions),        cmocka_unit_test(old_messages_are_another_route),
        cmocka_unit_test(has_a_group_for_operators),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
