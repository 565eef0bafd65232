/* The JSON writer: no tree and no state, the byte before the cursor says whether a comma is due. One thread a buffer.
 */
#include "platform/base/jw.h"

#include "platform/base/clock.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static void jw_comma(struct buf *b)
{
    if (b->len == 0)
        return;
    switch (b->data[b->len - 1]) {
    case '{':
    case '[':
    case ':':
    case ',':
    case '\n':
        return;
    default:
        buf_addc(b, ',');
    }
}

void jw_obj(struct buf *b)
{
    jw_comma(b);
    buf_addc(b, '{');
}

void jw_obj_end(struct buf *b)
{
    buf_addc(b, '}');
}

void jw_arr(struct buf *b)
{
    jw_comma(b);
    buf_addc(b, '[');
}

void jw_arr_end(struct buf *b)
{
    buf_addc(b, ']');
}

void jw_key(struct buf *b, const char *key)
{
    jw_comma(b);
    buf_addc(b, '"');
    buf_adds(b, key);
    buf_add(b, "\":", 2);
}

static void jw_escape(struct buf *b, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[256] = {
        ['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    char out[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

    if (letters[c])
        out[1] = letters[c];
    buf_add(b, out, letters[c] ? 2 : 6);
}

/* Bytes at the start of s that may stand in a JSON string as they are. */
static size_t jw_plain_run(struct str s)
{
    size_t n = 0;

    while (n < s.n) {
        unsigned char c = (unsigned char)s.p[n];
        if (c < 0x20 || c == '"' || c == '\\')
            break;
        size_t step = c < 0x80 ? 1 : utf8_next((struct str){s.p + n, s.n - n});
        if (step == 0)
            break;
        n += step;
    }
    return n;
}

void jw_str(struct buf *b, struct str s)
{
    if (!s.p) {
        jw_null(b);
        return;
    }
    jw_comma(b);
    buf_addc(b, '"');
    while (s.n) {
        size_t run = jw_plain_run(s);
        buf_add(b, s.p, run);
        if (run == s.n)
            break;
        if ((unsigned char)s.p[run] < 0x80)
            jw_escape(b, (unsigned char)s.p[run]);
        else
            buf_add(b, "\xEF\xBF\xBD", 3);
        s.p += run + 1;
        s.n -= run + 1;
    }
    buf_addc(b, '"');
}

void jw_cstr(struct buf *b, const char *s)
{
    jw_str(b, str_c(s));
}

void jw_id(struct buf *b, uint64_t id)
{
    if (id == 0) {
        jw_null(b);
        return;
    }
    jw_comma(b);
    buf_addc(b, '"');
    buf_add_u64(b, id);
    buf_addc(b, '"');
}

void jw_u64(struct buf *b, uint64_t v)
{
    jw_comma(b);
    buf_add_u64(b, v);
}

void jw_i64(struct buf *b, int64_t v)
{
    jw_comma(b);
    if (v < 0)
        buf_addc(b, '-');
    buf_add_u64(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void jw_double(struct buf *b, double v)
{
    char text[336]; /* the widest double has 309 digits before the point */
    int n;

    if (!isfinite(v)) {
        jw_null(b);
        return;
    }
    n = snprintf(text, sizeof(text), "%.3f", v);
    while (text[n - 1] == '0')
        n--;
    if (text[n - 1] == '.')
        n--;
    jw_comma(b);
    buf_add(b, text, (size_t)n);
}

void jw_bool(struct buf *b, bool v)
{
    jw_comma(b);
    buf_adds(b, v ? "true" : "false");
}

void jw_null(struct buf *b)
{
    jw_comma(b);
    buf_add(b, "null", 4);
}

void jw_raw(struct buf *b, struct str json)
{
    jw_comma(b);
    buf_add_str(b, json.n ? json : STR("null"));
}

void jw_time_ms(struct buf *b, int64_t unix_ms)
{
    char text[33];

    if (unix_ms == 0) {
        jw_null(b);
        return;
    }
    clock_format_iso(unix_ms, text);
    jw_comma(b);
    buf_addc(b, '"');
    buf_add(b, text, 32);
    buf_addc(b, '"');
}

void jw_kstr(struct buf *b, const char *key, struct str s)
{
    jw_key(b, key);
    jw_str(b, s);
}

void jw_kcstr(struct buf *b, const char *key, const char *s)
{
    jw_key(b, key);
    jw_cstr(b, s);
}

void jw_kid(struct buf *b, const char *key, uint64_t id)
{
    jw_key(b, key);
    jw_id(b, id);
}

void jw_ku64(struct buf *b, const char *key, uint64_t v)
{
    jw_key(b, key);
    jw_u64(b, v);
}

void jw_ki64(struct buf *b, const char *key, int64_t v)
{
    jw_key(b, key);
    jw_i64(b, v);
}

void jw_kbool(struct buf *b, const char *key, bool v)
{
    jw_key(b, key);
    jw_bool(b, v);
}

void jw_knull(struct buf *b, const char *key)
{
    jw_key(b, key);
    jw_null(b);
}

void jw_kraw(struct buf *b, const char *key, struct str json)
{
    jw_key(b, key);
    jw_raw(b, json);
}

void jw_ktime_ms(struct buf *b, const char *key, int64_t unix_ms)
{
    jw_key(b, key);
    jw_time_ms(b, unix_ms);
}

void jw_kobj(struct buf *b, const char *key)
{
    jw_key(b, key);
    jw_obj(b);
}

void jw_karr(struct buf *b, const char *key)
{
    jw_key(b, key);
    jw_arr(b);
}
