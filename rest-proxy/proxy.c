/* The rest-proxy's handler: a request waits for its permit, is sent once, and its answer teaches the limiter. Loop
 * thread, a coroutine for each request. */
#include "rest-proxy/proxy.h"

#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/io/admin.h"
#include "platform/io/co.h"
#include "platform/io/loop.h"
#include "rest-proxy/kept.h"
#include "rest-proxy/limiter_local.h"
#include "rest-proxy/limiter_redis.h"
#include "rest-proxy/scheduler.h"
#include "rest-proxy/upstream.h"
#include <errno.h>
#include <math.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>

#define DEADLINE_HEADER "x-guildhall-deadline-ms"
#define PRIORITY_HEADER "x-guildhall-priority"
#define KEY_HEADER      "x-guildhall-idempotency-key"
#define KEY_MAX         200
#define KEY_ASK_MS      50 /* how often a request asks what became of the first one with its key */
#define DEADLINE_MAX_MS (24 * 3600 * 1000)
#define STATS_EVERY_MS  1000

struct proxy {
    struct proxy_options o;
    struct http_listener *listener;
    struct http_client *client;
    struct limiter *limiter;
    struct scheduler *scheduler;
    struct kept *kept;
    struct loop_timer *stats;
    unsigned running; /* handlers */
    bool over;        /* stopped; the last handler frees it */
    void (*stopped)(void *arg);
    void *stopped_arg;
};

METRIC_DEFINE_BY(metric_requests, METRIC_COUNTER, "guildhall_proxy_requests_total", "code", "Answers by status class");
METRIC_DEFINE_BY(metric_429, METRIC_COUNTER, "guildhall_proxy_upstream_429_total", "scope",
                 "429 answers of the upstream by scope");
METRIC_DEFINE_BY(metric_wait, METRIC_HISTOGRAM, "guildhall_proxy_queue_wait_seconds", "group",
                 "Time from arrival to permit by group of routes");
METRIC_DEFINE(metric_lost, METRIC_COUNTER, "guildhall_proxy_upstream_lost_total", "Calls without an answer");
METRIC_DEFINE(metric_buckets, METRIC_GAUGE, "guildhall_proxy_buckets", "Buckets remembered");
METRIC_DEFINE(metric_locked, METRIC_GAUGE, "guildhall_proxy_tokens_locked", "Tokens locked after a 401");
METRIC_DEFINE(metric_invalid, METRIC_GAUGE, "guildhall_proxy_invalid_requests",
              "Requests answered 401, 403 or 429 in the last ten minutes");

/* --- refusals: what the proxy answers itself --- */

static void refuse(struct http_response *res, int status, const char *code, const char *message)
{
    res->status = status;
    jw_obj(&res->body);
    jw_kcstr(&res->body, "message", message);
    jw_ki64(&res->body, "code", 0);
    jw_kcstr(&res->body, "proxy", code);
    jw_obj_end(&res->body);
    http_response_header(res, "X-Guildhall-Proxy", "%s", code);
}

/* A 429 in the upstream's form, so that every client library understands it. */
static void refuse_429(struct http_response *res, const char *code, int64_t wait_ms)
{
    double seconds = (double)(wait_ms > 1 ? wait_ms : 1) / 1000;

    res->status = 429;
    jw_obj(&res->body);
    jw_kcstr(&res->body, "message", "You are being rate limited.");
    jw_key(&res->body, "retry_after");
    jw_double(&res->body, seconds);
    jw_kbool(&res->body, "global", false);
    jw_kcstr(&res->body, "proxy", code);
    jw_obj_end(&res->body);
    http_response_header(res, "X-Guildhall-Proxy", "%s", code);
    http_response_header(res, "Retry-After", "%.0f", ceil(seconds));
    http_response_header(res, "X-RateLimit-Limit", "1");
    http_response_header(res, "X-RateLimit-Remaining", "0");
    http_response_header(res, "X-RateLimit-Reset", "%.3f", (double)clock_wall_ms() / 1000 + seconds);
    http_response_header(res, "X-RateLimit-Reset-After", "%.3f", seconds);
    http_response_header(res, "X-RateLimit-Bucket", "guildhall-proxy");
    http_response_header(res, "X-RateLimit-Scope", "user");
}

