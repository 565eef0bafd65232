/* The HTTP request reader: heads by http-parser, bodies by ourselves. No I/O; loop thread only (it counts the process's
 * body bytes). Limits: head LIMIT_HTTP_HEAD_BYTES and LIMIT_HTTP_HEADERS, body by the caller, all bodies
 * LIMIT_HTTP_BODIES_TOTAL_BYTES. */
#include "platform/io/http_reader.h"

#include "platform/base/check.h"
#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/io/http_token.h"
#include <errno.h>

#define FIELDS_FIRST    16
#define HEAD_KEEP_BYTES 4096

static size_t bodies_bytes;

size_t http_reader_bodies_bytes(void)
{
    return bodies_bytes;
}

void http_reader_body_freed(size_t bytes)
{
    CHECK(bodies_bytes >= bytes);
    bodies_bytes -= bytes;
}

static int refuse(struct http_reader *r, int status)
{
    if (r->status == 0)
        r->status = status;
    return -1; /* stops the parser */
}

static int head_add(struct http_reader *r, const char *at, size_t len)
{
    buf_add(&r->head, at, len);
    return buf_failed(&r->head) ? refuse(r, 431) : 0;
}

static struct http_reader *reader_of(http_parser *p)
{
    return p->data;
}

static int on_begin(http_parser *p)
{
    reader_of(p)->started = true;
    return 0;
}

static int on_url(http_parser *p, const char *at, size_t len)
{
    struct http_reader *r = reader_of(p);

    r->target_len += (uint32_t)len;
    return head_add(r, at, len);
}

static int field_begin(struct http_reader *r)
{
    if (r->field_count == LIMIT_HTTP_HEADERS)
        return refuse(r, 431);
    if (r->field_count == r->field_cap) {
        r->field_cap = r->field_cap ? r->field_cap * 2 : FIELDS_FIRST;
        r->fields = mem_realloc(r->fields, r->field_cap * sizeof(*r->fields));
    }
    r->fields[r->field_count++] = (struct http_reader_field){.name = (uint32_t)r->head.len};
    return 0;
}

static int on_field(http_parser *p, const char *at, size_t len)
{
    struct http_reader *r = reader_of(p);

    if ((r->field_count == 0 || r->in_value) && field_begin(r) < 0)
        return -1;
    r->in_value = false;
    r->fields[r->field_count - 1].name_len += (uint32_t)len;
    return head_add(r, at, len);
}

static int on_value(http_parser *p, const char *at, size_t len)
{
    struct http_reader *r = reader_of(p);

    CHECK(r->field_count > 0);
    struct http_reader_field *f = &r->fields[r->field_count - 1];
    if (!r->in_value)
        f->value = (uint32_t)r->head.len;
    r->in_value = true;
    f->value_len += (uint32_t)len;
    return head_add(r, at, len);
}

static struct str field_name(const struct http_reader *r, unsigned i)
{
    return (struct str){r->head.data + r->fields[i].name, r->fields[i].name_len};
}

/* The parser leaves the blanks at a value's end on. */
static void trim_values(struct http_reader *r)
{
    for (unsigned i = 0; i < r->field_count; i++) {
        struct http_reader_field *f = &r->fields[i];
        while (f->value_len && strchr(" \t", r->head.data[f->value + f->value_len - 1]))
            f->value_len--;
    }
}

static struct str field_value(const struct http_reader *r, unsigned i)
{
    return (struct str){r->head.data + r->fields[i].value, r->fields[i].value_len};
}

/* How many header lines are called so; *ret is the last one's value. */
static unsigned field_count(const struct http_reader *r, struct str name, struct str *ret)
{
    unsigned count = 0;

    for (unsigned i = 0; i < r->field_count; i++)
        if (r->fields[i].name_len == name.n && str_eq_nocase(field_name(r, i), name)) {
            *ret = field_value(r, i);
            count++;
        }
    return count;
}

static int check_expect(struct http_reader *r, bool body_follows)
{
    struct str expect;

    if (r->http_1_0 || field_count(r, STR("Expect"), &expect) == 0)
        return 0;
    if (!str_eq_nocase(expect, STR("100-continue")))
        return refuse(r, 417);
    r->continue_due = body_follows;
    return 0;
}

/* RFC 9110, section 5.6.2. http-parser as Debian builds it lets blanks into names, which proxies read otherwise. */
static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!http_token_lower[(unsigned char)s.p[i]])
            return false;
    return s.n > 0;
}

