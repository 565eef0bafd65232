/* multipart/form-data. Pure, any thread; at most LIMIT_MULTIPART_PARTS parts of LIMIT_MULTIPART_HEAD_BYTES head. */
#include "platform/api/multipart.h"

#include "platform/base/limits.h"

#include <errno.h>

static struct str str_from(const char *begin, const char *end)
{
    return (struct str){begin, (size_t)(end - begin)};
}

static struct str trim(struct str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s.p++, s.n--;
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* The value of a quoted string that begins behind its quote; *ret_end stands behind the closing one. */
static struct str quoted_read(struct arena *a, const char *p, const char *end, const char **ret_end)
{
    char *out = arena_alloc(a, (size_t)(end - p) + 1), *o = out;

    while (p < end && *p != '"') {
        /* Only \" and \\ are escapes: browsers send Windows paths with bare backslashes. */
        if (*p == '\\' && p + 1 < end && (p[1] == '"' || p[1] == '\\'))
            p++;
        *o++ = *p++;
    }
    *ret_end = p < end ? p + 1 : end;
    return (struct str){out, (size_t)(o - out)};
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* RFC 5987: UTF-8''percent-encoded. STR_NONE when it is something else. */
static struct str extended_read(struct arena *a, struct str s)
{
    if (s.n < 7 || !str_eq_nocase((struct str){s.p, 6}, STR("utf-8'")))
        return STR_NONE;
    const char *p = memchr(s.p + 6, '\'', s.n - 6), *end = s.p + s.n;
    if (!p)
        return STR_NONE;
    char *out = arena_alloc(a, s.n + 1), *o = out;
    for (p++; p < end; p++) {
        bool escape = *p == '%' && end - p > 2 && hex_digit(p[1]) >= 0 && hex_digit(p[2]) >= 0;
        *o++ = escape ? (char)(hex_digit(p[1]) << 4 | hex_digit(p[2])) : *p;
        p += escape ? 2 : 0;
    }
    return (struct str){out, (size_t)(o - out)};
}

/* One `; name=value` of a header; moves *s behind it. False at the end. */
static bool param_next(struct arena *a, struct str *s, struct str *ret_name, struct str *ret_value)
{
    const char *end = s->p + s->n, *p = s->p, *equals = NULL;
    while (!equals) {
        const char *semicolon = p < end ? memchr(p, ';', (size_t)(end - p)) : NULL;
        if (!semicolon)
            return false;
        p = semicolon + 1;
        const char *next = memchr(p, ';', (size_t)(end - p));
        equals = memchr(p, '=', (size_t)((next ? next : end) - p)); /* none: a word alone, passed over */
    }
    *ret_name = trim(str_from(p, equals));
    p = equals + 1;
    while (p < end && *p == ' ')
        p++;
    if (p < end && *p == '"') {
        *ret_value = quoted_read(a, p + 1, end, &p);
    } else {
        const char *stop = memchr(p, ';', (size_t)(end - p));
        *ret_value = trim(str_from(p, stop ? stop : end));
        p = stop ? stop : end;
    }
    *s = str_from(p, end);
    return true;
}

struct str multipart_boundary(struct arena *a, struct str content_type)
{
    struct str type = trim(content_type), name, value;

    if (type.n < 19 || !str_eq_nocase((struct str){type.p, 19}, STR("multipart/form-data")))
        return STR_NONE;
    while (param_next(a, &type, &name, &value))
        if (str_eq_nocase(name, STR("boundary")) && value.n > 0 && value.n <= 70)
            return value;
    return STR_NONE;
}

static void disposition_read(struct arena *a, struct str value, struct multipart_part *part)
{
    struct str name, v;

    while (param_next(a, &value, &name, &v)) {
        if (str_eq_nocase(name, STR("name")))
            part->name = v;
        else if (str_eq_nocase(name, STR("filename")) && !part->filename.p)
            part->filename = v;
        else if (str_eq_nocase(name, STR("filename*")) && extended_read(a, v).p)
            part->filename = extended_read(a, v);
    }
}

/* The header lines of a part's head. */
static int head_read(struct arena *a, struct str head, struct multipart_part *part)
{
    while (head.n) {
        const char *end = memmem(head.p, head.n, "\r\n", 2);
        struct str line = str_from(head.p, end ? end : head.p + head.n);
        head = end ? str_from(end + 2, head.p + head.n) : STR_NONE;
        const char *colon = line.n ? memchr(line.p, ':', line.n) : NULL;
        if (!colon)
            return -EINVAL;
        struct str name = trim(str_from(line.p, colon)), value = trim(str_from(colon + 1, line.p + line.n));
        if (str_eq_nocase(name, STR("Content-Disposition")))
            disposition_read(a, value, part);
        else if (str_eq_nocase(name, STR("Content-Type")))
            part->content_type = value;
    }
    return part->name.p ? 0 : -EINVAL;
}

/* Finds the next delimiter line from p on: at the body's very begin, or after CRLF. *ret_before is where what stands
 * before it ends, *ret_after where its line ends; last: it was the closing one. */
static bool delimiter_find(struct str body, const char *from, struct str dash_boundary, const char **ret_before,
                           const char **ret_after, bool *ret_last)
{
    const char *end = body.p + body.n;

    for (const char *p = from; p < end;) {
        p = memmem(p, (size_t)(end - p), dash_boundary.p, dash_boundary.n);
        if (!p)
            return false;
        const char *after = p + dash_boundary.n;
        bool begins_line = p == body.p || (p - body.p >= 2 && p[-1] == '\n' && p[-2] == '\r');
        bool last = end - after >= 2 && after[0] == '-' && after[1] == '-';
        const char *eol = last ? after + 2 : after;
        while (eol < end && (*eol == ' ' || *eol == '\t'))
            eol++;
        bool ends_line = end - eol >= 2 && eol[0] == '\r' && eol[1] == '\n';
        if (begins_line && (last || ends_line)) {
            *ret_before = p == body.p ? p : p - 2;
            *ret_after = last ? eol : eol + 2;
            *ret_last = last;
            return true;
        }
        p++;
    }
    return false;
}

/* The part between two delimiters: head, empty line, bytes. */
static int part_read(struct arena *a, struct str text, struct multipart_part *part)
{
    const char *end = text.p + text.n;
    const char *blank = memmem(text.p, text.n, "\r\n\r\n", 4);

    if (!blank)
        return -EINVAL;
    if ((size_t)(blank - text.p) > LIMIT_MULTIPART_HEAD_BYTES)
        return -E2BIG;
    part->bytes = str_from(blank + 4, end);
    return head_read(a, str_from(text.p, blank), part);
}

static struct str dash_boundary(struct arena *a, struct str boundary)
{
    char *out = arena_alloc(a, boundary.n + 2);

    out[0] = out[1] = '-';
    memcpy(out + 2, boundary.p, boundary.n);
    return (struct str){out, boundary.n + 2};
}

int multipart_parse(struct str body, struct str boundary, struct arena *a, struct multipart_part **ret,
                    unsigned *ret_count)
{
    struct str dash = dash_boundary(a, boundary);
    struct multipart_part *parts = ARENA_ARRAY(a, struct multipart_part, LIMIT_MULTIPART_PARTS);
    const char *before, *after;
    unsigned count = 0;
    bool last;

    if (!body.n || !delimiter_find(body, body.p, dash, &before, &after, &last))
        return -EINVAL;
    while (!last) {
        const char *begin = after;
        if (!delimiter_find(body, begin, dash, &before, &after, &last) || before < begin)
            return -EINVAL;
        if (count == LIMIT_MULTIPART_PARTS)
            return -E2BIG;
        int r = part_read(a, str_from(begin, before), &parts[count]);
        if (r < 0)
            return r;
        count++;
    }
    *ret = parts;
    *ret_count = count;
    return 0;
}
