/* hiredis on the loop: its socket watched by libuv, its replies read and, for coroutines, kept. Loop thread only. */
#include "platform/io/redis_hiredis.h"

#include "platform/base/check.h"
#include "platform/base/mem.h"
#include "platform/io/loop.h"
#include "platform/io/redis.h"
#include <uv.h>

struct poll {
    uv_poll_t uv;
    redisAsyncContext *ac; /* NULL once hiredis has let go of it */
    int events;
};

static void poll_set(struct poll *p, int events);

static void on_poll(uv_poll_t *uv, int status, int events)
{
    struct poll *p = (struct poll *)uv;

    if (status != 0) { /* libuv has stopped the handle; hiredis reads the socket's error itself */
        p->events = 0;
        events = UV_READABLE | UV_WRITABLE;
    }
    if (p->ac && (events & UV_READABLE))
        redisAsyncHandleRead(p->ac);
    if (p->ac && (events & UV_WRITABLE))
        redisAsyncHandleWrite(p->ac);
    if (p->ac && p->events == 0)
        poll_set(p, UV_READABLE);
}

static void poll_set(struct poll *p, int events)
{
    if (p->events == events)
        return;
    p->events = events;
    CHECK(uv_poll_start(&p->uv, events, on_poll) == 0);
}

static void poll_add_read(void *arg)
{
    struct poll *p = arg;

    poll_set(p, p->events | UV_READABLE);
}

static void poll_add_write(void *arg)
{
    struct poll *p = arg;

    poll_set(p, p->events | UV_WRITABLE);
}

static void poll_del_write(void *arg)
{
    struct poll *p = arg;

    poll_set(p, UV_READABLE);
}

static void poll_closed(uv_handle_t *uv)
{
    mem_free(uv);
}

static void poll_cleanup(void *arg)
{
    struct poll *p = arg;

    p->ac = NULL;
    uv_close((uv_handle_t *)&p->uv, poll_closed);
}

static _Thread_local void *kept_reply;
static _Thread_local redisReplyObjectFunctions reply_functions;

static void reply_free_unless_kept(void *reply)
{
    if (reply == kept_reply)
        kept_reply = NULL;
    else
        freeReplyObject(reply);
}

struct redis_reply *redis_reply_keep(const struct redis_reply *r)
{
    kept_reply = (void *)(uintptr_t)r;
    return kept_reply;
}

void redis_hiredis_attach(redisAsyncContext *ac)
{
    struct poll *p = MEM_NEW(struct poll);

    CHECK(uv_poll_init(loop_uv(), &p->uv, ac->c.fd) == 0);
    p->ac = ac;
    ac->ev.data = p;
    ac->ev.addRead = poll_add_read;
    ac->ev.addWrite = poll_add_write;
    ac->ev.delWrite = poll_del_write;
    ac->ev.cleanup = poll_cleanup;
    poll_set(p, UV_READABLE | UV_WRITABLE);
    reply_functions = *ac->c.reader->fn;
    reply_functions.freeObject = reply_free_unless_kept;
    ac->c.reader->fn = &reply_functions;
}

/* ---- replies ----------------------------------------------------------------------------------------------------- */

static const redisReply *raw(const struct redis_reply *r)
{
    return (const redisReply *)(const void *)r;
}

enum redis_type redis_reply_type(const struct redis_reply *r)
{
    switch (raw(r)->type) {
    case REDIS_REPLY_STRING:
        return REDIS_STRING;
    case REDIS_REPLY_INTEGER:
        return REDIS_INT;
    case REDIS_REPLY_ARRAY:
        return REDIS_ARRAY;
    case REDIS_REPLY_STATUS:
        return REDIS_STATUS_OK;
    case REDIS_REPLY_ERROR:
        return REDIS_ERROR;
    default:
        return REDIS_NIL;
    }
}

struct str redis_reply_str(const struct redis_reply *r)
{
    if (!raw(r)->str)
        return STR_NONE;
    return (struct str){raw(r)->str, (size_t)raw(r)->len};
}

int64_t redis_reply_int(const struct redis_reply *r)
{
    int64_t value = 0;

    if (raw(r)->type == REDIS_REPLY_INTEGER)
        return raw(r)->integer;
    return str_to_i64(redis_reply_str(r), &value) == 0 ? value : 0;
}

size_t redis_reply_count(const struct redis_reply *r)
{
    return raw(r)->type == REDIS_REPLY_ARRAY ? raw(r)->elements : 0;
}

const struct redis_reply *redis_reply_at(const struct redis_reply *r, size_t i)
{
    CHECK(i < redis_reply_count(r));
    return (const struct redis_reply *)(const void *)raw(r)->element[i];
}

void redis_reply_free(struct redis_reply *r)
{
    if (r)
        freeReplyObject(r);
}
