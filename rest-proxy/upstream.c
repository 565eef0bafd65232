/* Forwarding. Coroutine; bodies are bounded by the listener and LIMIT_PROXY_ANSWER_BYTES. */
#include "rest-proxy/upstream.h"

#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/metrics.h"
#include "platform/io/co.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define HEADERS_MAX   96
#define CONNECT_TRIES 3
#define RETRY_WAIT_MS 150

METRIC_DEFINE(metric_time, METRIC_HISTOGRAM, "guildhall_proxy_upstream_seconds", "Time from sending to the answer");

#define NAME(text)                                                                                                     \
    {                                                                                                                  \
        text, sizeof(text) - 1                                                                                         \
    }

static bool is_one_of(struct str name, const struct str *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (name.n == list[i].n && str_eq_nocase(name, list[i]))
            return true;
    return false;
}

/* Hop-by-hop (RFC 9110, 7.6.1), what the client writes itself, and our own. */
static bool request_header_travels(struct str name)
{
    static const struct str dropped[] = {
        NAME("connection"),
        NAME("keep-alive"),
        NAME("proxy-connection"),
        NAME("te"),
        NAME("proxy-authorization"),
        NAME("trailer"),
        NAME("upgrade"),
        NAME("transfer-encoding"),
        NAME("host"),
        NAME("content-length"),
        NAME("expect"),
        NAME("accept-encoding"),
    };
    struct str own = STR("x-guildhall-");

    if (name.n > own.n && str_eq_nocase((struct str){name.p, own.n}, own))
        return false;
    return !is_one_of(name, dropped, sizeof(dropped) / sizeof(*dropped));
}

static bool response_header_travels(struct str name)
{
    static const struct str dropped[] = {
        NAME("connection"),        NAME("keep-alive"), NAME("proxy-authenticate"), NAME("te"),
        NAME("trailer"),           NAME("upgrade"),    NAME("content-length"),     NAME("date"),
        NAME("transfer-encoding"), NAME("via"),        NAME("content-type"),
    };

    return !is_one_of(name, dropped, sizeof(dropped) / sizeof(*dropped));
}

/* "a" and "b" as one string, with a NUL. */
static const char *joined(struct arena *a, struct str first, const char *between, struct str last)
{
    size_t n = strlen(between);
    char *text = arena_alloc(a, first.n + n + last.n + 1);

    memcpy(text, first.p, first.n);
    memcpy(text + first.n, between, n);
    if (last.n > 0)
        memcpy(text + first.n + n, last.p, last.n);
    return text;
}

static const char **headers_collect(struct http_request *req)
{
    const char **list = ARENA_ARRAY(&req->arena, const char *, req->header_count + 2);
    unsigned n = 0;

    for (unsigned i = 0; i < req->header_count && n < HEADERS_MAX; i++)
        if (request_header_travels(req->headers[i].name))
            list[n++] = joined(&req->arena, req->headers[i].name, ": ", req->headers[i].value);
    return list;
}

static bool worth_another_try(const struct http_result *r, bool idempotent)
{
    if (r->error == 0 || r->error == -ECANCELED || r->error == -EMSGSIZE)
        return false;
    return !r->maybe_sent || (idempotent && r->error != -ETIMEDOUT);
}

static bool request_gone(void *arg)
{
    return http_request_gone(arg);
}

void upstream_call(struct http_client *c, const char *base_url, struct http_request *req, bool idempotent,
                   struct http_result *ret)
{
    struct str rest = {req->target.p + 4, req->target.n - 4}; /* below /api */
    struct http_call_options o = {
        .method = http_method_name(req->method),
        .url = joined(&req->arena, str_c(base_url), "", rest),
        .headers = headers_collect(req),
        .body = req->body,
        .timeout_ms = LIMIT_PROXY_UPSTREAM_MS,
        .body_max = LIMIT_PROXY_ANSWER_BYTES,
    };

    o.unwanted = request_gone;
    o.unwanted_arg = req;
    for (int try = 1;; try++) {
        uint64_t start = clock_mono_ns();

        http_call_await(c, &o, ret);
        metric_observe_us(&metric_time, (int64_t)((clock_mono_ns() - start) / 1000));
        if (try == CONNECT_TRIES || !worth_another_try(ret, idempotent) || http_request_gone(req))
            return;
        http_result_done(ret);
        co_sleep(RETRY_WAIT_MS << (2 * (try - 1)));
    }
}

