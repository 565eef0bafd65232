/* The HTTP API: one route table, sequential handlers. A handler is called with the caller authenticated, the rate limit
 * taken, the path's parameters and the body read; it answers by writing into ctx->res->body, or returns an error from
 * the table, which becomes {code, message, errors}. Loop thread, on a coroutine for each request.
 * Source: Discord API documentation, "Reference", "Rate Limits", "Error Messages". */
#pragma once

#include "platform/io/http_client.h"
#include "platform/io/http_server.h"
#include "platform/model/model.h"
#include "platform/ports/bus.h"
#include "platform/ports/commit.h"
#include "platform/ports/kv.h"
#include "platform/ports/objects.h"
#include "platform/protocol/errors.h"

struct bearer;
struct json_t;
struct token_registry;

struct api_options {
    const struct ports *ports;
    struct token_registry *tokens;
    const char *public_api_url; /* "http://host:port/api" */
    struct str secret;
    bool limits;                  /* rate, identify and registration limits */
    int64_t interaction_first_ms; /* an interaction's first answer must come in this; 0 = LIMIT_INTERACTION_FIRST_MS */
    enum http_reach endpoint_reach; /* where applications' interactions_endpoint_url may lead */
    unsigned max_concurrency;       /* what /gateway/bot tells; 0 = 1. The gateway must hold to the same */
    /* The gateway URL to hand out now; in the arena. 0, or -EHOSTDOWN when no node is up. */
    int (*gateway_url)(struct arena *a, struct str *ret, void *arg);
    void *gateway_url_arg;
};

struct api;
struct api *api_new(const struct api_options *o);
void api_free(struct api *api);
/* The listener's handler (arg: struct api *): /api, /api/v9, /api/v10, /attachments/..., and what `operator_pages` has.
 */
void api_handle(struct http_request *req, struct http_response *res, void *api);

#define API_PARAMS_MAX 4

/* One uploaded file of a multipart body. */
struct api_file {
    struct str field; /* "files[0]" */
    int index;        /* 0 for files[0]; -1 for others */
    struct str filename, content_type, bytes;
};

struct api_ctx {
    struct api *api;
    const struct api_options *options;
    const struct ports *ports;
    struct http_request *req;
    struct http_response *res;
    struct arena *arena; /* the request's */
    int version;         /* 9 or 10 */

    uint64_t user_id; /* the caller; 0 on routes without authentication */
    bool is_bot;
    const struct bearer *bearer; /* a person, through an application's Bearer token (oauth2.h); else NULL */

    /* The path's parameters in order: text, and as a snowflake where the route table says {x.id} (checked by then). */
    struct str texts[API_PARAMS_MAX];
    uint64_t ids[API_PARAMS_MAX];

    struct json_t *body; /* the JSON object (payload_json of a multipart body); NULL when there was none */
    struct api_file *files;
    unsigned file_count;

    struct buf form_errors; /* see form.h */
    const char *form_path;  /* where body stands in the whole one; NULL: it is the whole. See form_enter */
    uint64_t locked_guild;  /* see api_guild_lock */
};

typedef enum api_error (*api_handler_fn)(struct api_ctx *x);

/* A handler that wrote nothing and returns API_OK answers 204; otherwise 200 unless it set res->status. */
static inline struct buf *api_out(struct api_ctx *x)
{
    return &x->res->body;
}

/* Errors of the ports as the API answers them: -ENOENT to `missing`, -EHOSTDOWN and -EAGAIN to UNAVAILABLE, -ENOSPC to
 * RESOURCE_OVERLOADED, -EINVAL to GENERAL_400, others to INTERNAL (logged). */
enum api_error api_port_error(int err, enum api_error missing);

/* Runs the commit; api_port_error of its result. */
enum api_error api_commit(struct api_ctx *x, struct commit *c, enum api_error missing);

/* --- access: what a handler calls first (access.c)
 * -------------------------------------------------------------------- */
struct api_access {
    struct guild_snapshot snap; /* guild, roles, the one channel if asked for, members[0] = the caller */
    struct channel *channel;    /* NULL when a guild was asked for */
    uint64_t permissions;       /* in the channel, or in the guild */
    bool is_dm;
};
/* The caller in a guild with `needed` permission bits. UNKNOWN_GUILD where it is no member (as Discord: no telling what
 * exists), MISSING_PERMISSIONS. */
enum api_error api_access_guild(struct api_ctx *x, uint64_t guild_id, uint64_t needed, struct api_access *ret);
/* The caller in a channel of a guild or a DM of its own. UNKNOWN_CHANNEL; MISSING_ACCESS without VIEW_CHANNEL;
 * MISSING_PERMISSIONS. In a DM every permission that makes sense there is granted. */
enum api_error api_access_channel(struct api_ctx *x, uint64_t channel_id, uint64_t needed, struct api_access *ret);

/* The same from what this process keeps. False: it has not all of it, or it would refuse. What is done on it must be
 * conditional on snap's versions, and be done again with api_access_channel when it fails in any way: after
 * api_access_forget. Texts of roles and channel are missing. */
bool api_access_kept(struct api_ctx *x, uint64_t channel_id, uint64_t needed, struct api_access *ret);
void api_access_keep(struct api_ctx *x, const struct api_access *access);
void api_access_forget(struct api_ctx *x, uint64_t channel_id);

/* What api_access_guild answers, for another member of the guild than the caller: UNKNOWN_MEMBER. */
enum api_error api_member_get(struct api_ctx *x, uint64_t guild_id, uint64_t user_id, struct member *ret);

/* Changes of a guild's structure (settings, roles, channels, members) happen one after the other, so that what is read
 * for an event is still so when it is published: call before reading. Held until the handler returns. In the full stack
 * it is a lease in kv; without kv, or after LIMIT_GUILD_LOCK_MS, the change goes on without it. */
void api_guild_lock(struct api_ctx *x, uint64_t guild_id);

/* X-Audit-Log-Reason, percent-decoded, at most 512 characters; STR_NONE. */
struct str api_reason(struct api_ctx *x);

/* Takes a token of a bucket that depends on what the handler knows (registration, slowmode). e: what the answer says,
 * API_OK for the usual. False: the 429 answer has been written and the handler returns API_OK. */
bool api_limit(struct api_ctx *x, const char *key, int limit, int64_t window_ms, enum api_error e);
