/* HTTP calls through the rest-proxy, which waits for rate limits. Every call waits for its answer while other handlers
 * go on, and returns 0 or a negative error: -EACCES (401, 403), -ENOENT (404), -EINVAL (other 4xx), -EAGAIN (429: the
 * deadline would pass), -EIO (5xx), -ETIMEDOUT, -ECONNREFUSED, -EPROTO. gh_last_error tells Discord's code.
 *
 * A call that certainly had no effect (no proxy there, the proxy says so) is made again for about two seconds. What
 * creates something (POST) carries an idempotency key made of the event, the path and the body: made again, by the
 * library or by the handler's next try, it gets the first one's answer from the proxy and is not sent twice; one that
 * failed is sent again by the handler's next try. Where the proxy does not know what became of a request (502
 * `maybe_executed`) it is made again only where that changes nothing: GET, PUT, DELETE, messages, which carry a nonce,
 * and an interaction's first answer. */
#ifndef GUILDHALL_REST_H
#define GUILDHALL_REST_H

#include <guildhall/bot.h>

GH_BEGIN_DECLS

/* Something to upload; it must be there until the call returns. */
struct gh_file {
    const char *name;
    const void *data;
    size_t size;
    const char *content_type; /* NULL: application/octet-stream */
    const char *description;  /* may be NULL */
};

/* Who goes first where several wait for the same limit. Answers to interactions are high by themselves. */
enum gh_priority { GH_PRIORITY_NORMAL, GH_PRIORITY_HIGH, GH_PRIORITY_LOW };

/* What any call may have besides its path and body. Each member may be 0. */
struct gh_call {
    const char *query;  /* "limit=10&after=5", percent-encoded (gh_query) */
    const char *reason; /* for the audit log, plain text */
    const struct gh_file *files;
    size_t files_count;
    int64_t deadline_ms; /* rather -EAGAIN than wait longer for a rate limit */
    enum gh_priority priority;
    bool repeatable; /* sending it twice changes nothing: may be made again in every case */
    /* At most 120 bytes, used as it is in place of the library's: the same request with it within ten minutes, by any
     * worker, gets the first one's answer, whatever that was. */
    const char *idempotency_key;
};

/* What came back, also with an error. */
struct gh_response {
    int status;
    const char *body;           /* as it came; "" when empty */
    const struct gh_json *json; /* NULL: none, or not JSON */
};

/* Any route: path below /api/v10, e.g. "/guilds/1/members?limit=10". body: JSON, or NULL. response may be NULL. */
GH_API int gh_request(struct gh_context *c, const char *method, const char *path, const char *body,
                      struct gh_response *response);
GH_API int gh_request_with(struct gh_context *c, const char *method, const char *path, const struct gh_json *body,
                           const struct gh_call *call, struct gh_response *response);

/* One function for each line of routes.def: gh_<name>(c, what the path names, body, call, what comes back). call may be
 * NULL, and so may the place for the answer. E.g.
 *   int gh_get_channel_messages(c, channel_id, call, const struct gh_message **ret, size_t *ret_count)
 *   int gh_modify_channel(c, channel_id, const struct gh_channel *body, call, const struct gh_channel **ret) */
#define GH_PATH_X()              struct gh_context *c
#define GH_PATH_I(i)             struct gh_context *c, uint64_t i
#define GH_PATH_T(t)             struct gh_context *c, const char *t
#define GH_PATH_II(i, j)         struct gh_context *c, uint64_t i, uint64_t j
#define GH_PATH_III(i, j, k)     struct gh_context *c, uint64_t i, uint64_t j, uint64_t k
#define GH_PATH_IT(i, t)         struct gh_context *c, uint64_t i, const char *t
#define GH_PATH_ITI(i, t, j)     struct gh_context *c, uint64_t i, const char *t, uint64_t j
#define GH_PATH_IIT(i, j, t)     struct gh_context *c, uint64_t i, uint64_t j, const char *t
#define GH_PATH_IITI(i, j, t, k) struct gh_context *c, uint64_t i, uint64_t j, const char *t, uint64_t k
#define GH_BODY_NONE(e)
#define GH_BODY_OF(e)   const struct gh_##e *body,
#define GH_BODY_JSON(e) const struct gh_json *body,
#define GH_ANSWER_NONE(e)
#define GH_ANSWER_ONE(e)  , const struct gh_##e **ret
#define GH_ANSWER_MANY(e) , const struct gh_##e **ret, size_t *ret_count
#define GH_ANSWER_JSON(e) , const struct gh_json **ret
#define GH_ROUTE(name, method, path, kinds, parameters, body, body_entity, answer, entity)                             \
    GH_API int gh_##name(GH_PATH_##kinds parameters,                                                                   \
                         GH_BODY_##body(body_entity) const struct gh_call *call GH_ANSWER_##answer(entity));
#include <guildhall/routes.def>

/* Content is made by printf. At most 2,000 characters. */
GH_API int gh_message_send(struct gh_context *c, uint64_t channel_id, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
GH_API int gh_message_reply(struct gh_context *c, const struct gh_message *to, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
GH_API int gh_message_edit(struct gh_context *c, uint64_t channel_id, uint64_t message_id, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* emoji: a Unicode emoji, or "name:id". */
GH_API int gh_reaction_add(struct gh_context *c, uint64_t channel_id, uint64_t message_id, const char *emoji);
/* Opens the direct message channel with a user (or finds it) and sends. */
GH_API int gh_message_send_dm(struct gh_context *c, uint64_t user_id, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* "name=value" percent-encoded, joined to `query` with '&' (NULL: it is the first). */
GH_API const char *gh_query(struct gh_context *c, const char *query, const char *name, const char *value);

/* Of the context's last call that failed. */
struct gh_error {
    int status, code; /* code: GH_CODE_... */
    const char *message;
    const struct gh_json *errors; /* which members of the body were wrong; may be NULL */
    int64_t retry_after_ms;       /* with status 429 */
};
GH_API const struct gh_error *gh_last_error(const struct gh_context *c);

enum {
#define GH_CODE(name, code, meaning) GH_CODE_##name = code,
#include <guildhall/codes.def>
    GH_CODE_GENERAL = 0
};
/* "" for a code the table has not. */
GH_API const char *gh_code_meaning(int code);

GH_END_DECLS
#endif
