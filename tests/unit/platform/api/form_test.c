/* form.c: every reader with what it takes, what it refuses, and where it says so. */
#include "tests/support/cm.h"

#include "platform/api/api_private.h"
#include "platform/api/form.h"
#include "platform/base/limits.h"

#include <stdlib.h>

static struct http_request req;
static struct api_ctx x;

static void given(const char *json)
{
    x = (struct api_ctx){.req = &req, .arena = &req.arena, .form_errors = BUF_INIT(64 << 10)};
    x.body = json_loads(json, JSON_DECODE_ANY, NULL);
}

static void assert_errors(const char *json)
{
    json_t *tree = form_errors_tree(&x.form_errors);
    char *text = json_dumps(tree, JSON_COMPACT);

    assert_string_equal(text, json);
    assert_int_equal(form_result(&x), *json && strcmp(json, "{}") != 0 ? API_ERROR_INVALID_FORM_BODY : API_OK);
    free(text);
    json_decref(tree);
    json_decref(x.body);
    buf_done(&x.form_errors);
    arena_done(&req.arena);
}

static void reads_strings(void **state)
{
    struct str s = STR("before"), none = STR("before");

    (void)state;
    given("{\"a\":\"x\",\"n\":null,\"e\":\"\",\"u\":\"\xC3\xA4\xC3\xA4\"}");
    assert_true(form_str(&x, "a", FORM_REQUIRED, 1, 1, &s));
    assert_str(s, "x");
    assert_false(form_str(&x, "missing", FORM_OPTIONAL, 1, 1, &s));
    assert_false(form_str(&x, "n", FORM_OPTIONAL, 1, 1, &s));
    assert_str(s, "x");
    assert_true(form_str(&x, "n", FORM_NULLABLE, 1, 1, &none));
    assert_null(none.p);
    assert_true(form_str(&x, "e", FORM_OPTIONAL, 0, 1, &s));
    assert_true(form_str(&x, "u", FORM_OPTIONAL, 2, 2, &s)); /* code points, not bytes */
    assert_true(form_has(&x, "n") && form_is_null(&x, "n") && !form_has(&x, "missing"));
    assert_errors("{}");

    given("{\"a\":5,\"b\":\"\",\"c\":\"xxx\",\"d\":\"xxx\"}");
    assert_false(form_str(&x, "a", FORM_OPTIONAL, 0, 9, &s));
    assert_false(form_str(&x, "b", FORM_REQUIRED, 1, 9, &s));
    assert_false(form_str(&x, "c", FORM_OPTIONAL, 0, 2, &s));
    assert_false(form_str(&x, "d", FORM_OPTIONAL, 5, 9, &s));
    assert_false(form_str(&x, "m", FORM_REQUIRED, 1, 9, &s));
    assert_errors(
        "{\"a\":{\"_errors\":[{\"code\":\"STRING_TYPE_CONVERT\",\"message\":\"Could not interpret the value as "
        "string.\"}]},\"b\":{\"_errors\":[{\"code\":\"BASE_TYPE_REQUIRED\",\"message\":\"This field is required\"}]},"
        "\"c\":{\"_errors\":[{\"code\":\"BASE_TYPE_MAX_LENGTH\",\"message\":\"Must be 2 or fewer in length.\"}]},"
        "\"d\":{\"_errors\":[{\"code\":\"BASE_TYPE_BAD_LENGTH\",\"message\":\"Must be between 5 and 9 in "
        "length.\"}]},\"m\":{\"_errors\":[{\"code\":\"BASE_TYPE_REQUIRED\",\"message\":\"This field is "
        "required\"}]}}");
}

static void reads_numbers(void **state)
{
    int64_t n = 7;
    uint64_t id = 7, bits = 7;
    bool b = false;

    (void)state;
    given("{\"i\":5,\"s\":\"-6\",\"r\":8.0,\"n\":null,\"b\":true,\"id\":\"175928847299117063\",\"nid\":"
          "175928847299117063,"
          "\"p\":\"2048\",\"pn\":1024,\"huge\":\"9223372036854775807\"}");
    assert_true(form_i64(&x, "i", FORM_REQUIRED, 0, 5, &n) && n == 5);
    assert_true(form_i64(&x, "s", FORM_REQUIRED, -6, 5, &n) && n == -6);
    assert_true(form_i64(&x, "r", FORM_REQUIRED, 0, 8, &n) && n == 8);
    assert_true(form_i64(&x, "n", FORM_NULLABLE, 1, 8, &n) && n == 0);
    assert_true(form_bool(&x, "b", FORM_REQUIRED, &b) && b);
    assert_true(form_id(&x, "id", FORM_REQUIRED, &id) && id == UINT64_C(175928847299117063));
    id = 0;
    assert_true(form_id(&x, "nid", FORM_REQUIRED, &id) && id == UINT64_C(175928847299117063));
    assert_true(form_id(&x, "n", FORM_NULLABLE, &id) && id == 0);
    assert_true(form_bits(&x, "p", FORM_REQUIRED, &bits) && bits == 2048);
    assert_true(form_bits(&x, "pn", FORM_REQUIRED, &bits) && bits == 1024);
    assert_true(form_bits(&x, "huge", FORM_REQUIRED, &bits) && bits == PERMISSIONS_ALL); /* unknown bits fall away */
    assert_errors("{}");

    static const char *const wrong[] = {"\"x\"", "1.5",  "[]",    "{}",
                                        "true",  "\"\"", "1e300", "\"99999999999999999999\""};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char json[64];
        snprintf(json, sizeof json, "{\"v\":%s}", wrong[i]);
        given(json);
        assert_false(form_i64(&x, "v", FORM_OPTIONAL, INT64_MIN, INT64_MAX, &n));
        assert_errors("{\"v\":{\"_errors\":[{\"code\":\"NUMBER_TYPE_COERCE\",\"message\":\"Value is not int.\"}]}}");
        given(json);
        assert_false(form_id(&x, "v", FORM_OPTIONAL, &id));
        assert_errors(
            "{\"v\":{\"_errors\":[{\"code\":\"NUMBER_TYPE_COERCE\",\"message\":\"Value is not snowflake.\"}]}}");
    }
    given("{\"v\":-1,\"w\":9}");
    assert_false(form_id(&x, "v", FORM_OPTIONAL, &id));
    assert_false(form_bits(&x, "v", FORM_OPTIONAL, &bits));
    assert_false(form_bool(&x, "v", FORM_OPTIONAL, &b));
    assert_false(form_i64(&x, "w", FORM_OPTIONAL, 0, 8, &n));
    assert_int_equal(form_result(&x), API_ERROR_INVALID_FORM_BODY);
    json_decref(x.body);
    buf_done(&x.form_errors);
}

