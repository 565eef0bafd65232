/* The head of an answer. Internal to platform/io. No I/O. Source: RFC 9110, RFC 9112. */
#pragma once

#include "platform/io/http_server.h"

#include "platform/io/http_parser_own.h"

struct http_head_options {
    const char *via; /* or NULL */
    bool keep_alive, http_1_0;
};

const char *http_status_text(int status);
/* Status line, Date, Content-Type and Content-Length (neither with 1xx, 204, 304), Via, Connection, the response's own
 * header lines and the empty line. */
void http_head_write(struct buf *out, const struct http_response *res, const struct http_head_options *o);
