/* Redis over hiredis' asynchronous interface: one connection that comes back by itself, commands of one loop turn in
 * one write, a deadline for each command (hiredis 0.14 has none). Loop thread only. */
#pragma once

#include "platform/base/buf.h"

struct redis;
struct redis_reply; /* borrowed, valid during the callback, or until redis_reply_free for the awaited ones */

enum redis_type { REDIS_NIL, REDIS_STRING, REDIS_INT, REDIS_ARRAY, REDIS_STATUS_OK, REDIS_ERROR };

/* url: redis://[user:password@]host:port[/db]. NULL and `err` when malformed. Connecting goes on in the background. */
struct redis *redis_new(const char *url, struct buf *err);
void redis_free(struct redis *r);
bool redis_connected(const struct redis *r);
/* Called each time a connection is established (after AUTH and SELECT) and each time it is lost. */
void redis_on_state(struct redis *r, void (*fn)(bool connected, void *arg), void *arg);
/* INFO's run_id of the present connection's server; "" before. A change is a new incarnation (restart or failover). */
const char *redis_run_id(const struct redis *r);

/* error: 0, -ENOTCONN (also when the connection is lost while the command is under way: it may have taken effect),
 * -ETIMEDOUT (the same), -EAGAIN (LIMIT_REDIS_PENDING); reply is NULL then. Called from the loop, never from inside
 * redis_command, exactly once; redis_free ends what waits with -ENOTCONN. An error reply of the server is a reply. */
typedef void (*redis_fn)(int error, const struct redis_reply *reply, void *arg);
/* argv are copied. fn may be NULL. */
void redis_command(struct redis *r, int argc, const struct str *argv, int timeout_ms, redis_fn fn, void *arg);
/* Awaited on a coroutine, LIMIT_REDIS_COMMAND_MS at most. 0 (then redis_reply_free(*ret)), or an error as above. */
int redis_await(struct redis *r, int argc, const struct str *argv, struct redis_reply **ret);
/* EVALSHA, and EVAL the first time on a connection or when the server has forgotten the script (then it runs after what
 * was sent meanwhile). `script` is a static string: its address is its key. argv: keys first, then args. */
void redis_script(struct redis *r, const char *script, int key_count, int argc, const struct str *argv, int timeout_ms,
                  redis_fn fn, void *arg);
int redis_script_await(struct redis *r, const char *script, int key_count, int argc, const struct str *argv,
                       struct redis_reply **ret);
void redis_reply_free(struct redis_reply *r);

enum redis_type redis_reply_type(const struct redis_reply *r);
int64_t redis_reply_int(const struct redis_reply *r);    /* of an integer, or of a numeric string; 0 otherwise */
struct str redis_reply_str(const struct redis_reply *r); /* string, status or error text */
size_t redis_reply_count(const struct redis_reply *r);   /* of an array */
const struct redis_reply *redis_reply_at(const struct redis_reply *r, size_t i);
