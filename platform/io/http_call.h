/* What the two ways of the HTTP client share: a call, its end, its client. Internal to platform/io. Loop thread. */
#pragma once

#include "platform/base/list.h"
#include "platform/io/http_client.h"

struct http_curl;  /* http_curl.c: https, HTTP/1.1 and HTTP/2 */
struct http_plain; /* http_plain.c: http, HTTP/1.1 */
struct http_plain_conn;
struct http_plain_origin;
struct curl_slist;

struct http_client {
    struct http_curl *curl;
    struct http_plain *plain;
    char *user_agent;
    int connections_max; /* to one host */
    struct list calls;
    enum http_reach reach;
    bool curl_only, closing;
};

enum http_call_way { HTTP_CALL_NOWHERE, HTTP_CALL_CURL, HTTP_CALL_PLAIN };

struct http_call {
    struct http_client *client;
    struct list link;
    enum http_call_way way; /* who has it under way; NOWHERE: it only is to be ended */
    union {
        struct {
            void *easy;
            struct curl_slist *headers;
            char *body;
            bool repeatable, began, refused;
        } curl;
        struct {
            struct buf request; /* while no connection has it */
            struct http_plain_conn *conn;
            struct http_plain_origin *origin; /* for which it waits on `waiting` */
            struct list waiting;
            int64_t until_ms;
            bool repeatable, to_head, repeated;
        } plain;
    };
    struct http_result result;
    void (*done)(struct http_result *r, void *arg);
    void *arg;
    bool (*unwanted)(void *arg);
    void *unwanted_arg;
    int late_error;
    bool posted; /* a late end is on its way and needs this memory */
    bool ended;  /* done was called */
};

/* Neither way has the call any more, and result is complete but for the error. The client may be freed inside. */
void http_call_end(struct http_call *call, int error);
/* The same, in the next turn. */
void http_call_end_later(struct http_call *call, int error);
bool http_call_unwanted(const struct http_call *call);

struct sockaddr;
/* Asked at the last moment: names are resolved by then, and what is judged is what will be connected to. */
bool http_client_may_reach(const struct http_client *c, const struct sockaddr *to);

struct http_curl *http_curl_new(struct http_client *c, const char *ca_file);
void http_curl_free(struct http_curl *h); /* has no calls any more */
void http_curl_start(struct http_curl *h, struct http_call *call, const struct http_call_options *o);
/* Takes the call off, wherever it stands, and sets result.maybe_sent. */
void http_curl_drop(struct http_call *call);

/* The same for http. */
struct http_plain *http_plain_new(struct http_client *c);
void http_plain_free(struct http_plain *h);
void http_plain_start(struct http_plain *h, struct http_call *call, const struct http_call_options *o);
void http_plain_drop(struct http_call *call);
