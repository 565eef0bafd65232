/* The HTTP answer reader: the head by http-parser, bodies by ourselves. No I/O, any thread. Limits: the buffers' own,
 * and http-parser's for a head. */
#include "platform/io/http_answer.h"

#include "platform/base/check.h"
#include "platform/base/limits.h"
#include "platform/io/http_token.h"
#include <errno.h>

#define IDLE_S_MAX  3600
#define RESERVE_MAX ((size_t)1 << 20) /* taken for a body before it comes */

static struct http_answer *answer_of(http_parser *p)
{
    return p->data;
}

static int refuse(struct http_answer *a, int error)
{
    if (a->error == 0)
        a->error = error;
    return -1; /* stops the parser */
}

/* How long the peer keeps idle connections: "timeout=5, max=100". */
static void read_keep_alive(struct http_answer *a, struct str value)
{
    static const char word[] = "timeout=";
    const char *at = memmem(value.p, value.n, word, sizeof(word) - 1);
    int seconds = 0;

    if (!at)
        return;
    for (at += sizeof(word) - 1; at < value.p + value.n && *at >= '0' && *at <= '9' && seconds < IDLE_S_MAX; at++)
        seconds = seconds * 10 + (*at - '0');
    a->idle_s = seconds;
}

/* The line under way is whole. */
static int line_end(struct http_answer *a)
{
    struct buf *b = a->headers;

    if (b->len == a->line_at)
        return 0;
    if (a->value_at == 0)
        return refuse(a, -EPROTO);
    const char *line = b->data + a->line_at;
    while (b->len > a->line_at + a->value_at && strchr(" \t", b->data[b->len - 1]))
        b->len--;
    struct str name = {line, a->value_at - 2}, value = {line + a->value_at, b->len - a->line_at - a->value_at};
    if (str_eq(name, STR("transfer-encoding"))) {
        a->codings++;
        if (!str_eq_nocase(value, STR("chunked")))
            return refuse(a, -EPROTO);
    } else if (str_eq(name, STR("keep-alive"))) {
        read_keep_alive(a, value);
    }
    buf_add(b, "\r\n", 2);
    a->line_at = b->len;
    a->value_at = 0;
    return buf_failed(b) ? refuse(a, -EMSGSIZE) : 0;
}

static int on_field(http_parser *p, const char *at, size_t len)
{
    struct http_answer *a = answer_of(p);

    if (a->value_at && line_end(a) < 0)
        return -1;
    char *to = buf_reserve(a->headers, len);
    if (!to)
        return refuse(a, -EMSGSIZE);
    for (size_t i = 0; i < len; i++)
        if (!(to[i] = http_token_lower[(unsigned char)at[i]]))
            return refuse(a, -EPROTO);
    to[len] = 0;
    a->headers->len += len;
    return 0;
}

static int on_value(http_parser *p, const char *at, size_t len)
{
    struct http_answer *a = answer_of(p);

    if (a->value_at == 0) {
        buf_add(a->headers, ": ", 2);
        a->value_at = (uint32_t)(a->headers->len - a->line_at);
    }
    buf_add(a->headers, at, len);
    return buf_failed(a->headers) ? refuse(a, -EMSGSIZE) : 0;
}

/* RFC 9112, section 6.3. Whatever two readers could understand in two ways is refused. */
static int framing(struct http_answer *a, const http_parser *p)
{
    bool sized = (p->flags & F_CONTENTLENGTH) != 0;

    if (a->codings > 1 || (a->codings && (sized || p->http_minor == 0)))
        return refuse(a, -EPROTO);
    if (a->to_head || a->status == 204 || a->status == 304) {
        a->part = HTTP_ANSWER_WHOLE;
    } else if (a->codings) {
        a->part = HTTP_ANSWER_CHUNKED;
        http_chunked_init(&a->chunked, LIMIT_HTTP_CLIENT_HEAD_BYTES);
    } else if (sized) {
        a->body_left = p->content_length;
        a->part = a->body_left ? HTTP_ANSWER_SIZED : HTTP_ANSWER_WHOLE;
        if (a->body->max && a->body_left > a->body->max)
            return refuse(a, -EMSGSIZE);
        buf_reserve(a->body, a->body_left < RESERVE_MAX ? (size_t)a->body_left : RESERVE_MAX);
    } else {
        a->part = HTTP_ANSWER_TO_END;
    }
    return 0;
}

