/* HTTP calls through the rest-proxy, which waits for rate limits. Every call waits for its answer and returns 0 or a
 * negative error: -EACCES (401, 403), -ENOENT (404), -EINVAL (other 4xx), -EAGAIN (429: the proxy gave up), -EIO (5xx),
 * -ETIMEDOUT, -ECONNREFUSED, -EPROTO. gh_last_error tells Discord's code and message. */
#ifndef GUILDHALL_REST_H
#define GUILDHALL_REST_H

#include <guildhall/bot.h>

GH_BEGIN_DECLS

struct gh_response {
    int status;
    const char *json; /* the body; "" when empty */
};
/* Any route: path below /api/v10, e.g. "/guilds/1/members?limit=10". body: JSON, or NULL. response may be NULL. */
GH_API int gh_request(struct gh_context *c, const char *method, const char *path, const char *body,
                      struct gh_response *response);

/* Content is made by printf. At most 2,000 characters. */
GH_API int gh_message_send(struct gh_context *c, uint64_t channel_id, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
GH_API int gh_message_reply(struct gh_context *c, const struct gh_message *to, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The whole message as JSON (embeds, components, ...); `nonce` is added. sent may be NULL. */
GH_API int gh_message_send_json(struct gh_context *c, uint64_t channel_id, const char *json,
                                const struct gh_message **sent);
GH_API int gh_message_edit(struct gh_context *c, uint64_t channel_id, uint64_t message_id, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
GH_API int gh_message_delete(struct gh_context *c, uint64_t channel_id, uint64_t message_id);
/* emoji: a Unicode emoji, or "name:id". */
GH_API int gh_reaction_add(struct gh_context *c, uint64_t channel_id, uint64_t message_id, const char *emoji);
GH_API int gh_typing(struct gh_context *c, uint64_t channel_id);

/* Of the context's last call that failed. */
struct gh_error {
    int status, code;
    const char *message;
};
GH_API const struct gh_error *gh_last_error(const struct gh_context *c);

GH_END_DECLS
#endif
