#include "gateway/server/presence_read.h"
#include "platform/protocol/gateway.h"
#include "platform/protocol/json_read.h"
#include "tests/support/cm.h"

#include <jansson.h>
#include <stdio.h>

static struct buf out;
static enum presence_status status;

static int read_from(const char *text, const struct presence_source *from)
{
    json_t *d;
    assert_int_equal(json_read(str_c(text), &d, NULL), 0);
    buf_clear(&out);
    int close = presence_read(d, from, &status, &out);
    json_decref(d);
    return close;
}

static void expect(const char *text, bool is_bot, const char *activities)
{
    struct presence_source from = {.is_bot = is_bot, .now_ms = 5};
    assert_int_equal(read_from(text, &from), 0);
    assert_str(buf_str(&out), activities);
}

static void fields(void **state)
{
    (void)state;
    expect("{\"status\":\"dnd\",\"activities\":[],\"since\":0,\"afk\":false}", true, "[]");
    assert_int_equal(status, PRESENCE_DND);
    expect("{}", true, "[]"); /* eris */
    assert_int_equal(status, PRESENCE_ONLINE);
    expect("{\"status\":\"invisible\",\"activities\":null}", true, "[]");
    assert_int_equal(status, PRESENCE_OFFLINE);
    static const char rich[] =
        "{\"activities\":[{\"name\":\"Rocket League\",\"type\":0,\"application_id\":\"379286085710381999\",\"state\":"
        "\"In a "
        "Match\",\"details\":\"2-1\",\"timestamps\":{\"start\":15112000660000},\"party\":{\"id\":\"9d\",\"size\":[2,"
        "3]},\"assets\":{\"large_image\":\"351\",\"more\":1},\"secrets\":{\"join\":\"025\"},\"emoji\":{\"name\":\"x\","
        "\"id\":null},\"instance\":true,\"flags\":1,\"buttons\":[{\"label\":\"Go\",\"url\":\"https://x\"}]}]}";
    expect(rich, true, "[{\"name\":\"Rocket League\",\"type\":0,\"state\":\"In a Match\",\"created_at\":5}]");
    expect(rich, false,
           "[{\"name\":\"Rocket League\",\"type\":0,\"state\":\"In a Match\",\"timestamps\":{\"start\":15112000660000},"
           "\"application_id\":\"379286085710381999\",\"details\":\"2-1\",\"emoji\":{\"name\":\"x\"},\"party\":{\"id\":"
           "\"9d\","
           "\"size\":[2,3]},\"assets\":{\"large_image\":\"351\"},\"instance\":true,\"flags\":1,\"buttons\":[\"Go\"],"
           "\"created_at\":5}]");
}

static void streaming(void **state)
{
    (void)state;
    expect("{\"activities\":[{\"name\":\"a\",\"type\":1,\"url\":\"https://www.twitch.tv/discord\"}]}", true,
           "[{\"name\":\"a\",\"type\":1,\"url\":\"https://www.twitch.tv/discord\",\"created_at\":5}]");
    expect("{\"activities\":[{\"name\":\"a\",\"type\":1,\"url\":\"https://example.test/\"}]}", true,
           "[{\"name\":\"a\",\"type\":0,\"created_at\":5}]");
}

static void the_same_keeps_its_time(void **state)
{
    (void)state;
    struct presence_source from = {
        .is_bot = true, .now_ms = 9, .former = STR("[{\"name\":\"a\",\"type\":0,\"created_at\":5}]")};
    assert_int_equal(read_from("{\"activities\":[{\"name\":\"a\",\"type\":0},{\"name\":\"b\"}]}", &from), 0);
    assert_str(buf_str(&out),
               "[{\"name\":\"a\",\"type\":0,\"created_at\":5},{\"name\":\"b\",\"type\":0,\"created_at\":9}]");
}

static void too_long(void **state)
{
    (void)state;
    char text[512], name[130];
    memset(name, 'x', sizeof name);
    name[129] = 0;
    snprintf(text, sizeof text, "{\"activities\":[{\"name\":\"%s\"},{\"name\":\"\"},{\"name\":\"b\"}]}", name);
    expect(text, true, "[{\"name\":\"b\",\"type\":0,\"created_at\":5}]");
}

static void wrong(void **state)
{
    (void)state;
    static const char *const all[] = {"[]",
                                      "{\"status\":5}",
                                      "{\"status\":\"busy\"}",
                                      "{\"activities\":{}}",
                                      "{\"activities\":[5]}",
                                      "{\"activities\":[{\"type\":0}]}",
                                      "{\"activities\":[{\"name\":\"a\",\"type\":6}]}",
                                      "{\"activities\":[{\"name\":\"a\",\"type\":\"0\"}]}",
                                      "{\"since\":\"5\"}",
                                      "{\"afk\":0}"};
    struct presence_source from = {.is_bot = true};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert_int_equal(read_from(all[i], &from), GATEWAY_CLOSE_UNKNOWN_OPCODE);
    assert_int_equal(presence_read(NULL, &from, &status, &out), GATEWAY_CLOSE_UNKNOWN_OPCODE);
}

static void devices(void **state)
{
    (void)state;
    static const struct {
        const char *properties;
        bool is_bot;
        enum presence_device device;
    } all[] = {
        {"{\"os\":\"linux\",\"browser\":\"discord.js\"}", true, PRESENCE_WEB},
        {"{\"os\":\"linux\",\"browser\":\"Discord Client\"}", false, PRESENCE_DESKTOP},
        {"{\"browser\":\"Discord iOS\"}", true, PRESENCE_MOBILE},
        {"{\"os\":\"Android\"}", false, PRESENCE_MOBILE},
        {"{\"os\":\"Windows\",\"browser\":\"Chrome\"}", false, PRESENCE_WEB},
        {"{\"browser\":\"Discord VR\"}", false, PRESENCE_VR},
        {"[]", false, PRESENCE_DESKTOP},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        json_t *d;
        assert_int_equal(json_read(str_c(all[i].properties), &d, NULL), 0);
        assert_int_equal(presence_device_read(d, all[i].is_bot), all[i].device);
        json_decref(d);
    }
    assert_int_equal(presence_device_read(NULL, true), PRESENCE_WEB);
}

static int done(void **state)
{
    (void)state;
    buf_done(&out);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields),   cmocka_unit_test(streaming), cmocka_unit_test(the_same_keeps_its_time),
        cmocka_unit_test(too_long), cmocka_unit_test(wrong),     cmocka_unit_test(devices),
    };
    return cmocka_run_group_tests(tests, NULL, done);
}
