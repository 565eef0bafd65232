/* The envelope scanner. It walks a payload once, without allocating: strings by memchr, nested values by counting
 * brackets, so `d` costs a fraction of parsing it. Any thread. Depth: LIMIT_JSON_DEPTH. What it lets through inside a
 * nested value is balanced, not necessarily valid JSON: who reads `d` parses it. */
#include "platform/protocol/envelope.h"

#include "platform/base/limits.h"
#include "platform/protocol/json_read.h"

#include <errno.h>

/* Bytes that end a run of uninteresting ones inside a nested value. */
static const bool structural[256] = {['"'] = true, ['{'] = true, ['}'] = true, ['['] = true, [']'] = true};

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static const char *skip_blanks(const char *p, const char *end)
{
    while (p < end && is_blank(*p))
        p++;
    return p;
}

/* p stands after the opening quote; answers what follows the closing one, or NULL. A quote closes unless an odd number
 * of backslashes stands before it. */
static const char *skip_string(const char *p, const char *end)
{
    const char *from = p;

    for (;;) {
        const char *quote = p < end ? memchr(p, '"', (size_t)(end - p)) : NULL;
        if (!quote)
            return NULL;
        const char *before = quote;
        while (before > from && before[-1] == '\\')
            before--;
        if ((quote - before) % 2 == 0)
            return quote + 1;
        p = quote + 1;
    }
}

_Static_assert(LIMIT_JSON_DEPTH <= 64, "the kinds of open brackets are kept in 64 bits");

/* p stands at the first bracket. `depth_max` brackets may be open at once. */
static const char *skip_nested(const char *p, const char *end, unsigned depth_max)
{
    uint64_t kinds = 0; /* one bit for each open bracket, the innermost lowest: 1 = brace */
    unsigned depth = 0;

    for (;;) {
        while (p < end && !structural[(unsigned char)*p])
            p++;
        if (p == end)
            return NULL;
        char c = *p++;
        if (c == '"') {
            p = skip_string(p, end);
            if (!p)
                return NULL;
        } else if (c == '{' || c == '[') {
            if (depth++ == depth_max)
                return NULL;
            kinds = kinds << 1 | (c == '{');
        } else {
            if ((kinds & 1) != (c == '}'))
                return NULL;
            kinds >>= 1;
            if (--depth == 0)
                return p;
        }
    }
}

static bool is_scalar_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' || c == '+' || c == '.' || c == 'E';
}

static const char *skip_scalar(const char *p, const char *end)
{
    const char *from = p;

    while (p < end && is_scalar_byte(*p))
        p++;
    return p == from ? NULL : p;
}

static const char *skip_value(const char *p, const char *end, unsigned depth_max)
{
    if (p == end)
        return NULL;
    if (*p == '"')
        return skip_string(p + 1, end);
    if (*p == '{' || *p == '[')
        return skip_nested(p, end, depth_max);
    return skip_scalar(p, end);
}

int json_members_scan(struct str object, int (*fn)(struct str key, struct str value, void *arg), void *arg)
{
    const char *end = object.n ? object.p + object.n : object.p, *p = skip_blanks(object.p, end);

    if (p == end || *p != '{')
        return -EINVAL;
    p = skip_blanks(p + 1, end);
    if (p < end && *p == '}')
        return skip_blanks(p + 1, end) == end ? 0 : -EINVAL;
    for (;;) {
        struct str key, value;
        if (p == end || *p != '"')
            return -EINVAL;
        key.p = ++p;
        p = skip_string(p, end);
        if (!p)
            return -EINVAL;
        key.n = (size_t)(p - key.p) - 1;
        p = skip_blanks(p, end);
        if (p == end || *p != ':')
            return -EINVAL;
        value.p = p = skip_blanks(p + 1, end);
        p = skip_value(p, end, LIMIT_JSON_DEPTH - 1);
        if (!p)
            return -EINVAL;
        value.n = (size_t)(p - value.p);
        int r = fn(key, value, arg);
        if (r != 0)
            return r;
        p = skip_blanks(p, end);
        if (p == end || (*p != ',' && *p != '}'))
            return -EINVAL;
        if (*p == '}')
            return skip_blanks(p + 1, end) == end ? 0 : -EINVAL;
        p = skip_blanks(p + 1, end);
    }
}

int json_elements_scan(struct str array, int (*fn)(struct str value, void *arg), void *arg)
{
    const char *end = array.n ? array.p + array.n : array.p, *p = skip_blanks(array.p, end);

    if (p == end || *p != '[')
        return -EINVAL;
    p = skip_blanks(p + 1, end);
    if (p < end && *p == ']')
        return skip_blanks(p + 1, end) == end ? 0 : -EINVAL;
    for (;;) {
        struct str value = {.p = p};
        p = skip_value(p, end, LIMIT_JSON_DEPTH - 1);
        if (!p)
            return -EINVAL;
        value.n = (size_t)(p - value.p);
        int r = fn(value, arg);
        if (r != 0)
            return r;
        p = skip_blanks(p, end);
        if (p == end || (*p != ',' && *p != ']'))
            return -EINVAL;
        if (*p == ']')
            return skip_blanks(p + 1, end) == end ? 0 : -EINVAL;
        p = skip_blanks(p + 1, end);
    }
}

static bool is_null(struct str value)
{
    return str_eq(value, STR("null"));
}

static int envelope_member(struct str key, struct str value, void *arg)
{
    struct envelope *e = arg;

    if (str_eq(key, STR("op")))
        return str_to_i64(value, &e->op) < 0 ? -EINVAL : 0;
    if (str_eq(key, STR("s"))) {
        e->seq = -1;
        return is_null(value) || str_to_i64(value, &e->seq) == 0 ? 0 : -EINVAL;
    }
    if (str_eq(key, STR("d"))) {
        e->data = value;
    } else if (str_eq(key, STR("t"))) {
        e->type = STR_NONE;
        if (is_null(value))
            return 0;
        if (json_str_plain(value, &e->type) < 0)
            return -EINVAL;
    }
    return 0;
}

int envelope_scan(struct str json, struct envelope *ret)
{
    struct envelope e = {.op = -1, .seq = -1};
    int r = json_members_scan(json, envelope_member, &e);

    if (r == 0)
        *ret = e;
    return r;
}

int json_str_plain(struct str value, struct str *ret)
{
    if (value.n < 2 || value.p[0] != '"' || value.p[value.n - 1] != '"' || memchr(value.p, '\\', value.n))
        return -EINVAL;
    *ret = (struct str){value.p + 1, value.n - 2};
    return 0;
}

bool json_depth_ok(struct str text)
{
    const char *p = text.p, *end = text.n ? text.p + text.n : text.p;
    size_t depth = 0;

    while (p && p < end) {
        char c = *p++;
        if (c == '"')
            p = skip_string(p, end); /* an open string holds no more brackets */
        else if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && depth)
            depth--;
        if (depth > LIMIT_JSON_DEPTH)
            return false;
    }
    return true;
}