static void reads_lists(void **state)
{
    uint64_t *ids = NULL;
    unsigned count = 0;

    (void)state;
    given("{\"l\":[\"5\",6],\"n\":null,\"o\":{}}");
    assert_true(form_ids(&x, "l", FORM_REQUIRED, 2, &ids, &count));
    assert_true(count == 2 && ids[0] == 5 && ids[1] == 6);
    assert_true(form_ids(&x, "n", FORM_NULLABLE, 2, &ids, &count));
    assert_int_equal(count, 0);
    assert_non_null(form_object(&x, "o", FORM_REQUIRED));
    assert_null(form_object(&x, "n", FORM_NULLABLE));
    assert_null(form_array(&x, "missing", FORM_OPTIONAL, 5));
    assert_errors("{}");
    given("{\"l\":[\"5\",\"x\"],\"m\":[1,2,3],\"o\":[],\"p\":{}}");
    assert_false(form_ids(&x, "l", FORM_REQUIRED, 2, &ids, &count));
    assert_null(form_array(&x, "m", FORM_OPTIONAL, 2));
    assert_null(form_object(&x, "o", FORM_OPTIONAL));
    assert_null(form_array(&x, "p", FORM_OPTIONAL, 2));
    assert_errors(
        "{\"l\":{\"1\":{\"_errors\":[{\"code\":\"NUMBER_TYPE_COERCE\",\"message\":\"Value is not snowflake.\"}]}},"
        "\"m\":{\"_errors\":[{\"code\":\"BASE_TYPE_MAX_LENGTH\",\"message\":\"Must be 2 or fewer in length.\"}]},"
        "\"o\":{\"_errors\":[{\"code\":\"DICT_TYPE_CONVERT\",\"message\":\"Only dictionaries may be used in a "
        "DictType\"}]},\"p\":{\"_errors\":[{\"code\":\"LIST_TYPE_CONVERT\",\"message\":\"Only iterables may be used "
        "in a ListType\"}]}}");
}

static void nests_errors(void **state)
{
    (void)state;
    given("[]");
    assert_false(form_has(&x, "a"));
    form_error(&x, "embeds.0.title", "A", "1");
    form_error(&x, "embeds.0.title", "B", "2");
    form_error(&x, "embeds.1", "C", "3");
    form_error(&x, "", "D", "4");
    assert_errors("{\"embeds\":{\"0\":{\"title\":{\"_errors\":[{\"code\":\"A\",\"message\":\"1\"},{\"code\":\"B\","
                  "\"message\":\"2\"}]}},\"1\":{\"_errors\":[{\"code\":\"C\",\"message\":\"3\"}]}},"
                  "\"_errors\":[{\"code\":\"D\",\"message\":\"4\"}]}");
    given("{}");
    for (int i = 0; i < 1000; i++)
        form_error(&x, "a", "A", "1");
    json_t *tree = form_errors_tree(&x.form_errors);
    assert_int_equal(json_array_size(json_object_get(json_object_get(tree, "a"), "_errors")), LIMIT_API_FORM_ERRORS);
    json_decref(tree);
    json_decref(x.body);
    buf_done(&x.form_errors);
}

static void reads_queries(void **state)
{
    int64_t n = 7;
    uint64_t id = 7;
    bool b = false;

    (void)state;
    given("{}");
    req.query = STR("limit=5&after=123&with=true&zero=0&none=&bad=x&big=6");
    assert_true(query_i64(&x, "limit", 1, 5, &n) && n == 5);
    assert_true(query_id(&x, "after", &id) && id == 123);
    assert_true(query_bool(&x, "with", &b) && b);
    assert_true(query_id(&x, "zero", &id));
    assert_int_equal(id, 0); /* from the beginning */
    assert_false(query_i64(&x, "none", 1, 5, &n));
    assert_false(query_i64(&x, "missing", 1, 5, &n));
    assert_int_equal(form_result(&x), API_OK);
    assert_false(query_i64(&x, "bad", 1, 5, &n));
    assert_false(query_i64(&x, "big", 1, 5, &n));
    assert_false(query_id(&x, "bad", &id));
    assert_int_equal(form_result(&x), API_ERROR_INVALID_FORM_BODY);
    assert_true(n == 5 && id == 0);
    json_decref(x.body);
    buf_done(&x.form_errors);
    arena_done(&req.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_strings), cmocka_unit_test(reads_numbers), cmocka_unit_test(reads_lists),
        cmocka_unit_test(nests_errors),  cmocka_unit_test(reads_queries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