static void refuse_job(struct http_response *res, enum job_result r, int64_t wait_ms)
{
    switch (r) {
    case JOB_DEADLINE:
        refuse_429(res, "deadline", wait_ms);
        break;
    case JOB_QUEUE_FULL:
        refuse_429(res, "queue_full", wait_ms > 0 ? wait_ms : 1000);
        break;
    case JOB_LOCKED:
        refuse(res, 401, "token_locked",
               "401: Unauthorized (this token got 401 before and is locked in the rest-proxy)");
        break;
    case JOB_GUARD:
        http_response_header(res, "Retry-After", "%lld", (long long)(wait_ms / 1000 + 1));
        refuse(res, 503, "invalid_guard", "Too many invalid requests from this address; nothing is sent for now");
        break;
    case JOB_DRAIN:
        http_response_header(res, "Retry-After", "1");
        refuse(res, 503, "stopping", "The rest-proxy is stopping; the request was not sent");
        break;
    case JOB_GONE:
    case JOB_GO:
    case JOB_OVERLOAD:
        http_response_header(res, "Retry-After", "1");
        refuse(res, 503, r == JOB_GONE ? "withdrawn" : "overload", "The request was not sent");
        break;
    }
}

static void refuse_error(struct http_response *res, const struct http_result *r)
{
    if (r->error == -ECANCELED && !r->maybe_sent) {
        refuse(res, 503, "withdrawn", "The request was not sent");
        return;
    }
    metric_add(&metric_lost, 1);
    if (r->maybe_sent)
        refuse(res, 502, "maybe_executed",
               "The upstream gave no answer. The request may have been executed; it was not sent again.");
    else
        refuse(res, 502, "not_sent", "The upstream cannot be reached; the request was not sent.");
}

static void proxy_free(void *arg);

/* --- one request --- */

struct call {
    struct proxy *proxy;
    struct http_request *req;
    struct http_response *res;
    struct str key, print; /* of idempotency; empty: none */
    struct job job;
};

static bool call_gone(void *arg)
{
    return http_request_gone(((struct call *)arg)->req);
}

/* OpenSSL's one-shot function looks the algorithm up each time, which costs more than the hash. */
static void sha256(struct str s, unsigned char digest[SHA256_DIGEST_LENGTH])
{
    static EVP_MD_CTX *ctx;
    static EVP_MD *md;

    if (!ctx) {
        ctx = EVP_MD_CTX_new();
        md = EVP_MD_fetch(NULL, "SHA256", NULL);
        CHECK(ctx && md);
    }
    CHECK(EVP_DigestInit_ex2(ctx, md, NULL) && EVP_DigestUpdate(ctx, s.n ? s.p : "", s.n) &&
          EVP_DigestFinal_ex(ctx, digest, NULL));
}

static struct str digest_hex(struct arena *a, const unsigned char *digest)
{
    static const char digits[] = "0123456789abcdef";
    char *hex = arena_alloc(a, 33);

    for (int i = 0; i < 16; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    return (struct str){hex, 32};
}

static struct str token_hash(struct arena *a, struct str authorization)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];

    if (authorization.n == 0)
        return STR("");
    sha256(authorization, digest);
    return digest_hex(a, digest);
}

/* What makes two requests the same one: method, target, body. */
static struct str request_print(struct http_request *r)
{
    unsigned char digest[3 * SHA256_DIGEST_LENGTH];
    const char *method = http_method_name(r->method);

    sha256(str_c(method), digest);
    sha256(r->target, digest + SHA256_DIGEST_LENGTH);
    sha256(r->body, digest + 2 * SHA256_DIGEST_LENGTH);
    sha256((struct str){(const char *)digest, sizeof(digest)}, digest);
    return digest_hex(&r->arena, digest);
}

/* The series of each group, found once. */
static struct metric *wait_metric(const struct route *r)
{
    static struct metric *series[ROUTE_GROUPS];
    enum route_group g = route_group(r);
    char labels[40];

