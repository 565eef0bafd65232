/* Answers kept under an idempotency key, so that a request whose caller timed out is never sent twice: whoever asks
 * with the same key waits for, or gets, what became of the first. With Redis shared by all proxies; without, this
 * process's own. A proxy that dies leaves what it was sending behind as lost. Coroutines of the loop thread. Limits:
 * LIMIT_PROXY_KEPT_*. */
#pragma once

#include "platform/io/http_server.h"
#include "platform/io/redis.h"

struct kept;
/* redis: NULL, or the caller's, outliving it. owner: of this process alone; copied. */
struct kept *kept_new(struct redis *redis, const char *owner);
void kept_free(struct kept *k);

enum kept_state {
    KEPT_MINE,   /* nobody has sent it: the asker does, and ends with kept_answer, kept_lost or kept_drop */
    KEPT_WAIT,   /* it is queued or under way: ask again soon */
    KEPT_ANSWER, /* res is the answer */
    KEPT_LOST,   /* it may have been carried out, and no answer came (or it was too large to be kept) */
    KEPT_OTHER,  /* the key was used for another request */
    KEPT_AWAY,   /* Redis cannot be reached: nobody knows */
    KEPT_FULL,   /* no room for another answer */
};
/* print: of method, target and body. */
enum kept_state kept_ask(struct kept *k, struct str key, struct str print, struct arena *a, struct http_response *res);
/* Just before it is sent. False: Redis has forgotten it or is away: not to be sent, ask anew. */
bool kept_sending(struct kept *k, struct str key);
void kept_answer(struct kept *k, struct str key, const struct http_response *res);
void kept_lost(struct kept *k, struct str key);
/* It was not sent. */
void kept_drop(struct kept *k, struct str key);
