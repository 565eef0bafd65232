/* HTTP client: what its two ways share. Plain http goes over our own connections (http_plain.c), https through libcurl
 * (http_curl.c). Loop thread. Results are handed over in the turn in which they are whole, never inside
 * http_call_start. Limits: LIMIT_HTTP_CLIENT_*; how many calls run at once is up to the callers. */
#include "platform/io/http_client.h"

#include "platform/base/address.h"
#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/io/co.h"
#include "platform/io/http_call.h"
#include "platform/io/loop.h"
#include <errno.h>
#include <string.h>
#include <strings.h>

/* --- results --- */

struct str http_result_header(const struct http_result *r, const char *lower_name)
{
    size_t n = strlen(lower_name);
    const char *p = r->headers.data, *stop = p + r->headers.len;

    while (p < stop) {
        const char *next = memchr(p, '\n', (size_t)(stop - p));
        const char *end = next && next > p && next[-1] == '\r' ? next - 1 : next ? next : stop;
        if ((size_t)(end - p) > n && p[n] == ':' && memcmp(p, lower_name, n) == 0) {
            const char *v = p + n + 1;
            while (v < end && *v == ' ')
                v++;
            return (struct str){v, (size_t)(end - v)};
        }
        p = next ? next + 1 : stop;
    }
    return STR_NONE;
}

void http_result_done(struct http_result *r)
{
    buf_done(&r->headers);
    buf_done(&r->body);
}

/* --- a call's end --- */

void http_call_end(struct http_call *call, int error)
{
    struct http_result result = call->result;
    void (*done)(struct http_result *, void *) = call->done;
    void *arg = call->arg;

    result.error = error;
    list_remove(&call->link);
    call->ended = true;
    if (!call->posted)
        mem_free(call);
    done(&result, arg);
}

static void end_late(void *arg)
{
    struct http_call *call = arg;

    call->posted = false;
    if (call->ended)
        mem_free(call);
    else
        http_call_end(call, call->late_error);
}

void http_call_end_later(struct http_call *call, int error)
{
    call->late_error = error;
    call->posted = true;
    loop_post(end_late, call);
}

bool http_call_unwanted(const struct http_call *call)
{
    return call->unwanted && call->unwanted(call->unwanted_arg);
}

static void call_drop(struct http_call *call)
{
    if (call->way == HTTP_CALL_CURL)
        http_curl_drop(call);
    else if (call->way == HTTP_CALL_PLAIN)
        http_plain_drop(call);
}

void http_call_cancel(struct http_call *call)
{
    if (call->way == HTTP_CALL_NOWHERE)
        return;
    call_drop(call);
    http_call_end_later(call, -ECANCELED);
}

/* --- the client --- */

struct http_client *http_client_new(const struct http_client_options *o)
{
    struct http_client *c = MEM_NEW(struct http_client);

    list_init(&c->calls);
    c->user_agent = mem_strdup(o->user_agent ? o->user_agent : "guildhall/" GUILDHALL_VERSION);
    c->connections_max = o->connections_per_host_max ? o->connections_per_host_max : LIMIT_HTTP_CLIENT_CONNECTIONS;
    c->curl_only = o->curl_only;
    c->reach = o->reach;
    c->curl = http_curl_new(c, o->ca_file);
    c->plain = http_plain_new(c);
    return c;
}

bool http_client_may_reach(const struct http_client *c, const struct sockaddr *to)
{
    if (c->reach == HTTP_REACH_ANY)
        return true;
    enum address_scope scope = address_scope_of(to);
    return scope != ADDRESS_PRIVATE && (scope != ADDRESS_LOOPBACK || c->reach == HTTP_REACH_LOOPBACK);
}

static void client_free_late(void *arg)
{
    mem_free(arg);
}

void http_client_free(struct http_client *c)
{
    c->closing = true;
    while (!list_empty(&c->calls)) {
        struct http_call *call = LIST_ENTRY(list_first(&c->calls), struct http_call, link);
        call_drop(call);
        http_call_end(call, -ECANCELED);
    }
    http_curl_free(c->curl);
    http_plain_free(c->plain);
    mem_free(c->user_agent);
    loop_post(client_free_late, c);
}

struct http_call *http_call_start(struct http_client *c, const struct http_call_options *o,
                                  void (*done)(struct http_result *r, void *arg), void *arg)
{
    struct http_call *call = MEM_NEW(struct http_call);

    call->client = c;
    call->done = done;
    call->arg = arg;
    call->unwanted = o->unwanted;
    call->unwanted_arg = o->unwanted_arg;
    buf_init(&call->result.body, o->body_max);
    buf_init(&call->result.headers, LIMIT_HTTP_CLIENT_HEAD_BYTES);
    list_init(&call->link);
    if (c->closing) {
        http_call_end_later(call, -ECANCELED);
        return call;
    }
    list_append(&c->calls, &call->link);
    if (!c->curl_only && strncasecmp(o->url, "http://", 7) == 0)
        http_plain_start(c->plain, call, o);
    else
        http_curl_start(c->curl, call, o);
    return call;
}

/* --- awaited --- */

struct awaited {
    struct co *co;
    struct http_result *ret;
};

static void await_done(struct http_result *r, void *arg)
{
    struct awaited *w = arg;

    *w->ret = *r;
    co_resume(w->co);
}

int http_call_await(struct http_client *c, const struct http_call_options *o, struct http_result *ret)
{
    struct awaited w = {co_self(), ret};

    http_call_start(c, o, await_done, &w);
    co_suspend();
    return ret->error;
}
