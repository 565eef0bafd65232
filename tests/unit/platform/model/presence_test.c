#include "platform/model/presence.h"
#include "tests/support/cm.h"

static void one_session(void **state)
{
    (void)state;
    struct buf b = {0};
    presence_value_write(&b, PRESENCE_IDLE, PRESENCE_MOBILE, STR("[{\"name\":\"a\"}]"));
    assert_str(buf_str(&b),
               "{\"status\":\"idle\",\"client_status\":{\"mobile\":\"idle\"},\"activities\":[{\"name\":\"a\"}]}");
    buf_done(&b);
}

static void merged(void **state)
{
    (void)state;
    struct buf b[4] = {0};
    presence_value_write(&b[0], PRESENCE_IDLE, PRESENCE_DESKTOP, STR("[{\"n\":1}]"));
    presence_value_write(&b[1], PRESENCE_ONLINE, PRESENCE_DESKTOP, STR("[{\"n\":1},{\"n\":2}]"));
    presence_value_write(&b[2], PRESENCE_DND, PRESENCE_WEB, STR("[]"));
    const struct str values[] = {buf_str(&b[0]), buf_str(&b[0]), buf_str(&b[1]), buf_str(&b[2])};
    presence_merge(&b[3], values, 4);
    assert_str(buf_str(&b[3]), "{\"status\":\"dnd\",\"client_status\":{\"desktop\":\"online\",\"web\":\"dnd\"},"
                               "\"activities\":[{\"n\":1},{\"n\":2}]}");
    for (int i = 0; i < 4; i++)
        buf_done(&b[i]);
}

static void as_clients_get_it(void **state)
{
    (void)state;
    struct buf b = {0};
    presence_write(&b, 7, 8, STR_NONE);
    assert_str(buf_str(&b), "{\"user\":{\"id\":\"7\"},\"guild_id\":\"8\",\"status\":\"offline\",\"client_status\":{},"
                            "\"activities\":[]}");
    buf_clear(&b);
    presence_write(&b, 7, 0, STR("{\"status\":\"dnd\"}"));
    assert_str(buf_str(&b), "{\"user\":{\"id\":\"7\"},\"status\":\"dnd\"}");
    buf_done(&b);
}

static void names(void **state)
{
    (void)state;
    enum presence_status s;
    assert_int_equal(presence_status_find(STR("invisible"), &s), 0);
    assert_int_equal(s, PRESENCE_OFFLINE);
    assert_int_equal(presence_status_find(STR("dnd"), &s), 0);
    assert_int_equal(s, PRESENCE_DND);
    assert_true(presence_status_find(STR("away"), &s) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_session),
        cmocka_unit_test(merged),
        cmocka_unit_test(as_clients_get_it),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
