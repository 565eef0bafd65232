/* Takes the chunks of a request body apart. No I/O. Internal to platform/io. Stricter than http-parser as Debian builds
 * it, which takes any two bytes for a chunk's end. Source: RFC 9112, section 7.1. */
#pragma once

#include "platform/base/str.h"

enum http_chunked_state {
    HTTP_CHUNKED_SIZE,
    HTTP_CHUNKED_EXTENSION,
    HTTP_CHUNKED_SIZE_LF,
    HTTP_CHUNKED_DATA,
    HTTP_CHUNKED_DATA_CR,
    HTTP_CHUNKED_DATA_LF,
    HTTP_CHUNKED_TRAILER_BEGIN,
    HTTP_CHUNKED_TRAILER,
    HTTP_CHUNKED_TRAILER_LF,
    HTTP_CHUNKED_END_LF,
    HTTP_CHUNKED_END,
};

struct http_chunked {
    enum http_chunked_state state;
    unsigned digits;   /* of the size */
    uint64_t left;     /* of the chunk */
    size_t extra_left; /* bytes of extensions and trailers still allowed */
};

void http_chunked_init(struct http_chunked *c, size_t extra_max);
/* One step: takes bytes off the front of *data, at most one run of body bytes, which goes to *ret_body (empty: none).
 * 0 = call again while *data is not empty, 1 = the body is whole, -EBADMSG (malformed), -EMSGSIZE (too many extension
 * or trailer bytes). */
int http_chunked_next(struct http_chunked *c, struct str *data, struct str *ret_body);
