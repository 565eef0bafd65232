/* The route table as a trie of path segments. A literal segment wins over a parameter; where the literal's branch has
 * nothing for the method, the parameter's is tried. Built once; read on the loop. */
#pragma once

#include "platform/api/api.h"

enum route_auth { ROUTE_NONE, ROUTE_ANY, ROUTE_USER, ROUTE_BOT };

struct metric;

struct route {
    enum http_method method;
    const char *path, *method_name;
    api_handler_fn handler;
    enum route_auth auth;
    int bucket_limit;
    int64_t bucket_window_ms;

    /* worked out by router_new */
    char bucket[17]; /* X-RateLimit-Bucket */
    unsigned param_count;
    const char *param_names[API_PARAMS_MAX]; /* "channel.id": into path, up to the brace */
    bool param_is_id[API_PARAMS_MAX];
    int major;     /* the parameter that splits the bucket; -1 */
    bool by_token; /* the path's token is who asks: its own bucket for each, and not the global one */
    struct metric *seconds, *answers[6];
};

/* The hash (FNV-1a) of two texts: stable for a route, and tells nothing else. */
void bucket_name(const char *first, const char *second, char out[17]);

struct router;
struct router *router_new(void);
void router_free(struct router *r);

struct route_match {
    struct route *route;
    struct str texts[API_PARAMS_MAX]; /* percent-decoded */
};

/* path: below /api/vN, percent-encoded. API_OK, NOT_FOUND, or METHOD_NOT_ALLOWED. */
enum api_error router_match(const struct router *r, enum http_method method, struct str path, struct arena *a,
                            struct route_match *ret);
