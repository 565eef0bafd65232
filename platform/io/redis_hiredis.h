/* Private to the Redis adapter: hiredis' context on the loop. */
#pragma once

#include <hiredis/async.h>

struct redis_reply;

/* Watches the context's socket until hiredis lets go of it. */
void redis_hiredis_attach(redisAsyncContext *ac);

/* hiredis frees a reply right after its callback; the one named here, from within that callback, is spared and belongs
 * to the caller (redis_reply_free). NULL is fine. */
struct redis_reply *redis_reply_keep(const struct redis_reply *r);
