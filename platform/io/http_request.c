/* Requests as a client writes them. No I/O, any thread. */
#include "platform/io/http_request.h"

#include <errno.h>

/* --- the address --- */

static bool printable(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] == 0x7F)
            return false;
    return true;
}

static struct str until_any(struct str s, const char *ends)
{
    size_t n = 0;

    while (n < s.n && !strchr(ends, s.p[n]))
        n++;
    return (struct str){s.p, n};
}

static struct str behind(struct str s, size_t n)
{
    return (struct str){s.p + n, s.n - n};
}

static int parse_port(struct str port, struct http_url *u)
{
    uint64_t number = 80;

    if (port.n > 0 && (port.p[0] != ':' || str_to_u64(behind(port, 1), &number) < 0 || number < 1 || number > 65535))
        return -EINVAL;
    u->port = (uint16_t)number;
    return 0;
}

static int parse_authority(struct str a, struct http_url *u)
{
    struct str host = until_any(a, a.n && a.p[0] == '[' ? "]" : ":");
    size_t taken = host.n;

    u->authority = a;
    u->host = host;
    if (a.n && a.p[0] == '[') {
        if (host.n == a.n)
            return -EINVAL;
        u->host = behind(host, 1);
        taken++;
    }
    if (u->host.n == 0 || memchr(a.p, '@', a.n))
        return -EINVAL;
    return parse_port(behind(a, taken), u);
}

int http_url_parse(struct str url, struct http_url *ret)
{
    struct str scheme = STR("http://");

    if (url.n <= scheme.n || !str_eq_nocase((struct str){url.p, scheme.n}, scheme) || !printable(url))
        return -EINVAL;
    struct str rest = behind(url, scheme.n), authority = until_any(rest, "/?#");
    ret->target = until_any(behind(rest, authority.n), "#");
    return parse_authority(authority, ret);
}

/* --- the request --- */

static bool is_ours(struct str name)
{
    switch (name.n) {
    case 2:
        return str_eq_nocase(name, STR("te"));
    case 6:
        return str_eq_nocase(name, STR("expect"));
    case 7:
        return str_eq_nocase(name, STR("upgrade"));
    case 10:
        return str_eq_nocase(name, STR("connection")) || str_eq_nocase(name, STR("keep-alive"));
    case 14:
        return str_eq_nocase(name, STR("content-length"));
    case 17:
        return str_eq_nocase(name, STR("transfer-encoding"));
    default:
        return false;
    }
}

static bool clean_line(struct str line, size_t name)
{
    for (size_t i = 0; i < line.n; i++) {
        unsigned char c = (unsigned char)line.p[i];
        if (c == 0x7F || (c < 0x20 && c != '\t') || (c == ' ' && i < name))
            return false;
    }
    return name > 0;
}

/* *ret_named: bit 0 for a Host, bit 1 for a User-Agent. */
static int write_line(struct buf *out, struct str line, unsigned *ret_named)
{
    const char *colon = memchr(line.p, ':', line.n);
    struct str name = {line.p, colon ? (size_t)(colon - line.p) : 0};

    if (!clean_line(line, name.n))
        return -EINVAL;
    if (is_ours(name))
        return 0;
    *ret_named |= name.n == 4 && str_eq_nocase(name, STR("host")) ? 1u : 0;
    *ret_named |= name.n == 10 && str_eq_nocase(name, STR("user-agent")) ? 2u : 0;
    buf_add_str(out, line);
    buf_add(out, "\r\n", 2);
    return 0;
}

/* A length is said where the method gives a body a meaning, also of none (RFC 9110, section 8.6). */
static bool says_length(const struct http_call_options *o)
{
    return o->body.n > 0 || strcmp(o->method, "POST") == 0 || strcmp(o->method, "PUT") == 0 ||
           strcmp(o->method, "PATCH") == 0;
}

static void write_first_line(struct buf *out, const struct http_call_options *o, const struct http_url *u)
{
    buf_adds(out, o->method);
    buf_add(out, u->target.n && u->target.p[0] == '/' ? " " : " /", u->target.n && u->target.p[0] == '/' ? 1 : 2);
    buf_add_str(out, u->target);
    buf_adds(out, " HTTP/1.1\r\n");
}

int http_request_write(struct buf *out, const struct http_call_options *o, const struct http_url *u,
                       const char *user_agent)
{
    unsigned named = 0;

    buf_reserve(out, 512 + u->target.n + o->body.n);
    write_first_line(out, o, u);
    for (const char *const *line = o->headers; line && *line; line++)
        if (write_line(out, str_c(*line), &named) < 0)
            return -EINVAL;
    if (!(named & 1)) {
        buf_adds(out, "Host: ");
        buf_add_str(out, u->authority);
        buf_add(out, "\r\n", 2);
    }
    if (!(named & 2)) {
        buf_adds(out, "User-Agent: ");
        buf_adds(out, user_agent);
        buf_add(out, "\r\n", 2);
    }
    if (says_length(o)) {
        buf_adds(out, "Content-Length: ");
        buf_add_u64(out, o->body.n);
        buf_add(out, "\r\n", 2);
    }
    buf_add(out, "\r\n", 2);
    buf_add_str(out, o->body);
    return buf_failed(out) ? -ENOMEM : 0;
}