/* RFC 9112, section 6: how long the body is. Whatever two readers could understand in two ways is refused. */
static int check_framing(struct http_reader *r, const http_parser *p)
{
    bool sized = (p->flags & F_CONTENTLENGTH) != 0;
    struct str coding = STR_NONE;
    unsigned codings = field_count(r, STR("Transfer-Encoding"), &coding);

    if (codings && (sized || r->http_1_0))
        return refuse(r, 400);
    if (codings > 1 || (codings && !str_eq_nocase(coding, STR("chunked"))))
        return refuse(r, 501);
    if (sized && p->content_length > r->body_max)
        return refuse(r, 413);
    r->part = HTTP_READER_WHOLE;
    if (codings) {
        r->part = HTTP_READER_CHUNKED;
        http_chunked_init(&r->chunked, LIMIT_HTTP_HEAD_BYTES);
    } else if (sized && p->content_length > 0) {
        r->part = HTTP_READER_SIZED;
        r->body_left = p->content_length;
    }
    return 0;
}

static int check_head(struct http_reader *r, const http_parser *p)
{
    struct str value = STR_NONE;

    r->http_1_0 = p->http_major == 1 && p->http_minor == 0;
    if (p->http_major != 1)
        return refuse(r, 505);
    if (p->method == HTTP_CONNECT)
        return refuse(r, 501);
    for (unsigned i = 0; i < r->field_count; i++)
        if (!is_token(field_name(r, i)))
            return refuse(r, 400);
    /* RFC 9112, section 3.2: exactly one Host */
    if (!r->http_1_0 && field_count(r, STR("Host"), &value) != 1)
        return refuse(r, 400);
    return check_framing(r, p);
}

static int on_headers(http_parser *p)
{
    struct http_reader *r = reader_of(p);
    struct str value = STR_NONE;

    trim_values(r);
    if (check_head(r, p) < 0 || check_expect(r, r->part != HTTP_READER_WHOLE) < 0)
        return -1;
    r->keep_alive = http_should_keep_alive(p);
    /* Only WebSocket is upgraded to; an offer of anything else (h2c) is passed over, its request served as it is. */
    r->upgrade = p->upgrade && r->part == HTTP_READER_WHOLE && p->method == HTTP_GET && !r->http_1_0 &&
                 field_count(r, STR("Upgrade"), &value) == 1 && str_eq_nocase(value, STR("websocket"));
    p->upgrade = 0;
    return 1; /* no body for the parser */
}

static int on_head_end(http_parser *p)
{
    http_parser_pause(p, 1);
    return 0;
}

static int body_add(struct http_reader *r, struct str bytes)
{
    if (bytes.n > r->body_max - r->body.len)
        return refuse(r, 413);
    if (bodies_bytes + bytes.n > LIMIT_HTTP_BODIES_TOTAL_BYTES)
        return refuse(r, 503);
    buf_add_str(&r->body, bytes);
    if (buf_failed(&r->body))
        return refuse(r, 503);
    bodies_bytes += bytes.n;
    r->body_counted += bytes.n;
    return 0;
}

static const struct http_parser_settings settings = {
    .on_message_begin = on_begin,
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_headers,
    .on_message_complete = on_head_end,
};

void http_reader_init(struct http_reader *r, size_t body_max)
{
    *r = (struct http_reader){.body_max = body_max};
    buf_init(&r->head, LIMIT_HTTP_HEAD_BYTES);
    buf_init(&r->body, body_max ? body_max : 1);
    http_parser_set_max_header_size(LIMIT_HTTP_HEAD_BYTES);
    http_parser_init(&r->parser, HTTP_REQUEST);
    r->parser.data = r;
}

void http_reader_done(struct http_reader *r)
{
    http_reader_body_freed(r->body_counted);
    r->body_counted = 0;
    buf_done(&r->head);
    buf_done(&r->body);
    mem_free(r->fields);
    r->fields = NULL;
    r->field_count = r->field_cap = 0;
}

static int status_of(enum http_errno why)
{
    switch (why) {
    case HPE_HEADER_OVERFLOW:
        return 431;
    case HPE_INVALID_VERSION:
        return 505;
    default:
        return 400;
    }
}

static void feed_head(struct http_reader *r, struct str *data)
{
    size_t used = http_parser_execute(&r->parser, &settings, data->p, data->n);
    enum http_errno why = HTTP_PARSER_ERRNO(&r->parser);

    *data = (struct str){data->p + used, data->n - used};
    if (why != HPE_OK && why != HPE_PAUSED)
        refuse(r, status_of(why));
}

