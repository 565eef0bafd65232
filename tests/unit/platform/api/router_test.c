/* router.c: literals over parameters, methods, parameters, buckets. */
#include "tests/support/cm.h"

#include "platform/api/handlers.h"
#include "platform/api/router.h"

static struct router *router;
static struct arena a;
static struct route_match m;

static enum api_error match(enum http_method method, const char *path)
{
    return router_match(router, method, str_c(path), &a, &m);
}

static int begin(void **state)
{
    (void)state;
    router = router_new();
    return 0;
}

static int end(void **state)
{
    (void)state;
    router_free(router);
    arena_done(&a);
    return 0;
}

static void prefers_literals(void **state)
{
    (void)state;
    assert_int_equal(match(HTTP_METHOD_GET, "/users/@me"), API_OK);
    assert_true(m.route->handler == user_me_get);
    assert_int_equal(match(HTTP_METHOD_GET, "/users/5"), API_OK);
    assert_true(m.route->handler == user_get);
    assert_str(m.texts[0], "5");
    assert_int_equal(match(HTTP_METHOD_PUT, "/channels/1/messages/pins/2"), API_OK);
    assert_true(m.route->handler == message_pin);
    assert_int_equal(match(HTTP_METHOD_GET, "/channels/1/messages/2"), API_OK);
    assert_true(m.route->handler == message_get);
    assert_int_equal(match(HTTP_METHOD_DELETE, "/channels/1/messages/2/reactions/x/@me"), API_OK);
    assert_true(m.route->handler == reaction_remove_own);
    assert_int_equal(match(HTTP_METHOD_DELETE, "/channels/1/messages/2/reactions/x/3"), API_OK);
    assert_true(m.route->handler == reaction_remove_user);
    /* The literal's branch has no GET: the parameter's has. */
    assert_int_equal(match(HTTP_METHOD_GET, "/channels/1/messages/bulk-delete"), API_OK);
    assert_true(m.route->handler == message_get);
}

static void tells_unknown_from_not_allowed(void **state)
{
    (void)state;
    assert_int_equal(match(HTTP_METHOD_GET, ""), API_ERROR_NOT_FOUND);
    assert_int_equal(match(HTTP_METHOD_GET, "/"), API_ERROR_NOT_FOUND);
    assert_int_equal(match(HTTP_METHOD_GET, "/users"), API_ERROR_NOT_FOUND);
    assert_int_equal(match(HTTP_METHOD_GET, "/users/"), API_ERROR_NOT_FOUND);
    assert_int_equal(match(HTTP_METHOD_GET, "/users/@me/"), API_ERROR_NOT_FOUND);
    assert_int_equal(match(HTTP_METHOD_GET, "//users/@me"), API_ERROR_NOT_FOUND);
    assert_int_equal(match(HTTP_METHOD_GET, "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18"), API_ERROR_NOT_FOUND);
    assert_int_equal(match(HTTP_METHOD_GET, "/users/%4"), API_ERROR_NOT_FOUND);
    assert_int_equal(match(HTTP_METHOD_PUT, "/users/@me"), API_ERROR_METHOD_NOT_ALLOWED);
    assert_int_equal(match(HTTP_METHOD_OTHER, "/users/@me"), API_ERROR_METHOD_NOT_ALLOWED);
    assert_int_equal(match(HTTP_METHOD_HEAD, "/users/@me"), API_OK);
}

static void reads_parameters(void **state)
{
    (void)state;
    assert_int_equal(match(HTTP_METHOD_PUT, "/channels/11/messages/22/reactions/%F0%9F%91%8D/%40me"), API_OK);
    assert_int_equal(m.route->param_count, 3);
    assert_str(m.texts[0], "11");
    assert_str(m.texts[1], "22");
    assert_str(m.texts[2], "\xF0\x9F\x91\x8D");
    assert_true(m.route->param_is_id[1] && !m.route->param_is_id[2]);
    assert_int_equal(m.route->major, 0);
    assert_int_equal(match(HTTP_METHOD_GET, "/invites/a%2Fb"), API_OK);
    assert_str(m.texts[0], "a/b");
    assert_int_equal(m.route->major, -1);
}

static void names_buckets(void **state)
{
    char get[17];

    (void)state;
    assert_int_equal(match(HTTP_METHOD_GET, "/guilds/1"), API_OK);
    memcpy(get, m.route->bucket, sizeof get);
    assert_int_equal(strlen(get), 16);
    assert_int_equal(match(HTTP_METHOD_GET, "/guilds/2"), API_OK);
    assert_string_equal(m.route->bucket, get);
    assert_int_equal(match(HTTP_METHOD_PATCH, "/guilds/2"), API_OK);
    assert_string_not_equal(m.route->bucket, get);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefers_literals),
        cmocka_unit_test(tells_unknown_from_not_allowed),
        cmocka_unit_test(reads_parameters),
        cmocka_unit_test(names_buckets),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
