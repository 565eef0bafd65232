/* Shared by the framework's own files; handlers include api.h and form.h. */
#pragma once

#include "platform/api/router.h"

#include <jansson.h>

struct api {
    struct api_options options;
    struct router *router;
    struct limiter *limiter;
    struct access_cache *access;
    struct faults *faults;
    struct pending_interactions *pending;
    struct http_client *endpoints; /* applications that are called with their interactions */
    bool limits_set;               /* as the process was started; control may switch options.limits */
};

/* The `errors` tree of what form_error recorded: a new reference. */
json_t *form_errors_tree(const struct buf *errors);

/* body.c: fills body and files of the context. API_OK, INVALID_JSON, INVALID_FORM_BODY (recorded), REQUEST_TOO_LARGE.
 */
enum api_error body_read(struct api_ctx *x, const struct route *route);

/* auth.c: who asks. API_OK with user_id and is_bot set where the route wants them; UNAUTHORIZED, BOTS_CANNOT_USE,
 * ONLY_BOTS, MISSING_OAUTH2_SCOPE, or what the store answered. */
enum api_error authenticate(struct api_ctx *x, const struct route *route);
/* The caller's address: the peer, or what a proxy on this machine forwarded for. */
struct str caller_address(struct api_ctx *x);

/* cors.c: for browsers. The headers that every answer to another origin has; the answer to OPTIONS (true). */
void cors_headers(struct http_request *req, struct http_response *res);
bool cors_preflight(struct http_request *req, struct http_response *res);

/* limits.c: rate limits. */
struct limiter *limiter_new(void);
void limiter_free(struct limiter *l);
/* Takes the route's and the global token and writes the X-RateLimit headers. False: the 429 answer stands. */
bool limit_route(struct api_ctx *x, const struct route *route);
/* Writes a 429 as if the route's limit had been met, or with scope "global" the caller's global one. */
void limit_refuse(struct http_response *res, const struct route *route, int64_t wait_ms, const char *scope);
/* Forgets what this process counted itself while kv was away. */
void limiter_forget(struct limiter *l);

/* control.c: what operators and tests of bots ask of the API. */
void api_control_start(struct api *api);
void api_control_stop(struct api *api);

/* lock.c: releases what api_guild_lock took, if anything. */
void api_guild_unlock(struct api_ctx *x);