static void feed_sized(struct http_reader *r, struct str *data)
{
    size_t n = r->body_left < data->n ? (size_t)r->body_left : data->n;

    if (body_add(r, (struct str){data->p, n}) < 0)
        return;
    *data = (struct str){data->p + n, data->n - n};
    r->body_left -= n;
    if (r->body_left == 0)
        r->part = HTTP_READER_WHOLE;
}

static void feed_chunked(struct http_reader *r, struct str *data)
{
    struct str bytes;
    int got = http_chunked_next(&r->chunked, data, &bytes);

    if (got < 0)
        refuse(r, got == -EMSGSIZE ? 431 : 400);
    else if (body_add(r, bytes) == 0 && got == 1)
        r->part = HTTP_READER_WHOLE;
}

int http_reader_feed(struct http_reader *r, const char *data, size_t len, size_t *ret_used)
{
    struct str rest = {data, len};

    CHECK(r->part != HTTP_READER_WHOLE);
    while (rest.n && r->status == 0 && r->part != HTTP_READER_WHOLE) {
        if (r->part == HTTP_READER_HEAD)
            feed_head(r, &rest);
        else if (r->part == HTTP_READER_SIZED)
            feed_sized(r, &rest);
        else
            feed_chunked(r, &rest);
    }
    *ret_used = len - rest.n;
    if (r->part == HTTP_READER_WHOLE)
        r->continue_due = false;
    if (r->status)
        return -r->status;
    return r->part == HTTP_READER_WHOLE;
}

static enum http_method method_of(unsigned method)
{
    switch (method) {
    case HTTP_GET:
        return HTTP_METHOD_GET;
    case HTTP_HEAD:
        return HTTP_METHOD_HEAD;
    case HTTP_POST:
        return HTTP_METHOD_POST;
    case HTTP_PUT:
        return HTTP_METHOD_PUT;
    case HTTP_PATCH:
        return HTTP_METHOD_PATCH;
    case HTTP_DELETE:
        return HTTP_METHOD_DELETE;
    case HTTP_OPTIONS:
        return HTTP_METHOD_OPTIONS;
    default:
        return HTTP_METHOD_OTHER;
    }
}

static struct str before(struct str s, char c, struct str *ret_after)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;

    if (!at) {
        *ret_after = (struct str){s.p + s.n, 0};
        return s;
    }
    *ret_after = (struct str){at + 1, s.n - (size_t)(at + 1 - s.p)};
    return (struct str){s.p, (size_t)(at - s.p)};
}

/* RFC 9112, section 3.2: origin form, absolute form (as to a proxy), or `*`. */
static void split_target(struct http_request *req)
{
    struct str rest = req->target, after;

    if (rest.n && rest.p[0] != '/') {
        const char *scheme_end = memmem(rest.p, rest.n, "://", 3);
        if (scheme_end) {
            const char *authority = scheme_end + 3, *end = rest.p + rest.n, *path = authority;
            while (path < end && *path != '/' && *path != '?' && *path != '#')
                path++;
            rest = (struct str){path, (size_t)(end - path)};
        }
    }
    rest = before(rest, '#', &after);
    req->path = before(rest, '?', &req->query);
    if (req->path.n == 0)
        req->path = STR("/");
}

static void reset(struct http_reader *r)
{
    if (r->head.cap > HEAD_KEEP_BYTES)
        buf_done(&r->head);
    buf_clear(&r->head);
    r->target_len = 0;
    r->field_count = 0;
    r->body_counted = 0;
    r->in_value = r->started = false;
    r->part = HTTP_READER_HEAD;
    http_parser_init(&r->parser, HTTP_REQUEST);
    r->parser.data = r;
}

void http_reader_take(struct http_reader *r, struct http_request *req, struct buf *ret_body)
{
    CHECK(r->part == HTTP_READER_WHOLE);
    const char *head = arena_strdup(&req->arena, buf_str(&r->head));
    req->method = method_of(r->parser.method);
    req->target = (struct str){head, r->target_len};
    split_target(req);
    req->headers = ARENA_ARRAY(&req->arena, struct http_header, r->field_count);
    req->header_count = r->field_count;
    for (unsigned i = 0; i < r->field_count; i++) {
        const struct http_reader_field *f = &r->fields[i];
        req->headers[i] = (struct http_header){{head + f->name, f->name_len}, {head + f->value, f->value_len}};
    }
    *ret_body = r->body;
    req->body = buf_str(ret_body);
    buf_init(&r->body, r->body_max ? r->body_max : 1);
    reset(r);
}