/* --- what the answer says --- */

static bool header_double(const struct http_result *r, const char *name, double *ret)
{
    struct str v = http_result_header(r, name);
    char text[40], *end;

    if (v.n == 0 || v.n >= sizeof(text))
        return false;
    memcpy(text, v.p, v.n);
    text[v.n] = 0;
    double d = strtod(text, &end);
    if (*end || !isfinite(d) || d < 0 || d > 1e12)
        return false;
    *ret = d;
    return true;
}

static bool window_headers(const struct http_result *r, struct window_answer *a)
{
    double limit, remaining, after, reset;

    if (!header_double(r, "x-ratelimit-limit", &limit) || !header_double(r, "x-ratelimit-remaining", &remaining) ||
        !header_double(r, "x-ratelimit-reset-after", &after) || limit > 1e9 || remaining > 1e9)
        return false;
    a->limit = (int)limit;
    a->remaining = (int)remaining;
    a->reset_after_ms = (int64_t)ceil(after * 1000) + 1;
    a->reset_ms = header_double(r, "x-ratelimit-reset", &reset) ? (int64_t)(reset * 1000) : 0;
    return true;
}

/* retry_after of the body is exact, Retry-After may be whole seconds; without either a second is the guess. */
static int64_t retry_after_ms(const struct http_result *r)
{
    struct str body = buf_str(&r->body), key = STR("\"retry_after\":");
    const char *at = body.n ? memmem(body.p, body.n, key.p, key.n) : NULL;
    double seconds = 1;

    if (at)
        seconds = strtod(at + key.n, NULL);
    else
        header_double(r, "retry-after", &seconds);
    if (!(seconds > 0) || seconds > 1e7)
        seconds = 1;
    return (int64_t)ceil(seconds * 1000) + 1;
}

static void scope_read(const struct http_result *r, struct limiter_outcome *ret)
{
    struct str scope = http_result_header(r, "x-ratelimit-scope");

    ret->retry_after_ms = retry_after_ms(r);
    if (http_result_header(r, "x-ratelimit-global").n > 0 || str_eq(scope, STR("global")))
        ret->scope = LIMITER_SCOPE_GLOBAL;
    else if (str_eq(scope, STR("shared")))
        ret->scope = LIMITER_SCOPE_SHARED;
    else if (ret->answer.has_limit && ret->answer.remaining > 0)
        ret->scope = LIMITER_SCOPE_SUBLIMIT;
    else
        ret->scope = LIMITER_SCOPE_USER;
}

void upstream_outcome(const struct http_result *r, struct limiter_outcome *ret)
{
    *ret = (struct limiter_outcome){.kind = LIMITER_ANSWERED, .status = r->status};
    if (r->error) {
        ret->kind = r->maybe_sent ? LIMITER_LOST : LIMITER_UNUSED;
        return;
    }
    ret->bucket = http_result_header(r, "x-ratelimit-bucket");
    ret->answer.success = r->status >= 200 && r->status < 300;
    ret->answer.has_limit = window_headers(r, &ret->answer);
    if (r->status == 429)
        scope_read(r, ret);
}

/* --- what the caller gets --- */

static void header_forward(struct str line, struct http_response *res)
{
    const char *colon = memchr(line.p, ':', line.n);

    if (!colon || !response_header_travels((struct str){line.p, (size_t)(colon - line.p)}))
        return;
    buf_add_str(&res->head, line);
    buf_adds(&res->head, "\r\n");
}

void upstream_answer(struct http_result *r, struct arena *a, struct http_response *res)
{
    struct str rest = buf_str(&r->headers), type = http_result_header(r, "content-type");

    res->status = r->status;
    buf_reserve(&res->head, rest.n);
    while (rest.n > 0) {
        const char *end = memmem(rest.p, rest.n, "\r\n", 2);
        size_t n = end ? (size_t)(end - rest.p) : rest.n;

        header_forward((struct str){rest.p, n}, res);
        rest = (struct str){rest.p + n + (end ? 2 : 0), rest.n - n - (end ? 2 : 0)};
    }
    if (type.n > 0 && r->status != 204)
        res->content_type = arena_strdup(a, type);
    buf_done(&res->body);
    res->body = r->body;
    r->body = (struct buf){0};
}
