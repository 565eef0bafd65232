/* A request as a client writes it. No I/O. Internal to platform/io. Source: RFC 9112, RFC 3986. */
#pragma once

#include "platform/io/http_client.h"

struct http_url {
    struct str authority; /* as written: the Host line */
    struct str host;      /* without the brackets of an IPv6 address */
    uint16_t port;
    struct str target; /* path and query; may lack the first slash */
};

/* "http://host[:port][/path][?query][#left off]". -EINVAL: another scheme, credentials, blanks, control characters. */
int http_url_parse(struct str url, struct http_url *ret);

/* Head and body. Lines of o->headers that are about framing or the connection are left out: those are ours to say.
 * -EINVAL: a line is not "Name: value" or has a control character; -ENOMEM. */
int http_request_write(struct buf *out, const struct http_call_options *o, const struct http_url *u,
                       const char *user_agent);
