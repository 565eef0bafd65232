/* HTTP client: HTTP/1.1 over our own connections (http), HTTP/1.1 and HTTP/2 by libcurl (https); connections are kept.
 * Loop thread only. */
#pragma once

#include "platform/base/buf.h"

struct http_client; /* a pool of connections */
struct http_call;

/* Where calls may connect to, judged by the address that the name turned out to have. */
enum http_reach {
    HTTP_REACH_ANY,
    HTTP_REACH_PUBLIC,   /* addresses of the Internet */
    HTTP_REACH_LOOPBACK, /* those and this machine's own */
};

struct http_client_options {
    const char *ca_file; /* NULL: the system's */
    const char *user_agent;
    int connections_per_host_max; /* 0 = LIMIT_HTTP_CLIENT_CONNECTIONS */
    enum http_reach reach;        /* elsewhere: -ECONNREFUSED, and nothing was sent */
    bool curl_only;               /* libcurl for http, too: what one does, the other must do */
};
struct http_client *http_client_new(const struct http_client_options *o);
/* Running calls end with -ECANCELED before it returns; may be called from a done. A call that one of them starts on the
 * same client ends likewise, in the next turn. */
void http_client_free(struct http_client *c);

struct http_call_options {
    const char *method;
    const char *url;
    const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */
    struct str body;            /* copied */
    int timeout_ms;             /* the end is noticed up to 50 ms later */
    size_t body_max;            /* of the answer; over it the call fails with -EMSGSIZE */
    /* May be NULL. Asked once more just before the request leaves, which may be later than the start; true: it is not
     * sent, the call ends with -ECANCELED. */
    bool (*unwanted)(void *arg);
    void *unwanted_arg;
};

struct http_result {
    int error; /* 0: an answer came. -ETIMEDOUT, -ECONNREFUSED, -EHOSTUNREACH (name), -EPROTO, -EMSGSIZE, -ECANCELED */
    bool maybe_sent; /* with error != 0: the request may have reached the other side */
    int status;
    struct buf headers; /* "name: value\r\n" lines, names lower case */
    struct buf body;
};
/* Case-insensitive (give it lower case); STR_NONE when absent. */
struct str http_result_header(const struct http_result *r, const char *lower_name);
void http_result_done(struct http_result *r);

/* A request whose connection ended without an answer is sent again only when it is a GET or HEAD; others may have been
 * executed and end with -EPROTO and maybe_sent. Redirects are answers. No proxy from the environment is used.
 * done gets the result exactly once and owns it (http_result_done). */
struct http_call *http_call_start(struct http_client *c, const struct http_call_options *o,
                                  void (*done)(struct http_result *r, void *arg), void *arg);
void http_call_cancel(struct http_call *call); /* done is called with -ECANCELED, in the next turn */

/* The same, awaited on a coroutine. Returns result.error. */
int http_call_await(struct http_client *c, const struct http_call_options *o, struct http_result *ret);
