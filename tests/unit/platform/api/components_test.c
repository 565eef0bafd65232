/* components.c: what may stand where, what each must say, and the ids they get. */
#include "tests/support/cm.h"

#include "platform/api/api_private.h"
#include "platform/api/form.h"
#include "platform/api/messages/components.h"

#include <stdlib.h>

static struct http_request req;
static struct api_ctx x;

static struct str given(enum components_kind kind, const char *list)
{
    char json[4096];

    snprintf(json, sizeof json, "{\"components\":%s}", list);
    x = (struct api_ctx){.req = &req, .arena = &req.arena, .form_errors = BUF_INIT(64 << 10)};
    x.body = json_loads(json, 0, NULL);
    if (!x.body)
        fail_msg("no JSON: %s", json);
    return components_read(&x, kind, STR_NONE);
}

static void done(void)
{
    json_decref(x.body);
    buf_done(&x.form_errors);
    arena_done(&req.arena);
}

static void kept(enum components_kind kind, const char *list, const char *as)
{
    struct str s = given(kind, list);

    if (x.form_errors.len)
        fail_msg("%s: refused: %s %s", list, x.form_errors.data, x.form_errors.data + strlen(x.form_errors.data) + 1);
    assert_str(s, as);
    done();
}

/* The first error. */
static void refused(enum components_kind kind, const char *list, const char *path, const char *code)
{
    struct str s = given(kind, list);

    assert_null(s.p);
    assert_int_equal(form_result(&x), API_ERROR_INVALID_FORM_BODY);
    const char *at = x.form_errors.data, *what = at + strlen(at) + 1;
    if (strcmp(at, path) != 0 || strcmp(what, code) != 0)
        fail_msg("%s: expected %s at %s, got %s at %s", list, code, path, what, at);
    done();
}

#define ROW(children)    "[{\"type\":1,\"components\":[" children "]}]"
#define BUTTON(id, more) "{\"type\":2,\"style\":1,\"label\":\"l\",\"custom_id\":\"" id "\"" more "}"
#define INPUT(more)      "{\"type\":4,\"style\":1,\"custom_id\":\"i\"" more "}"

static void numbers_them(void **state)
{
    (void)state;
    kept(COMPONENTS_LEGACY, ROW(BUTTON("a", "") "," BUTTON("b", ",\"id\":1")),
         "[{\"type\":1,\"components\":[{\"type\":2,\"style\":1,\"label\":\"l\",\"custom_id\":\"a\",\"id\":3},"
         "{\"type\":2,\"style\":1,\"label\":\"l\",\"custom_id\":\"b\",\"id\":1}],\"id\":2}]");
    assert_null(given(COMPONENTS_LEGACY, "[]").p);
    assert_int_equal(form_result(&x), API_OK);
    done();
    kept(COMPONENTS_V2,
         "[{\"type\":17,\"components\":[{\"type\":9,\"components\":[{\"type\":10,\"content\":\"t\"}],\"accessory\":"
         "{\"type\":11,\"media\":{\"url\":\"https://a.test/b.png\"}}},{\"type\":14}]}]",
         "[{\"type\":17,\"components\":[{\"type\":9,\"components\":[{\"type\":10,\"content\":\"t\",\"id\":3}],"
         "\"accessory\":{\"type\":11,\"media\":{\"url\":\"https://a.test/b.png\"},\"id\":4},\"id\":2},{\"type\":14,"
         "\"id\":5}],\"id\":1}]");
}

static void minds_places(void **state)
{
    (void)state;
    refused(COMPONENTS_LEGACY, "[" BUTTON("a", "") "]", "components.0", "UNION_TYPE_CHOICES");
    refused(COMPONENTS_LEGACY, "[{\"type\":10,\"content\":\"t\"}]", "components.0", "UNION_TYPE_CHOICES");
    refused(COMPONENTS_LEGACY, "[7]", "components.0", "DICT_TYPE_CONVERT");
    refused(COMPONENTS_LEGACY, ROW(INPUT("")), "components.0.components.0", "UNION_TYPE_CHOICES");
    refused(COMPONENTS_LEGACY, ROW(""), "components.0.components", "BASE_TYPE_BAD_LENGTH");
    refused(COMPONENTS_LEGACY, ROW("{\"type\":5,\"custom_id\":\"s\"}," BUTTON("a", "")), "components.0.components",
            "COMPONENT_LAYOUT_WIDTH_EXCEEDED");
    refused(COMPONENTS_V2, "[{\"type\":17,\"components\":[{\"type\":17,\"components\":[]}]}]",
            "components.0.components.0", "UNION_TYPE_CHOICES");
    refused(COMPONENTS_MODAL, ROW(BUTTON("a", "")), "components.0.components.0", "UNION_TYPE_CHOICES");
    refused(COMPONENTS_MODAL, "[]", "components", "BASE_TYPE_BAD_LENGTH");
    kept(COMPONENTS_MODAL, ROW(INPUT("")),
         "[{\"type\":1,\"components\":[{\"type\":4,\"style\":1,\"custom_id\":\"i\",\"id\":2}],\"id\":1}]");
}

static void minds_fields(void **state)
{
    (void)state;
    refused(COMPONENTS_LEGACY, ROW(BUTTON("a", "") "," BUTTON("a", "")), "components.0.components.1.custom_id",
            "COMPONENT_CUSTOM_ID_DUPLICATED");
    refused(COMPONENTS_LEGACY, ROW("{\"type\":2,\"style\":1,\"custom_id\":\"a\"}"), "components.0.components.0",
            "BUTTON_COMPONENT_LABEL_OR_EMOJI_REQUIRED");
    refused(COMPONENTS_LEGACY, ROW("{\"type\":2,\"style\":1,\"label\":\"l\"}"), "components.0.components.0.custom_id",
            "BASE_TYPE_REQUIRED");
    refused(COMPONENTS_LEGACY, ROW(BUTTON("a", ",\"url\":\"https://a.test\"")), "components.0.components.0.url",
            "BUTTON_COMPONENT_FIELD_INVALID");
    refused(COMPONENTS_LEGACY, ROW("{\"type\":2,\"style\":5,\"label\":\"l\"}"), "components.0.components.0.url",
            "BASE_TYPE_REQUIRED");
    refused(COMPONENTS_LEGACY, ROW("{\"type\":3,\"custom_id\":\"s\"}"), "components.0.components.0.options",
            "BASE_TYPE_REQUIRED");
    refused(COMPONENTS_LEGACY,
            ROW("{\"type\":3,\"custom_id\":\"s\",\"options\":[{\"label\":\"a\",\"value\":\"v\"},{\"label\":\"b\","
                "\"value\":\"v\"}]}"),
            "components.0.components.0.options.1.value", "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED");
    refused(COMPONENTS_LEGACY, ROW("{\"type\":6,\"custom_id\":\"s\",\"min_values\":3,\"max_values\":2}"),
            "components.0.components.0.min_values", "SELECT_COMPONENT_MIN_MAX_INVALID");
    refused(COMPONENTS_MODAL, ROW(INPUT(",\"min_length\":5,\"max_length\":4")), "components.0.components.0.min_length",
            "TEXT_INPUT_COMPONENT_MIN_MAX_INVALID");
    refused(COMPONENTS_MODAL, "[{\"type\":18,\"component\":" INPUT("") "}]", "components.0.label",
            "BASE_TYPE_REQUIRED");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_them),
        cmocka_unit_test(minds_places),
        cmocka_unit_test(minds_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
