/* What handlers need of a request and a response: headers, query, percent-encoding, the head of an answer. No I/O. */
#include "platform/io/http_message.h"

#include "platform/base/clock.h"
#include "platform/io/http_token.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

const char http_token_lower[256] = {
    ['!'] = '!', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&', ['\''] = '\'', ['*'] = '*', ['+'] = '+',
    ['-'] = '-', ['.'] = '.', ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3',   ['4'] = '4', ['5'] = '5',
    ['6'] = '6', ['7'] = '7', ['8'] = '8', ['9'] = '9', ['A'] = 'a', ['B'] = 'b',   ['C'] = 'c', ['D'] = 'd',
    ['E'] = 'e', ['F'] = 'f', ['G'] = 'g', ['H'] = 'h', ['I'] = 'i', ['J'] = 'j',   ['K'] = 'k', ['L'] = 'l',
    ['M'] = 'm', ['N'] = 'n', ['O'] = 'o', ['P'] = 'p', ['Q'] = 'q', ['R'] = 'r',   ['S'] = 's', ['T'] = 't',
    ['U'] = 'u', ['V'] = 'v', ['W'] = 'w', ['X'] = 'x', ['Y'] = 'y', ['Z'] = 'z',   ['^'] = '^', ['_'] = '_',
    ['`'] = '`', ['a'] = 'a', ['b'] = 'b', ['c'] = 'c', ['d'] = 'd', ['e'] = 'e',   ['f'] = 'f', ['g'] = 'g',
    ['h'] = 'h', ['i'] = 'i', ['j'] = 'j', ['k'] = 'k', ['l'] = 'l', ['m'] = 'm',   ['n'] = 'n', ['o'] = 'o',
    ['p'] = 'p', ['q'] = 'q', ['r'] = 'r', ['s'] = 's', ['t'] = 't', ['u'] = 'u',   ['v'] = 'v', ['w'] = 'w',
    ['x'] = 'x', ['y'] = 'y', ['z'] = 'z', ['|'] = '|', ['~'] = '~'};

const char *http_method_name(enum http_method m)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "OTHER"};

    return names[m];
}

struct str http_request_header(const struct http_request *r, const char *name)
{
    struct str wanted = str_c(name);

    for (unsigned i = 0; i < r->header_count; i++)
        if (r->headers[i].name.n == wanted.n && str_eq_nocase(r->headers[i].name, wanted))
            return r->headers[i].value;
    return STR_NONE;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

struct str http_percent_decode(struct arena *a, struct str s, bool plus_is_blank)
{
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '+' && plus_is_blank) {
            out[n++] = ' ';
        } else if (s.p[i] != '%') {
            out[n++] = s.p[i];
        } else {
            int high = i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
            int low = i + 2 < s.n ? hex_digit(s.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return STR_NONE;
            out[n++] = (char)(high << 4 | low);
            i += 2;
        }
    }
    return (struct str){out, n};
}

struct str http_request_query(struct http_request *r, const char *name)
{
    struct str rest = r->query, wanted = str_c(name);

    while (rest.n) {
        const char *amp = memchr(rest.p, '&', rest.n);
        struct str pair = {rest.p, amp ? (size_t)(amp - rest.p) : rest.n};
        const char *eq = pair.n ? memchr(pair.p, '=', pair.n) : NULL;
        struct str key = {pair.p, eq ? (size_t)(eq - pair.p) : pair.n};
        struct str value = {eq ? eq + 1 : "", eq ? pair.n - key.n - 1 : 0};
        if (str_eq(http_percent_decode(&r->arena, key, true), wanted))
            return http_percent_decode(&r->arena, value, true);
        rest = (struct str){rest.p + pair.n + (amp != NULL), rest.n - pair.n - (amp != NULL)};
    }
    return STR_NONE;
}

void http_response_header(struct http_response *r, const char *name, const char *fmt, ...)
{
    char small[512];
    va_list ap, again;

    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    buf_adds(&r->head, name);
    buf_add(&r->head, ": ", 2);
    size_t begin = r->head.len;
    if (n >= 0 && (size_t)n < sizeof(small)) {
        buf_add(&r->head, small, (size_t)n);
    } else if (n >= 0 && buf_reserve(&r->head, (size_t)n)) {
        vsnprintf(r->head.data + begin, (size_t)n + 1, fmt, again);
        r->head.len += (size_t)n;
    }
    va_end(again);
    va_end(ap);
    /* a value that came from a stranger must not begin another header */
    for (size_t i = begin; i < r->head.len; i++)
        if ((unsigned char)r->head.data[i] < 0x20 || r->head.data[i] == 0x7F)
            r->head.data[i] = ' ';
    buf_add(&r->head, "\r\n", 2);
}

const char *http_status_text(int status)
{
    switch (status) {
#define XX(number, name, text)                                                                                         \
    case number:                                                                                                       \
        return #text;
        HTTP_STATUS_MAP(XX)
#undef XX
    default:
        return "Unknown";
    }
}

/* RFC 9110, section 5.6.7; made once a second. */
static const char *http_date(void)
{
    static char text[40];
    static time_t made;
    time_t now = (time_t)(clock_wall_ms() / 1000);

    if (now != made) {
        struct tm tm;
        strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
        made = now;
    }
    return text;
}

static void add_line(struct buf *out, const char *name, const char *value)
{
    buf_adds(out, name);
    buf_adds(out, value);
    buf_add(out, "\r\n", 2);
}

void http_head_write(struct buf *out, const struct http_response *res, const struct http_head_options *o)
{
    bool bodyless = res->status == 204 || res->status == 304 || res->status < 200;
    int64_t length = res->file_fd >= 0 ? res->file_bytes : (int64_t)res->body.len;

    buf_reserve(out, 256 + res->head.len); /* one allocation, mostly */
    buf_adds(out, "HTTP/1.1 ");
    buf_add_u64(out, (uint64_t)res->status);
    buf_addc(out, ' ');
    buf_adds(out, http_status_text(res->status));
    add_line(out, "\r\nDate: ", http_date());
    if (!bodyless) {
        add_line(out, "Content-Type: ", res->content_type ? res->content_type : "application/json");
        buf_adds(out, "Content-Length: ");
        buf_add_u64(out, (uint64_t)length);
        buf_adds(out, "\r\n");
    }
    if (o->via)
        add_line(out, "Via: ", o->via);
    if (!o->keep_alive)
        buf_adds(out, "Connection: close\r\n");
    else if (o->http_1_0)
        buf_adds(out, "Connection: keep-alive\r\n");
    buf_add_str(out, buf_str(&res->head));
    buf_add(out, "\r\n", 2);
}
