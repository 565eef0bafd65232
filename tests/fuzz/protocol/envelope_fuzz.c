/* The envelope scanner beside jansson: what jansson reads as an object, the scanner must read, with the same members.
 */
#include "tests/fuzz/fuzz.h"

#include "platform/base/check.h"
#include "platform/protocol/envelope.h"
#include "platform/protocol/json_read.h"
#include "platform/protocol/json_text.h"

#include <jansson.h>

static bool is_integer(const json_t *v)
{
    return json_is_integer(v);
}

/* Would the documentation's payload be refused for the kind of its op, s or t? */
static bool mistyped(const json_t *o)
{
    const json_t *op = json_object_get(o, "op"), *s = json_object_get(o, "s"), *t = json_object_get(o, "t");

    return (op && !is_integer(op)) || (s && !json_is_null(s) && !is_integer(s)) ||
           (t && !json_is_null(t) && !json_is_string(t));
}

static void compare(const json_t *o, const struct envelope *e)
{
    const json_t *op = json_object_get(o, "op"), *d = json_object_get(o, "d");

    CHECK(e->op == (op ? json_integer_value(op) : -1));
    CHECK((d != NULL) == (e->data.p != NULL));
    if (!d || (!json_is_object(d) && !json_is_array(d)))
        return;
    json_t *again;
    CHECK(json_read(e->data, &again, NULL) == 0);
    CHECK(json_equal(again, d));
    json_decref(again);
}

static int count(struct str key, struct str value, void *arg)
{
    (void)key;
    CHECK(value.n > 0);
    ++*(unsigned *)arg;
    return 0;
}

static int count_element(struct str value, void *arg)
{
    return count(STR_NONE, value, arg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct envelope e;
    unsigned members = 0, elements = 0;
    int r = envelope_scan(text, &e);
    json_t *o;

    (void)json_elements_scan(text, count_element, &elements);
    (void)json_members_scan(text, count, &members);
    /* keys written with escapes are other keys to the scanner; jansson reads a NUL byte as the end of its input */
    if (!size || memchr(text.p, '\\', text.n) || memchr(text.p, 0, text.n) || json_read(text, &o, NULL) < 0)
        return 0;
    /* of a key given twice jansson has only the last to look at */
    if (json_is_object(o) && !mistyped(o) && members == json_object_size(o)) {
        CHECK(r == 0);
        compare(o, &e);
    }
    json_decref(o);
    return 0;
}
