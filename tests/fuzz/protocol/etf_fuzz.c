/* ETF both ways. What a client's term is read as must be JSON; what jansson reads as a value must come back from ETF as
 * the same value, snowflakes as numbers. */
#include "tests/fuzz/fuzz.h"

#include "platform/base/check.h"
#include "platform/protocol/etf.h"
#include "platform/protocol/json_read.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#define TAIL     "\"t\":\"X\",\"op\":0,\"d\":"
#define TAIL_ETF (sizeof "d01td01Xd02opa0d01d" - 1)

static void read_term(struct str term)
{
    BUF_AUTO struct buf json = BUF_INIT(1 << 20);
    json_error_t error;
    int r = etf_read(term, &json);

    CHECK(r == 0 || r == -EINVAL || r == -E2BIG || r == -ENOBUFS);
    if (r < 0 || strstr(json.data, "\\u0000")) /* which jansson has not in keys */
        return;
    CHECK(json_depth_ok(buf_str(&json)));
    json_t *value = json_loadb(json.data, json.len, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &error);
    CHECK_MSG(value, "%s", error.text);
    json_decref(value);
}

static bool same(const json_t *a, const json_t *b);

static bool same_members(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)a, key, value) if (!same(value, json_object_get(b, key))) return false;
    return json_object_size(a) == json_object_size(b);
}

static bool same(const json_t *a, const json_t *b)
{
    char text[32];

    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    if (json_is_string(a) && json_is_integer(b)) {
        (void)snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(b));
        return strcmp(json_string_value(a), text) == 0;
    }
    if (json_is_object(a) && json_is_object(b))
        return same_members(a, b);
    if (!json_is_array(a) || !json_is_array(b))
        return json_equal(a, b);
    for (size_t i = 0; i < json_array_size(a); i++)
        if (!same(json_array_get(a, i), json_array_get(b, i)))
            return false;
    return json_array_size(a) == json_array_size(b);
}

static void there_and_back(struct str json)
{
    BUF_AUTO struct buf tail = BUF_INIT(0), term = BUF_INIT(0), again = BUF_INIT(0);
    json_t *value, *back;

    buf_addf(&tail, TAIL "%.*s}", STR_ARG(json));
    int r = etf_tail(buf_str(&tail), &term);
    if (memchr(json.p, 0, json.n) || json_read(json, &value, NULL) < 0)
        return;
    CHECK(r == 0 || r == -E2BIG);
    if (r == 0) {
        term.data[TAIL_ETF - 1] = (char)131;
        CHECK(etf_read((struct str){term.data + TAIL_ETF - 1, term.len - (TAIL_ETF - 1)}, &again) == 0);
        CHECK(json_read(buf_str(&again), &back, NULL) == 0);
        CHECK(same(value, back));
        json_decref(back);
    }
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};

    read_term(text);
    if (size > 0)
        there_and_back(text);
    return 0;
}
