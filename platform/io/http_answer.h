/* Reads one HTTP/1.1 answer from bytes as they come: head, framing, limits. No I/O, so that it can be fuzzed. Internal
 * to platform/io. Source: RFC 9112. */
#pragma once

#include "platform/base/buf.h"
#include "platform/io/http_chunked.h"
#include "platform/io/http_parser_own.h"

enum http_answer_part {
    HTTP_ANSWER_HEAD,
    HTTP_ANSWER_SIZED,
    HTTP_ANSWER_CHUNKED,
    HTTP_ANSWER_TO_END, /* of the connection */
    HTTP_ANSWER_WHOLE
};

struct http_answer {
    struct http_parser parser; /* reads the head; the body's framing is ours */
    enum http_answer_part part;
    uint64_t body_left; /* SIZED */
    struct http_chunked chunked;
    struct buf *headers, *body;
    size_t line_at;    /* in headers: where the line under way began */
    uint32_t value_at; /* behind line_at; 0: its name is under way */
    unsigned codings;  /* Transfer-Encoding lines; those other than `chunked` are an error */
    int status, error; /* error: for good */
    int idle_s;        /* of a Keep-Alive line: how long the peer keeps an idle connection; 0: not said */
    bool to_head;      /* the request was a HEAD */
    bool begun;        /* a byte came */
    bool keep_alive;   /* when whole: the connection may be used again */
};

/* For the next answer. headers gets "name: value\r\n" lines, names in lower case; their limits are the answer's. Both
 * stay the caller's, until the answer is whole. */
void http_answer_begin(struct http_answer *a, bool to_head, struct buf *headers, struct buf *body);

/* Takes bytes up to the answer's end; *ret_used says how many. Answers before the final one (1xx) are passed over.
 * 0 = more is needed, 1 = whole, -EPROTO, -EMSGSIZE (a limit). */
int http_answer_feed(struct http_answer *a, const char *data, size_t len, size_t *ret_used);

/* The peer has ended in good order: 1 = that was the body's end, -EPROTO = something is missing. */
int http_answer_end(struct http_answer *a);
