/* Reads one HTTP/1.1 request after the other from bytes as they come: head, framing, limits. No I/O, so that it can be
 * fuzzed. Internal to platform/io. Source: RFC 9112. */
#pragma once

#include "platform/io/http_chunked.h"
#include "platform/io/http_parser_own.h"
#include "platform/io/http_server.h"

struct http_reader_field {
    uint32_t name, name_len, value, value_len; /* offsets into head */
};

enum http_reader_part { HTTP_READER_HEAD, HTTP_READER_SIZED, HTTP_READER_CHUNKED, HTTP_READER_WHOLE };

struct http_reader {
    struct http_parser parser; /* reads the head; the body's framing is ours */
    enum http_reader_part part;
    uint64_t body_left; /* SIZED */
    struct http_chunked chunked;
    struct buf head; /* target, then names and values, one after the other */
    uint32_t target_len;
    struct http_reader_field *fields;
    unsigned field_count, field_cap;
    struct buf body;
    size_t body_max;
    size_t body_counted; /* of this body in the process's total */
    int status;          /* why the request is refused; 0 = not */
    bool in_value;
    bool started;      /* a request has begun and is not taken yet */
    bool continue_due; /* the peer waits for `100 Continue`; the caller answers and clears it */
    bool keep_alive, upgrade, http_1_0;
};

void http_reader_init(struct http_reader *r, size_t body_max);
void http_reader_done(struct http_reader *r);

/* Takes bytes up to the end of one request; *ret_used says how many (fewer than len only when the request is whole or
 * refused). 0 = more is needed, 1 = whole (then http_reader_take), -400..-599 = refused with this status, for good. */
int http_reader_feed(struct http_reader *r, const char *data, size_t len, size_t *ret_used);

/* Moves the request out and makes room for the next. Fills method, target, path, query, headers, body (the bytes of
 * *ret_body, the caller's now) and uses req->arena. */
void http_reader_take(struct http_reader *r, struct http_request *req, struct buf *ret_body);

/* Bytes of all bodies being received or handled in the process. */
size_t http_reader_bodies_bytes(void);
/* The caller of http_reader_take says when it has freed the body. */
void http_reader_body_freed(size_t bytes);
