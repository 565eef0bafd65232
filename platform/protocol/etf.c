/* JSON to ETF, by recursive descent straight into the caller's buffer: no tree. Any thread. Limit:
 * LIMIT_JSON_DEPTH, so at most 64 frames of stack. */
#include "platform/protocol/etf.h"

#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/protocol/etf_tags.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define PAYLOAD_KEYS 4

/* --- writing terms ---------------------------------------------------------------------------------------------------
 */
static void put_u32(char *p, size_t v)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = (char)(v >> (24 - 8 * i));
}

static void add_sized(struct buf *out, enum tag tag, size_t n)
{
    char head[5] = {(char)tag};

    put_u32(head + 1, n);
    buf_add(out, head, sizeof head);
}

static void add_atom(struct buf *out, struct str name)
{
    char head[3] = {TAG_ATOM, (char)(name.n >> 8), (char)name.n};

    buf_add(out, head, sizeof head);
    buf_add_str(out, name);
}

static void add_binary(struct buf *out, struct str s)
{
    add_sized(out, TAG_BINARY, s.n);
    buf_add_str(out, s);
}

#define INTEGER_BYTES_MAX (3 + ETF_BIG_BYTES_MAX)

static size_t put_integer(char out[INTEGER_BYTES_MAX], bool negative, uint64_t magnitude)
{
    size_t n = 3;

    if (!negative && magnitude <= UINT8_MAX) {
        out[0] = TAG_SMALL_INTEGER;
        out[1] = (char)magnitude;
        return 2;
    }
    if (magnitude <= INT32_MAX || (negative && magnitude == (uint64_t)INT32_MAX + 1)) {
        out[0] = TAG_INTEGER;
        put_u32(out + 1, negative ? 0 - magnitude : magnitude);
        return 5;
    }
    out[0] = TAG_SMALL_BIG;
    out[2] = negative;
    for (; magnitude; magnitude >>= 8)
        out[n++] = (char)magnitude;
    out[1] = (char)(n - 3);
    return n;
}

static void add_integer(struct buf *out, bool negative, uint64_t magnitude)
{
    char term[INTEGER_BYTES_MAX];

    buf_add(out, term, put_integer(term, negative, magnitude));
}

static void add_float(struct buf *out, double v)
{
    char term[9] = {TAG_NEW_FLOAT};
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    for (unsigned i = 0; i < 8; i++)
        term[1 + i] = (char)(bits >> (56 - 8 * i));
    buf_add(out, term, sizeof term);
}

/* --- JSON in ---------------------------------------------------------------------------------------------------------
 */
struct json_in {
    const char *p, *end;
    struct buf *out;
    unsigned depth;
};

static int json_value(struct json_in *in, struct str key);

static void skip_blanks(struct json_in *in)
{
    while (in->p < in->end && (*in->p == ' ' || *in->p == '\n' || *in->p == '\r' || *in->p == '\t'))
        in->p++;
}

/* True, and past it: the next byte that is not blank is c. */
static bool take(struct json_in *in, char c)
{
    skip_blanks(in);
    if (in->p == in->end || *in->p != c)
        return false;
    in->p++;
    return true;
}

/* in->p stands after the opening quote. What is inside, still escaped. */
static int string_raw(struct json_in *in, struct str *ret, bool *ret_escaped)
{
    const char *p = in->p;

    *ret_escaped = false;
    for (; p < in->end && *p != '"'; p++)
        if (*p == '\\') {
            *ret_escaped = true;
            p++;
        }
    if (p >= in->end)
        return -EINVAL;
    *ret = (struct str){in->p, (size_t)(p - in->p)};
    in->p = p + 1;
    return 0;
}

static int hex4(const char *p, const char *end, uint32_t *ret)
{
    *ret = 0;
    if (end - p < 4)
        return -EINVAL;
    for (unsigned i = 0; i < 4; i++) {
        char c = p[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                                : 16;
        if (digit == 16)
            return -EINVAL;
        *ret = *ret << 4 | digit;
    }
    return 0;
}

static size_t utf8_put(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 63));
        out[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 63));
    out[2] = (char)(0x80 | (c >> 6 & 63));
    out[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* *p stands after `\u`. A surrogate without its other half becomes U+FFFD. */
static int unescape_unicode(const char **p, const char *end, char *out, size_t *ret_n)
{
    uint32_t c, low;

    if (hex4(*p, end, &c) < 0)
        return -EINVAL;
    *p += 4;
    if (c >= 0xD800 && c <= 0xDBFF && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u' &&
        hex4(*p + 2, end, &low) == 0 && low >= 0xDC00 && low <= 0xDFFF) {
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        *p += 6;
    }
    *ret_n = utf8_put(c >= 0xD800 && c <= 0xDFFF ? 0xFFFD : c, out);
    return 0;
}

/* Never longer than the escaped form. Returns the length, or -EINVAL. */
static int64_t unescape(struct str s, char *out)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char *p = s.p, *end = s.p + s.n;
    size_t n = 0, k;

    while (p < end) {
        if (*p != '\\') {
            out[n++] = *p++;
            continue;
        }
        const char *name = p + 1 < end && p[1] ? strchr(names, p[1]) : NULL;
        if (name) {
            out[n++] = values[name - names];
            p += 2;
            continue;
        }
        if (p + 1 == end || p[1] != 'u')
            return -EINVAL;
        p += 2;
        if (unescape_unicode(&p, end, out + n, &k) < 0)
            return -EINVAL;
        n += k;
    }
    return (int64_t)n;
}

