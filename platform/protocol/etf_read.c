/* ETF to JSON, for what clients send: by recursive descent over untrusted bytes, straight into the caller's buffer. Any
 * thread. Limits: LIMIT_JSON_DEPTH; every element takes at least one byte of the input, so no count can promise more
 * than there is. */
#include "platform/protocol/etf.h"

#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/protocol/etf_tags.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct etf_in {
    const unsigned char *p, *end;
    struct buf *out;
    unsigned depth;
};

static int term_read(struct etf_in *in);

static bool number_take(struct etf_in *in, unsigned bytes, uint64_t *ret)
{
    if ((size_t)(in->end - in->p) < bytes)
        return false;
    *ret = 0;
    while (bytes--)
        *ret = *ret << 8 | *in->p++;
    return true;
}

/* A run whose length stands before it in `bytes` bytes. */
static bool run_take(struct etf_in *in, unsigned bytes, struct str *ret)
{
    uint64_t n;

    if (!number_take(in, bytes, &n) || n > (size_t)(in->end - in->p))
        return false;
    *ret = (struct str){(const char *)in->p, (size_t)n};
    in->p += n;
    return true;
}

static int text_write(struct etf_in *in, struct str s)
{
    if (utf8_count(s) < 0)
        return -EINVAL;
    jw_str(in->out, s.p ? s : STR(""));
    return 0;
}

static int binary_read(struct etf_in *in)
{
    struct str s;

    return run_take(in, 4, &s) ? text_write(in, s) : -EINVAL;
}

static int atom_read(struct etf_in *in, unsigned length_bytes)
{
    struct str s;

    if (!run_take(in, length_bytes, &s))
        return -EINVAL;
    if (str_eq(s, STR("nil")) || str_eq(s, STR("null"))) {
        jw_null(in->out);
        return 0;
    }
    if (str_eq(s, STR("true")) || str_eq(s, STR("false"))) {
        jw_bool(in->out, s.n == 4);
        return 0;
    }
    return text_write(in, s);
}

static int double_write(struct etf_in *in, double v)
{
    char text[32];

    if (!isfinite(v))
        return -EINVAL;
    int n = snprintf(text, sizeof text, "%.17g", v);
    jw_raw(in->out, (struct str){text, (size_t)n});
    return 0;
}

static int new_float_read(struct etf_in *in)
{
    uint64_t bits;
    double v;

    if (!number_take(in, 8, &bits))
        return -EINVAL;
    memcpy(&v, &bits, sizeof v);
    return double_write(in, v);
}

static int old_float_read(struct etf_in *in)
{
    char text[ETF_FLOAT_TEXT_BYTES + 1] = "", *end;

    if (in->end - in->p < ETF_FLOAT_TEXT_BYTES)
        return -EINVAL;
    memcpy(text, in->p, ETF_FLOAT_TEXT_BYTES);
    in->p += ETF_FLOAT_TEXT_BYTES;
    double v = strtod(text, &end);
    return end == text || *end ? -EINVAL : double_write(in, v);
}

static int integer_read(struct etf_in *in, unsigned bytes)
{
    uint64_t v;

    if (!number_take(in, bytes, &v))
        return -EINVAL;
    jw_i64(in->out, bytes == 4 ? (int32_t)(uint32_t)v : (int64_t)v);
    return 0;
}

/* Least significant byte first. */
static int big_read(struct etf_in *in, unsigned length_bytes)
{
    uint64_t n, sign, v = 0;

    if (!number_take(in, length_bytes, &n) || !number_take(in, 1, &sign) || n > ETF_BIG_BYTES_MAX || sign > 1 ||
        n > (size_t)(in->end - in->p))
        return -EINVAL;
    for (unsigned i = 0; i < n; i++)
        v |= (uint64_t)*in->p++ << (8 * i);
    if (!sign) {
        jw_u64(in->out, v);
        return 0;
    }
    if (v > (uint64_t)INT64_MAX + 1)
        return -EINVAL;
    jw_i64(in->out, (int64_t)(0 - v));
    return 0;
}

