/* The reader of chunked bodies: one byte a step but for the data itself. No I/O, no memory. Limits: 15 digits of size,
 * extensions and trailers as the caller says. */
#include "platform/io/http_chunked.h"

#include <errno.h>

#define SIZE_DIGITS_MAX 15 /* fits 64 bits with room; the body's own limit is far below */

void http_chunked_init(struct http_chunked *c, size_t extra_max)
{
    *c = (struct http_chunked){.state = HTTP_CHUNKED_SIZE, .extra_left = extra_max};
}

static int step_size(struct http_chunked *c, char ch)
{
    char lower = (char)(ch | 0x20);
    unsigned digit = ch >= '0' && ch <= '9'         ? (unsigned)(ch - '0')
                     : lower >= 'a' && lower <= 'f' ? (unsigned)(lower - 'a' + 10)
                                                    : 16;

    if (digit < 16) {
        c->left = c->left << 4 | digit;
        return ++c->digits > SIZE_DIGITS_MAX ? -EBADMSG : 0;
    }
    if (c->digits == 0)
        return -EBADMSG;
    if (ch == '\r')
        c->state = HTTP_CHUNKED_SIZE_LF;
    else if (ch == ';' || ch == ' ' || ch == '\t')
        c->state = HTTP_CHUNKED_EXTENSION;
    else
        return -EBADMSG;
    return 0;
}

/* A byte of an extension or a trailer; after_cr is where its line's CR leads. */
static int step_extra(struct http_chunked *c, char ch, enum http_chunked_state after_cr)
{
    if (ch == '\r') {
        c->state = after_cr;
        return 0;
    }
    if ((unsigned char)ch < 0x20 && ch != '\t')
        return -EBADMSG;
    return c->extra_left-- == 0 ? -EMSGSIZE : 0;
}

static int step_expect(struct http_chunked *c, char ch, char want, enum http_chunked_state then)
{
    c->state = then;
    return ch == want ? 0 : -EBADMSG;
}

static int step(struct http_chunked *c, char ch)
{
    switch (c->state) {
    case HTTP_CHUNKED_SIZE:
        return step_size(c, ch);
    case HTTP_CHUNKED_EXTENSION:
        return step_extra(c, ch, HTTP_CHUNKED_SIZE_LF);
    case HTTP_CHUNKED_SIZE_LF:
        c->digits = 0;
        return step_expect(c, ch, '\n', c->left ? HTTP_CHUNKED_DATA : HTTP_CHUNKED_TRAILER_BEGIN);
    case HTTP_CHUNKED_DATA_CR:
        return step_expect(c, ch, '\r', HTTP_CHUNKED_DATA_LF);
    case HTTP_CHUNKED_DATA_LF:
        return step_expect(c, ch, '\n', HTTP_CHUNKED_SIZE);
    case HTTP_CHUNKED_TRAILER_BEGIN:
        c->state = HTTP_CHUNKED_TRAILER;
        return step_extra(c, ch, HTTP_CHUNKED_END_LF);
    case HTTP_CHUNKED_TRAILER:
        return step_extra(c, ch, HTTP_CHUNKED_TRAILER_LF);
    case HTTP_CHUNKED_TRAILER_LF:
        return step_expect(c, ch, '\n', HTTP_CHUNKED_TRAILER_BEGIN);
    case HTTP_CHUNKED_END_LF:
        return step_expect(c, ch, '\n', HTTP_CHUNKED_END);
    default:
        return -EBADMSG;
    }
}

int http_chunked_next(struct http_chunked *c, struct str *data, struct str *ret_body)
{
    *ret_body = (struct str){data->p, 0};
    while (data->n && c->state != HTTP_CHUNKED_END) {
        if (c->state == HTTP_CHUNKED_DATA) {
            size_t n = c->left < data->n ? (size_t)c->left : data->n;
            *ret_body = (struct str){data->p, n};
            *data = (struct str){data->p + n, data->n - n};
            c->left -= n;
            if (c->left == 0)
                c->state = HTTP_CHUNKED_DATA_CR;
            return 0;
        }
        int r = step(c, *data->p);
        if (r < 0)
            return r;
        *data = (struct str){data->p + 1, data->n - 1};
    }
    return c->state == HTTP_CHUNKED_END;
}