    if (!series[g]) {
        snprintf(labels, sizeof(labels), "group=\"%s\"", route_group_name(g));
        series[g] = metric_with(&metric_wait, labels);
    }
    return series[g];
}

/* Interactions must be answered within three seconds, so they go first unless told otherwise. */
static enum job_priority priority_of(struct str header, const struct route *r)
{
    if (str_eq_nocase(header, STR("high")))
        return PRIORITY_HIGH;
    if (str_eq_nocase(header, STR("low")))
        return PRIORITY_LOW;
    if (str_eq_nocase(header, STR("normal")))
        return PRIORITY_NORMAL;
    return r->global_exempt ? PRIORITY_HIGH : PRIORITY_NORMAL;
}

static void call_prepare(struct call *c)
{
    struct arena *a = &c->req->arena;
    struct str deadline = http_request_header(c->req, DEADLINE_HEADER);
    uint64_t ms;

    c->job.key.token = token_hash(a, http_request_header(c->req, "authorization"));
    route_parse(str_c(http_method_name(c->req->method)), (struct str){c->req->path.p + 4, c->req->path.n - 4},
                clock_wall_ms(), a, &c->job.key.route);
    c->job.priority = priority_of(http_request_header(c->req, PRIORITY_HEADER), &c->job.key.route);
    c->job.wait = wait_metric(&c->job.key.route);
    c->job.gone = call_gone;
    c->job.gone_arg = c;
    struct str key = http_request_header(c->req, KEY_HEADER);
    if (key.n > 0) {
        c->key = arena_printf(a, "%.*s:%.*s", STR_ARG(c->job.key.token), STR_ARG(key));
        c->print = request_print(c->req);
    }
    if (deadline.n > 0 && str_to_u64(deadline, &ms) == 0 && ms <= DEADLINE_MAX_MS)
        c->job.deadline_ms = clock_mono_ms() + (int64_t)ms;
}

static void note_429(struct call *c, const struct limiter_outcome *o)
{
    static const char *const scopes[] = {"user", "global", "shared", "sublimit"};
    char labels[40];

    snprintf(labels, sizeof(labels), "scope=\"%s\"", scopes[o->scope]);
    metric_add(metric_with(&metric_429, labels), 1);
    LOG_INFO("upstream_429", "scope=%s route=\"%.*s\" major=%.*s retry_after_ms=%lld", scopes[o->scope],
             STR_ARG(c->job.key.route.template), STR_ARG(c->job.key.route.major), (long long)o->retry_after_ms);
}

/* Sends it once, with the permit. True: it got 429 and waits again. */
static bool call_send(struct call *c)
{
    struct limiter_outcome o;
    struct http_result r;
    bool again = false;

    upstream_call(c->proxy->client, c->proxy->o.upstream, c->req, c->job.key.route.idempotent, &r);
    upstream_outcome(&r, &o);
    scheduler_report(c->proxy->scheduler, &c->job, &o);
    if (r.error) {
        refuse_error(c->res, &r);
    } else if (r.status == 429) {
        note_429(c, &o);
        again = !c->job.deadline_ms || clock_mono_ms() + o.retry_after_ms <= c->job.deadline_ms;
        if (again && o.scope == LIMITER_SCOPE_SUBLIMIT)
            scheduler_block_sublimit(c->proxy->scheduler, &c->job, o.retry_after_ms);
        if (!again)
            refuse_429(c->res, "deadline", o.retry_after_ms);
    } else {
        upstream_answer(&r, &c->req->arena, c->res);
    }
    if (c->key.n > 0 && r.error && r.maybe_sent)
        kept_lost(c->proxy->kept, c->key);
    else if (c->key.n > 0 && !r.error && r.status != 429)
        kept_answer(c->proxy->kept, c->key, c->res);
    else if (c->key.n > 0 && !again)
        kept_drop(c->proxy->kept, c->key);
    http_result_done(&r);
    return again;
}