/* Erlang writes a list of small integers ([0, 1] of `shard`) as a run of bytes. */
static int bytes_read(struct etf_in *in)
{
    struct str s;

    if (!run_take(in, 2, &s))
        return -EINVAL;
    jw_arr(in->out);
    for (size_t i = 0; i < s.n; i++)
        jw_u64(in->out, (unsigned char)s.p[i]);
    jw_arr_end(in->out);
    return 0;
}

static int elements_read(struct etf_in *in, uint64_t count)
{
    int r = 0;

    jw_arr(in->out);
    for (uint64_t i = 0; i < count && r == 0; i++)
        r = term_read(in);
    jw_arr_end(in->out);
    return r;
}

static int tuple_read(struct etf_in *in, unsigned length_bytes)
{
    uint64_t count;

    return number_take(in, length_bytes, &count) ? elements_read(in, count) : -EINVAL;
}

static int list_read(struct etf_in *in)
{
    uint64_t tail;
    int r = tuple_read(in, 4);

    if (r < 0)
        return r;
    return number_take(in, 1, &tail) && tail == TAG_NIL ? 0 : -EINVAL;
}

static int map_read(struct etf_in *in)
{
    uint64_t count, tag;
    int r = 0;

    if (!number_take(in, 4, &count))
        return -EINVAL;
    jw_obj(in->out);
    for (uint64_t i = 0; i < count && r == 0; i++) {
        if (!number_take(in, 1, &tag) || tag != TAG_BINARY || binary_read(in) < 0)
            return -EINVAL;
        buf_addc(in->out, ':');
        r = term_read(in);
    }
    jw_obj_end(in->out);
    return r;
}

static int nested_read(struct etf_in *in, uint64_t tag)
{
    if (in->depth == LIMIT_JSON_DEPTH)
        return -E2BIG;
    in->depth++;
    int r = tag == TAG_MAP    ? map_read(in)
            : tag == TAG_LIST ? list_read(in)
                              : tuple_read(in, tag == TAG_SMALL_TUPLE ? 1 : 4);
    in->depth--;
    return r;
}

static int term_read(struct etf_in *in)
{
    uint64_t tag;

    if (!number_take(in, 1, &tag))
        return -EINVAL;
    switch (tag) {
    case TAG_SMALL_INTEGER:
        return integer_read(in, 1);
    case TAG_INTEGER:
        return integer_read(in, 4);
    case TAG_SMALL_BIG:
        return big_read(in, 1);
    case TAG_LARGE_BIG:
        return big_read(in, 4);
    case TAG_NEW_FLOAT:
        return new_float_read(in);
    case TAG_FLOAT:
        return old_float_read(in);
    case TAG_ATOM:
    case TAG_ATOM_UTF8:
        return atom_read(in, 2);
    case TAG_SMALL_ATOM:
    case TAG_SMALL_ATOM_UTF8:
        return atom_read(in, 1);
    case TAG_BINARY:
        return binary_read(in);
    case TAG_STRING:
        return bytes_read(in);
    case TAG_NIL:
        jw_arr(in->out);
        jw_arr_end(in->out);
        return 0;
    case TAG_LIST:
    case TAG_MAP:
    case TAG_SMALL_TUPLE:
    case TAG_LARGE_TUPLE:
        return nested_read(in, tag);
    default:
        return -EINVAL;
    }
}

int etf_read(struct str term, struct buf *out)
{
    struct etf_in in = {.p = (const unsigned char *)term.p, .out = out};

    in.end = term.n ? in.p + term.n : in.p;
    if (!term.n || *in.p++ != TAG_VERSION)
        return -EINVAL;
    int r = term_read(&in);
    if (r < 0)
        return r;
    if (in.p != in.end)
        return -EINVAL;
    return buf_failed(out) ? -ENOBUFS : 0;
}