static int on_headers(http_parser *p)
{
    struct http_answer *a = answer_of(p);

    if (line_end(a) < 0)
        return -1;
    a->status = (int)p->status_code;
    /* we never ask to switch protocols */
    if (p->http_major != 1 || a->status < 100 || a->status > 599 || a->status == 101)
        return refuse(a, -EPROTO);
    p->upgrade = 0;
    if (a->status < 200)
        return 1;
    if (framing(a, p) < 0)
        return -1;
    a->keep_alive = a->part != HTTP_ANSWER_TO_END && !(p->flags & F_CONNECTION_CLOSE) &&
                    (p->http_minor > 0 || (p->flags & F_CONNECTION_KEEP_ALIVE));
    return 1; /* no body for the parser */
}

static int on_head_end(http_parser *p)
{
    http_parser_pause(p, 1);
    return 0;
}

static const struct http_parser_settings settings = {
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_headers,
    .on_message_complete = on_head_end,
};

static void head_begin(struct http_answer *a)
{
    http_parser_init(&a->parser, HTTP_RESPONSE);
    a->parser.data = a;
    buf_clear(a->headers);
    a->line_at = a->value_at = 0;
    a->codings = 0;
    a->idle_s = 0;
    a->status = 0;
}

void http_answer_begin(struct http_answer *a, bool to_head, struct buf *headers, struct buf *body)
{
    *a = (struct http_answer){.headers = headers, .body = body, .to_head = to_head};
    head_begin(a);
}

static void feed_head(struct http_answer *a, struct str *data)
{
    size_t used = http_parser_execute(&a->parser, &settings, data->p, data->n);
    enum http_errno why = HTTP_PARSER_ERRNO(&a->parser);

    *data = (struct str){data->p + used, data->n - used};
    if (why == HPE_PAUSED && a->status < 200)
        head_begin(a);
    else if (why == HPE_HEADER_OVERFLOW)
        refuse(a, -EMSGSIZE);
    else if (why != HPE_PAUSED && (why != HPE_OK || data->n)) /* or it stopped without saying why */
        refuse(a, -EPROTO);
}

static void body_add(struct http_answer *a, struct str bytes)
{
    buf_add_str(a->body, bytes);
    if (buf_failed(a->body))
        refuse(a, -EMSGSIZE);
}

static void feed_body(struct http_answer *a, struct str *data)
{
    size_t n = a->part == HTTP_ANSWER_SIZED && a->body_left < data->n ? (size_t)a->body_left : data->n;

    body_add(a, (struct str){data->p, n});
    *data = (struct str){data->p + n, data->n - n};
    if (a->part == HTTP_ANSWER_SIZED && (a->body_left -= n) == 0)
        a->part = HTTP_ANSWER_WHOLE;
}

static void feed_chunked(struct http_answer *a, struct str *data)
{
    struct str bytes;
    int got = http_chunked_next(&a->chunked, data, &bytes);

    if (got < 0)
        refuse(a, got == -EMSGSIZE ? -EMSGSIZE : -EPROTO);
    else
        body_add(a, bytes);
    if (got == 1)
        a->part = HTTP_ANSWER_WHOLE;
}

int http_answer_feed(struct http_answer *a, const char *data, size_t len, size_t *ret_used)
{
    struct str rest = {data, len};

    CHECK(a->part != HTTP_ANSWER_WHOLE);
    a->begun = a->begun || len > 0;
    while (rest.n && a->error == 0 && a->part != HTTP_ANSWER_WHOLE) {
        if (a->part == HTTP_ANSWER_HEAD)
            feed_head(a, &rest);
        else if (a->part == HTTP_ANSWER_CHUNKED)
            feed_chunked(a, &rest);
        else
            feed_body(a, &rest);
    }
    *ret_used = len - rest.n;
    return a->error ? a->error : a->part == HTTP_ANSWER_WHOLE;
}

int http_answer_end(struct http_answer *a)
{
    if (a->error || a->part != HTTP_ANSWER_TO_END)
        return a->error ? a->error : -EPROTO;
    a->part = HTTP_ANSWER_WHOLE;
    return 1;
}