/* Answers in the first one's place. True: there is none, or not any more: this one is to be sent. */
static bool key_claim(struct call *c)
{
    for (;;) {
        switch (kept_ask(c->proxy->kept, c->key, c->print, &c->req->arena, c->res)) {
        case KEPT_MINE:
            return true;
        case KEPT_ANSWER:
            http_response_header(c->res, "X-Guildhall-Proxy", "repeated");
            return false;
        case KEPT_LOST:
            refuse(c->res, 502, "maybe_executed",
                   "The first request with this key got no answer. It may have been executed; it was not sent again.");
            return false;
        case KEPT_OTHER:
            refuse(c->res, 422, "key_reused", "This idempotency key was used for another request");
            return false;
        case KEPT_AWAY:
        case KEPT_FULL:
            http_response_header(c->res, "Retry-After", "1");
            refuse(c->res, 503, "no_store", "What became of this idempotency key cannot be known; it was not sent");
            return false;
        case KEPT_WAIT:
            break;
        }
        if (http_request_gone(c->req) || (c->job.deadline_ms && clock_mono_ms() > c->job.deadline_ms)) {
            refuse_429(c->res, "deadline", 1000);
            return false;
        }
        co_sleep(KEY_ASK_MS);
    }
}

/* Waits for the permit. False: refused. */
static bool call_wait(struct call *c, bool again)
{
    int64_t wait_ms;
    enum job_result r = scheduler_wait(c->proxy->scheduler, &c->job, again, &wait_ms);

    if (r == JOB_GO)
        return true;
    if (c->key.n > 0)
        kept_drop(c->proxy->kept, c->key);
    refuse_job(c->res, r, wait_ms);
    return false;
}

/* With a key: the others know that it is sent before it is. False: it is not to be sent, the permit was given back. */
static bool call_announce(struct call *c)
{
    static const struct limiter_outcome unused = {.kind = LIMITER_UNUSED};

    if (c->key.n == 0 || kept_sending(c->proxy->kept, c->key))
        return true;
    scheduler_report(c->proxy->scheduler, &c->job, &unused);
    kept_drop(c->proxy->kept, c->key);
    return false;
}

static void call_run(struct call *c)
{
    bool again = false;

    call_prepare(c);
    if (c->key.n > KEY_MAX) {
        refuse(c->res, 400, "key_too_long", "An idempotency key has at most 160 bytes");
        return;
    }
    if (c->key.n > 0 && !key_claim(c))
        return;
    do {
        if (!call_wait(c, again))
            return;
        if (!call_announce(c)) {
            if (!key_claim(c))
                return;
            again = true;
            continue;
        }
        again = call_send(c);
    } while (again);
}

static void count_status(const struct http_response *res)
{
    static struct metric *series[6];
    int class = res->status / 100 < 6 ? res->status / 100 : 0;
    char labels[20];

    if (!series[class]) {
        snprintf(labels, sizeof(labels), "code=\"%dxx\"", class);
        series[class] = metric_with(&metric_requests, labels);
    }
    metric_add(series[class], 1);
}

/* POST /proxy/unlock with the token's Authorization header: the token may be used again. */
static void unlock(struct proxy *p, struct http_request *req, struct http_response *res)
{
    struct str token = token_hash(&req->arena, http_request_header(req, "authorization"));

    if (req->method != HTTP_METHOD_POST)
        refuse(res, 405, "method", "405: Method Not Allowed");
    else
        switch (p->limiter->ops->unlock(p->limiter, token)) {
        case 0:
            res->status = 204;
            break;
        case -ENOENT:
            refuse(res, 404, "not_locked", "No lock on this token");
            break;
        default:
            refuse(res, 503, "alone", "The other rest-proxies cannot be told: Redis cannot be reached");
        }
}

static void handle(struct http_request *req, struct http_response *res, void *arg)
{
    struct call c = {.proxy = arg, .req = req, .res = res};

    if (admin_handle(req, res))
        return;
    if (str_eq(req->path, STR("/proxy/unlock"))) {
        unlock(arg, req, res);
    } else if (!str_starts(req->target, STR("/api/")) || !str_starts(req->path, STR("/api/"))) {
        refuse(res, 404, "path", "404: Not Found (the rest-proxy serves /api/...)");
    } else if (req->method == HTTP_METHOD_OTHER) {
        refuse(res, 405, "method", "405: Method Not Allowed");
    } else {
        c.proxy->running++;
        call_run(&c);
        count_status(res);
        if (--c.proxy->running == 0 && c.proxy->over)
            loop_post(proxy_free, c.proxy);
    }
}