static int add_escaped(struct buf *out, struct str s)
{
    char *to = buf_reserve(out, 5 + s.n);

    if (!to)
        return -ENOBUFS;
    int64_t n = unescape(s, to + 5);
    if (n < 0)
        return -EINVAL;
    to[0] = TAG_BINARY;
    put_u32(to + 1, (size_t)n);
    out->len += 5 + (size_t)n;
    out->data[out->len] = 0;
    return 0;
}

static bool ends_with(struct str s, struct str end)
{
    return s.n >= end.n && memcmp(s.p + s.n - end.n, end.p, end.n) == 0;
}

/* Where a string of digits is a snowflake: the documentation's names of ids and of lists of ids. custom_id is text of
 * the developer's. */
static bool names_id(struct str key)
{
    static const struct str others[] = {STR("ids"),         STR("roles"),        STR("mention_roles"),
                                        STR("not_found"),   STR("applied_tags"), STR("exempt_channels"),
                                        STR("exempt_roles")};

    if (str_eq(key, STR("id")) || ends_with(key, STR("_id")))
        return !str_eq(key, STR("custom_id"));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (str_eq(key, others[i]))
            return true;
    return ends_with(key, STR("_ids"));
}

/* Below 2^32 erlpack for JavaScript makes a number of it, above 2^63 Java makes it negative: those stay text. */
static bool is_snowflake(struct str s, struct str key, uint64_t *ret)
{
    return s.n >= 10 && s.n <= 19 && s.p[0] >= '1' && s.p[0] <= '9' && str_to_u64(s, ret) == 0 && *ret > UINT32_MAX &&
           *ret <= INT64_MAX && names_id(key);
}

static int json_string(struct json_in *in, struct str key)
{
    struct str s;
    bool escaped;
    uint64_t id;

    if (string_raw(in, &s, &escaped) < 0)
        return -EINVAL;
    if (escaped)
        return add_escaped(in->out, s);
    if (is_snowflake(s, key, &id))
        add_integer(in->out, false, id);
    else
        add_binary(in->out, s);
    return 0;
}

static int json_number(struct json_in *in)
{
    char small[64], *end;
    MEM_AUTO char *large = NULL; /* a double in full takes up to 309 digits before the point */
    const char *from = in->p;
    uint64_t magnitude;

    while (in->p < in->end && memchr("+-.0123456789Ee", *in->p, 15))
        in->p++;
    size_t n = (size_t)(in->p - from);
    if (n >= sizeof small)
        large = mem_alloc(n + 1);
    char *text = large ? large : small;
    memcpy(text, from, n);
    text[n] = 0;
    bool negative = text[0] == '-';
    if (str_to_u64((struct str){text + negative, n - negative}, &magnitude) == 0 &&
        (!negative || magnitude <= (uint64_t)INT64_MAX + 1)) {
        add_integer(in->out, negative && magnitude, magnitude);
        return 0;
    }
    double v = strtod(text, &end);
    if (end == text || *end || !isfinite(v))
        return -EINVAL;
    add_float(in->out, v);
    return 0;
}

/* The length of a list or map is known at its end; `at` is where it stands. */
static void set_count(struct buf *out, size_t at, size_t count)
{
    if (!buf_failed(out))
        put_u32(out->data + at, count);
}

static int json_array(struct json_in *in, struct str key)
{
    size_t at = in->out->len + 1, count = 0;

    if (take(in, ']')) {
        buf_addc(in->out, (char)TAG_NIL);
        return 0;
    }
    add_sized(in->out, TAG_LIST, 0);
    do {
        int r = json_value(in, key);
        if (r < 0)
            return r;
        count++;
    } while (take(in, ','));
    if (!take(in, ']'))
        return -EINVAL;
    set_count(in->out, at, count);
    buf_addc(in->out, (char)TAG_NIL);
    return 0;
}

