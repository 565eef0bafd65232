#include "gateway/server/redact.h"
#include "tests/support/cm.h"

#include <errno.h>

#define REDACTED(in, keep, out_text)                                                                                   \
    do {                                                                                                               \
        struct buf r_out = BUF_INIT(0);                                                                                \
        assert_int_equal(redact_message(STR(in), (keep), &r_out), 0);                                                  \
        assert_buf(&r_out, out_text);                                                                                  \
        buf_done(&r_out);                                                                                              \
    } while (0)

static void empties_what_people_wrote(void **state)
{
    (void)state;
    REDACTED("{\"id\":\"1\",\"content\":\"se\\\"cret\",\"embeds\":[{\"title\":\"x\"}],\"attachments\":[{}],"
             "\"components\":[{}],"
             "\"poll\":{\"q\":1},\"tts\":false}",
             false, "{\"id\":\"1\",\"content\":\"\",\"embeds\":[],\"attachments\":[],\"components\":[],\"tts\":false}");
    REDACTED("{\"poll\":{},\"content\":\"a\"}", false, "{\"content\":\"\"}");
    REDACTED("{}", false, "{}");
}

static void and_what_they_refer_to(void **state)
{
    (void)state;
    REDACTED("{\"content\":\"a\",\"referenced_message\":{\"id\":\"2\",\"content\":\"b\"}}", false,
             "{\"content\":\"\",\"referenced_message\":{\"id\":\"2\",\"content\":\"\"}}");
    REDACTED("{\"content\":\"a\",\"referenced_message\":{\"id\":\"2\",\"content\":\"b\"}}", true,
             "{\"content\":\"\",\"referenced_message\":{\"id\":\"2\",\"content\":\"b\"}}");
    REDACTED("{\"referenced_message\":null,\"content\":\"a\"}", false,
             "{\"referenced_message\":null,\"content\":\"\"}");
    REDACTED("{\"message_snapshots\":[{\"message\":{\"content\":\"c\"}},{\"x\":1}]}", true,
             "{\"message_snapshots\":[{\"message\":{\"content\":\"\"}},{\"x\":1}]}");
}

static void broken_messages(void **state)
{
    (void)state;
    BUF_AUTO struct buf out = BUF_INIT(0);
    assert_int_equal(redact_message(STR("[]"), false, &out), -EINVAL);
    assert_int_equal(redact_message(STR("{\"content\":"), false, &out), -EINVAL);
    assert_int_equal(redact_message(STR("{\"referenced_message\":{,}}"), false, &out), -EINVAL);
    assert_int_equal(redact_message(STR("{\"message_snapshots\":[1]}"), false, &out), -EINVAL);
}

static void who_may_read(void **state)
{
    (void)state;
    struct str m = STR("{\"author\":{\"id\":\"5\"},\"mentions\":[{\"id\":\"6\"},{\"id\":\"7\"}],\"content\":\"\"}");
    assert_true(redact_exempt(m, 5));
    assert_true(redact_exempt(m, 7));
    assert_false(redact_exempt(m, 8));
    assert_false(redact_exempt(STR("{}"), 8));
    assert_null(redact_reference(m).p);
    assert_null(redact_reference(STR("{\"referenced_message\":null}")).p);
    assert_str(redact_reference(STR("{\"referenced_message\":{\"id\":\"1\"}}")), "{\"id\":\"1\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empties_what_people_wrote),
        cmocka_unit_test(and_what_they_refer_to),
        cmocka_unit_test(broken_messages),
        cmocka_unit_test(who_may_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