/* --- life --- */

static void on_stats(void *arg)
{
    struct proxy *p = arg;
    struct limiter_stats s;

    p->limiter->ops->stats(p->limiter, &s);
    metric_set(&metric_buckets, (int64_t)s.buckets);
    metric_set(&metric_locked, (int64_t)s.tokens_locked);
    metric_set(&metric_invalid, (int64_t)s.invalid_requests);
}

static void proxy_free(void *arg)
{
    struct proxy *p = arg;

    if (p->client)
        http_client_free(p->client);
    if (p->scheduler)
        scheduler_free(p->scheduler);
    if (p->kept)
        kept_free(p->kept);
    if (p->limiter)
        p->limiter->ops->free(p->limiter);
    loop_timer_free(p->stats);
    mem_free(p);
}

static struct limiter *limiter_make(const struct proxy_options *o, struct buf *err)
{
    struct limiter_local_options local = {o->global_per_second, o->invalid_max, clock_mono_ms};
    struct limiter_redis_options shared = {.url = o->redis_url,
                                           .egress = o->egress,
                                           .global_per_second = o->global_per_second,
                                           .invalid_max = o->invalid_max,
                                           .now_ms = clock_mono_ms};

    return o->redis_url ? limiter_redis_new(&shared, err) : limiter_local_new(&local);
}

int proxy_start(const struct proxy_options *o, struct proxy **ret, struct buf *err)
{
    struct limiter *limiter = limiter_make(o, err);
    struct http_client_options co = {.ca_file = o->upstream_ca, .user_agent = NULL, .connections_per_host_max = 256};

    if (!limiter)
        return -EINVAL;
    struct proxy *p = MEM_NEW(struct proxy);
    p->o = *o;
    p->limiter = limiter;
    p->kept =
        o->redis_url ? kept_new(limiter_redis_connection(limiter), limiter_redis_id(limiter)) : kept_new(NULL, "");
    p->scheduler = scheduler_new(p->limiter);
    p->client = http_client_new(&co);
    p->stats = loop_timer_new(on_stats, p);
    struct http_listener_options ho = {
        .listen = o->listen, .handler = handle, .arg = p, .via = "1.1 guildhall-rest-proxy"};
    int error = http_listener_start(&ho, &p->listener, err);
    if (error) {
        proxy_free(p);
        return error;
    }
    loop_timer_start(p->stats, 0, STATS_EVERY_MS);
    *ret = p;
    return 0;
}

bool proxy_limits_shared(const struct proxy *p)
{
    return p->o.redis_url && limiter_redis_shared(p->limiter);
}

int proxy_port(const struct proxy *p)
{
    return http_listener_port(p->listener);
}

void proxy_configure(struct proxy *p, int global_per_second, int invalid_max)
{
    p->o.global_per_second = global_per_second;
    p->o.invalid_max = invalid_max;
    p->limiter->ops->configure(p->limiter, global_per_second, invalid_max);
}

static void stop_end(void *arg)
{
    struct proxy *p = arg;
    void (*stopped)(void *) = p->stopped;
    void *stopped_arg = p->stopped_arg;

    if (p->o.redis_url)
        limiter_redis_leave(p->limiter);
    p->over = true;
    if (p->running == 0)
        proxy_free(p);
    stopped(stopped_arg);
}

static void on_stopped(void *arg)
{
    struct proxy *p = arg;

    if (co_spawn(stop_end, p) == 0)
        return;
    p->o.redis_url = NULL; /* without a coroutine Redis cannot be told */
    stop_end(p);
}

void proxy_stop(struct proxy *p, int64_t grace_ms, void (*done)(void *arg), void *arg)
{
    p->stopped = done;
    p->stopped_arg = arg;
    scheduler_drain(p->scheduler);
    http_listener_stop(p->listener, grace_ms, on_stopped, p);
}