static int json_key(struct json_in *in, struct str *ret, bool *ret_escaped)
{
    return take(in, '"') && string_raw(in, ret, ret_escaped) == 0 && take(in, ':') ? 0 : -EINVAL;
}

static int json_object(struct json_in *in)
{
    size_t at = in->out->len + 1, count = 0;

    add_sized(in->out, TAG_MAP, 0);
    if (take(in, '}'))
        return 0;
    do {
        struct str key;
        bool escaped;
        int r = json_key(in, &key, &escaped);
        if (r == 0 && escaped)
            r = add_escaped(in->out, key);
        else if (r == 0)
            add_binary(in->out, key);
        if (r == 0)
            r = json_value(in, key);
        if (r < 0)
            return r;
        count++;
    } while (take(in, ','));
    if (!take(in, '}'))
        return -EINVAL;
    set_count(in->out, at, count);
    return 0;
}

static int json_literal(struct json_in *in, struct str literal, struct str atom)
{
    if ((size_t)(in->end - in->p) < literal.n || memcmp(in->p, literal.p, literal.n) != 0)
        return -EINVAL;
    in->p += literal.n;
    add_atom(in->out, atom);
    return 0;
}

static int json_nested(struct json_in *in, char c, struct str key)
{
    if (in->depth == LIMIT_JSON_DEPTH)
        return -E2BIG;
    in->p++;
    in->depth++;
    int r = c == '{' ? json_object(in) : json_array(in, key);
    in->depth--;
    return r;
}

static int json_value(struct json_in *in, struct str key)
{
    skip_blanks(in);
    if (in->p == in->end)
        return -EINVAL;
    switch (*in->p) {
    case '"':
        in->p++;
        return json_string(in, key);
    case '{':
    case '[':
        return json_nested(in, *in->p, key);
    case 'n':
        return json_literal(in, STR("null"), STR("nil"));
    case 't':
        return json_literal(in, STR("true"), STR("true"));
    case 'f':
        return json_literal(in, STR("false"), STR("false"));
    default:
        return json_number(in);
    }
}

/* The pairs of a payload: keys are atoms, and so is the event's name. */
static int payload_pairs(struct json_in *in, unsigned *ret_count)
{
    *ret_count = 0;
    do {
        struct str key;
        bool escaped;
        int r = json_key(in, &key, &escaped);
        if (r < 0 || escaped)
            return -EINVAL;
        add_atom(in->out, key);
        if (str_eq(key, STR("t")) && take(in, '"')) {
            if (string_raw(in, &key, &escaped) < 0 || escaped)
                return -EINVAL;
            add_atom(in->out, key);
        } else if ((r = json_value(in, key)) < 0) {
            return r;
        }
        ++*ret_count;
    } while (take(in, ','));
    if (!take(in, '}'))
        return -EINVAL;
    skip_blanks(in);
    return in->p == in->end ? 0 : -EINVAL;
}

static struct json_in json_in_of(struct str json, struct buf *out)
{
    return (struct json_in){.p = json.p, .end = json.n ? json.p + json.n : json.p, .out = out, .depth = 1};
}

static int written(struct buf *out, int r)
{
    return r == 0 && buf_failed(out) ? -ENOBUFS : r;
}

int etf_tail(struct str tail, struct buf *out)
{
    struct json_in in = json_in_of(tail, out);
    unsigned count;
    int r = payload_pairs(&in, &count);

    return written(out, r == 0 && count != PAYLOAD_KEYS - 1 ? -EINVAL : r);
}

int etf_payload(struct str json, struct buf *out)
{
    struct json_in in = json_in_of(json, out);
    unsigned count;

    buf_addc(out, (char)TAG_VERSION);
    size_t at = out->len + 1;
    add_sized(out, TAG_MAP, 0);
    int r = take(&in, '{') ? payload_pairs(&in, &count) : -EINVAL;
    if (r == 0)
        set_count(out, at, count);
    return written(out, r);
}

size_t etf_head(uint64_t seq, char out[ETF_HEAD_BYTES])
{
    static const char head[] = {(char)TAG_VERSION, TAG_MAP, 0, 0, 0, PAYLOAD_KEYS, TAG_ATOM, 0, 1, 's'};
    _Static_assert(sizeof head + INTEGER_BYTES_MAX == ETF_HEAD_BYTES, "ETF_HEAD_BYTES holds any number");

    memcpy(out, head, sizeof head);
    return sizeof head + put_integer(out + sizeof head, false, seq);
}
