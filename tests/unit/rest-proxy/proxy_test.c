/* The whole proxy between callers and an upstream that enforces its limits, all on one loop. With REDIS_URL in the
 * environment (the contract test) proxies share their limits and kept answers there. */
#include "tests/support/cm.h"

#include "platform/base/clock.h"
#include "platform/base/mem.h"
#include "platform/io/co.h"
#include "platform/io/http_client.h"
#include "platform/io/loop.h"
#include "platform/io/redis.h"
#include "rest-proxy/proxy.h"
#include "tests/support/on_loop.h"
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- the upstream: `limit` a window of `window_ms` for each path --- */

#define PATHS 8

static struct {
    struct http_listener *listener;
    int limit, window_ms, latency_ms;
    struct {
        char path[96];
        int used;
        int64_t end;
    } bucket[PATHS];
    int calls, rejected, in_flight, in_flight_max;
    char order[4096]; /* bodies in the order of arrival */
    int status;       /* answered instead of 200 */
    const char *scope;
    bool hold;   /* no answer while it is set */
    bool cut;    /* the connection ends without an answer */
    int say_429; /* so many 429 before anything else */
    char last_headers[2048];
} up;

static int bucket_of(struct str path)
{
    for (int i = 0;; i++) {
        assert_true(i < PATHS);
        if (!up.bucket[i].path[0])
            snprintf(up.bucket[i].path, sizeof(up.bucket[i].path), "%.*s", STR_ARG(path));
        if (str_eq(path, str_c(up.bucket[i].path)))
            return i;
    }
}

static void limit_headers(struct http_response *res, int remaining, int64_t reset_after_ms)
{
    http_response_header(res, "X-RateLimit-Limit", "%d", up.limit);
    http_response_header(res, "X-RateLimit-Remaining", "%d", remaining);
    http_response_header(res, "X-RateLimit-Reset", "%.3f", (double)(clock_wall_ms() + reset_after_ms) / 1000);
    http_response_header(res, "X-RateLimit-Reset-After", "%.3f", (double)reset_after_ms / 1000);
    http_response_header(res, "X-RateLimit-Bucket", "hash");
}

static void say_429(struct http_response *res, const char *scope)
{
    res->status = 429;
    http_response_header(res, "X-RateLimit-Scope", "%s", scope);
    http_response_header(res, "Retry-After", "1");
    buf_adds(&res->body, "{\"message\":\"You are being rate limited.\",\"retry_after\":0.2,\"global\":false}");
}

static void upstream_handle(struct http_request *req, struct http_response *res, void *arg)
{
    int64_t now = clock_mono_ms();
    int i = bucket_of(req->path);

    (void)arg;
    up.calls++;
    if (++up.in_flight > up.in_flight_max)
        up.in_flight_max = up.in_flight;
    strncat(up.order, req->body.n ? req->body.p : "-", sizeof(up.order) - strlen(up.order) - 1);
    up.last_headers[0] = 0;
    for (unsigned h = 0; h < req->header_count; h++)
        snprintf(up.last_headers + strlen(up.last_headers), sizeof(up.last_headers) - strlen(up.last_headers),
                 "%.*s: %.*s\n", STR_ARG(req->headers[h].name), STR_ARG(req->headers[h].value));
    if (now >= up.bucket[i].end) {
        up.bucket[i].end = now + up.window_ms;
        up.bucket[i].used = 0;
    }
    bool over = ++up.bucket[i].used > up.limit;
    int remaining = over ? 0 : up.limit - up.bucket[i].used;
    int64_t after = up.bucket[i].end - now;
    if (up.latency_ms)
        co_sleep(up.latency_ms);
    while (up.hold)
        co_sleep(5);
    limit_headers(res, remaining, after);
    up.in_flight--;
    if (up.cut) {
        http_request_cut(req, true);
        return;
    }
    if (over || up.say_429 > 0) {
        up.rejected += over;
        up.say_429 -= !over;
        say_429(res, up.scope ? up.scope : "user");
        return;
    }
    res->status = up.status ? up.status : 200;
    http_response_header(res, "X-Other", "kept");
    buf_addf(&res->body, "{\"path\":\"%.*s\",\"query\":\"%.*s\"}", STR_ARG(req->path), STR_ARG(req->query));
}

/* --- callers --- */

static struct proxy *proxy;
static struct http_client *client;
static char base_url[64];

static void redis_forget(const char *url)
{
    struct redis *r = redis_new(url, NULL);
    struct redis_reply *reply;

    UNTIL(redis_connected(r));
    assert_int_equal(redis_await(r, 1, &STR("FLUSHALL"), &reply), 0);
    redis_reply_free(reply);
    redis_free(r);
}

/* Starts another proxy in front of the same upstream. */
static struct proxy *proxy_make(const char *upstream_url, int global)
{
    BUF_AUTO struct buf err = BUF_INIT(256);
    struct proxy *p;
    struct proxy_options po = {.listen = "127.0.0.1:0",
                               .upstream = upstream_url,
                               .redis_url = getenv("REDIS_URL"),
                               .egress = "here",
                               .global_per_second = global,
                               .invalid_max = 50};

    assert_int_equal(proxy_start(&po, &p, &err), 0);
    if (po.redis_url)
        UNTIL(proxy_limits_shared(p));
    return p;
}

static char upstream_url[64];

static void open_all(int limit, int window_ms, int global)
{
    BUF_AUTO struct buf err = BUF_INIT(256);
    struct http_listener_options ho = {.listen = "127.0.0.1:0", .handler = upstream_handle};

    memset(&up, 0, sizeof(up));
    up.limit = limit;
    up.window_ms = window_ms;
    assert_int_equal(http_listener_start(&ho, &up.listener, &err), 0);
    snprintf(upstream_url, sizeof(upstream_url), "http://127.0.0.1:%d/api", http_listener_port(up.listener));
    if (getenv("REDIS_URL"))
        redis_forget(getenv("REDIS_URL"));
    proxy = proxy_make(upstream_url, global);
    snprintf(base_url, sizeof(base_url), "http://127.0.0.1:%d", proxy_port(proxy));
    client = http_client_new(&(struct http_client_options){.connections_per_host_max = 200});
}

static void on_closed(void *arg)
{
    ++*(int *)arg;
}

static void close_all(void)
{
    int closed = 0;

    http_client_free(client);
    proxy_stop(proxy, 1000, on_closed, &closed);
    if (up.listener)
        http_listener_stop(up.listener, 1000, on_closed, &closed);
    UNTIL(closed == 1 + (up.listener != NULL));
    co_sleep(20);
}

struct request {
    const char *method, *path, *body, *header;
    const char *base; /* of another proxy */
    const char *token;
    int timeout_ms;
    int status, error;
    char text[512], headers[2048];
    int64_t took_ms;
};

static void send_one(void *arg)
{
    struct request *q = arg;
    struct http_result r;
    char url[256], token[80];
    int64_t start = clock_mono_ms();

    snprintf(url, sizeof(url), "%s%s", q->base ? q->base : base_url, q->path);
    snprintf(token, sizeof(token), "Authorization: Bot %s", q->token ? q->token : "t");
    const char *headers[] = {token, "Content-Type: application/json", q->header, NULL};
    struct http_call_options o = {.method = q->method ? q->method : "POST",
                                  .url = url,
                                  .headers = headers,
                                  .body = str_c(q->body),
                                  .timeout_ms = q->timeout_ms ? q->timeout_ms : 10000,
                                  .body_max = 1 << 20};
    http_call_await(client, &o, &r);
    q->error = r.error;
    q->status = r.status;
    snprintf(q->text, sizeof(q->text), "%.*s", STR_ARG(buf_str(&r.body)));
    snprintf(q->headers, sizeof(q->headers), "%.*s", STR_ARG(buf_str(&r.headers)));
    http_result_done(&r);
    q->took_ms = clock_mono_ms() - start;
}

#define MESSAGES "/api/v10/channels/100000000000000001/messages"

static void limits_hold_and_order_is_kept(void)
{
    static struct request q[40];
    char bodies[40][16], expected[200] = "";
    struct co_group g = {0};

    open_all(5, 400, 50);
    up.latency_ms = 30;
    int64_t start = clock_mono_ms();
    for (int i = 0; i < 40; i++) {
        snprintf(bodies[i], sizeof(bodies[i]), "%02d,", i);
        strcat(expected, bodies[i]);
        q[i] = (struct request){.path = MESSAGES, .body = bodies[i]};
        co_group_spawn(&g, send_one, &q[i]);
        co_sleep(2); /* so that they reach the proxy in this order */
    }
    co_group_wait(&g);
    for (int i = 0; i < 40; i++)
        assert_int_equal(q[i].status, 200);
    assert_int_equal(up.rejected, 0);
    assert_int_equal(up.calls, 40);
    assert_true(up.in_flight_max >= 4); /* what remains goes out at once */
    assert_in_range(clock_mono_ms() - start, 2800, 20000);
    /* The first is the probe; then each window's five leave in order, on connections of their own. */
    assert_int_equal(strncmp(up.order, "00,", 3), 0);
    for (int w = 1; w < 40; w++)
        assert_true(labs(strstr(up.order, bodies[w]) - up.order - w * 3) <= 30); /* two windows, on a busy machine */
    close_all();
}
ON_LOOP(limits_hold_and_order_is_kept)

static void majors_do_not_wait_for_each_other(void)
{
    static struct request q[6];
    char paths[6][80];
    struct co_group g = {0};

    open_all(1, 5000, 50);
    for (int i = 0; i < 6; i++) {
        snprintf(paths[i], sizeof(paths[i]), "/api/channels/10000000000000000%d/messages?x=1", i);
        q[i] = (struct request){.path = paths[i], .body = "x"};
        co_group_spawn(&g, send_one, &q[i]);
    }
    co_group_wait(&g);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(q[i].status, 200);
        assert_true(q[i].took_ms < 4500);
    }
    assert_non_null(strstr(q[3].text, "\"query\":\"x=1\""));
    close_all();
}
ON_LOOP(majors_do_not_wait_for_each_other)

static void a_deadline_fails_fast(void)
{
    struct request first = {.path = MESSAGES, .body = "x"},
                   late = {.path = MESSAGES, .body = "x", .header = "X-Guildhall-Deadline-Ms: 300"};

    open_all(1, 5000, 50);
    send_one(&first);
    assert_int_equal(first.status, 200);
    assert_non_null(strstr(first.headers, "x-other: kept"));
    assert_non_null(strstr(first.headers, "via:"));
    assert_null(strstr(up.last_headers, "Deadline"));
    assert_non_null(strstr(up.last_headers, "Authorization: Bot t"));
    send_one(&late);
    assert_int_equal(late.status, 429);
    assert_true(late.took_ms < 4000); /* at once, as the wait is known */
    assert_non_null(strstr(late.text, "\"retry_after\":"));
    assert_non_null(strstr(late.headers, "x-ratelimit-scope: user"));
    assert_int_equal(up.calls, 1);
    close_all();
}
ON_LOOP(a_deadline_fails_fast)

static void whoever_hangs_up_is_withdrawn(void)
{
    struct request first = {.path = MESSAGES, .body = "a"}, gone = {.path = MESSAGES, .body = "b", .timeout_ms = 200},
                   last = {.path = MESSAGES, .body = "c"};
    struct co_group g = {0};

    open_all(1, 1000, 50);
    send_one(&first);
    co_group_spawn(&g, send_one, &gone);
    co_sleep(20);
    co_group_spawn(&g, send_one, &last);
    co_group_wait(&g);
    assert_true(gone.error != 0);
    assert_int_equal(last.status, 200);
    assert_string_equal(up.order, "ac");
    assert_true(last.took_ms < 8000);
    close_all();
}
ON_LOOP(whoever_hangs_up_is_withdrawn)

static void a_429_is_waited_for(void)
{
    static const char *const scopes[] = {"user", "shared", "global"};

    for (int i = 0; i < 3; i++) {
        struct request q = {.path = MESSAGES, .body = "a"},
                       d = {.path = MESSAGES, .body = "b", .header = "X-Guildhall-Deadline-Ms: 100"};

        open_all(5, 1000, 50);
        up.say_429 = 1;
        up.scope = scopes[i];
        send_one(&q);
        assert_int_equal(q.status, 200);
        assert_true(q.took_ms >= 200 && q.took_ms < 8000);
        assert_string_equal(up.order, "aa");
        up.say_429 = 1;
        send_one(&d);
        assert_int_equal(d.status, 429);
        close_all();
    }
}
ON_LOOP(a_429_is_waited_for)

static void a_401_locks_and_unlocks(void)
{
    struct request q = {.path = MESSAGES, .body = "a"}, other = {.path = MESSAGES, .body = "a", .token = "u"},
                   clear = {.path = "/proxy/unlock", .body = ""};

    open_all(5, 1000, 50);
    up.status = 401;
    send_one(&q);
    assert_int_equal(q.status, 401);
    up.status = 0;
    send_one(&q);
    assert_int_equal(q.status, 401);
    assert_non_null(strstr(q.headers, "token_locked"));
    assert_int_equal(up.calls, 1);
    send_one(&other);
    assert_int_equal(other.status, 200);
    send_one(&clear);
    assert_int_equal(clear.status, 204);
    send_one(&q);
    assert_int_equal(q.status, 200);
    close_all();
}
ON_LOOP(a_401_locks_and_unlocks)

static void too_many_invalid_ones_stop_it(void)
{
    struct request q = {.path = MESSAGES, .body = "a"};

    open_all(100, 1000, 0);
    up.status = 403;
    for (int i = 0; i < 50; i++) {
        send_one(&q);
        assert_int_equal(q.status, 403);
    }
    send_one(&q);
    assert_int_equal(q.status, 503);
    assert_non_null(strstr(q.headers, "invalid_guard"));
    assert_int_equal(up.calls, 50);
    close_all();
}
ON_LOOP(too_many_invalid_ones_stop_it)

static void the_global_limit_holds(void)
{
    static struct request q[60];
    static char paths[60][80];
    struct co_group g = {0};

    open_all(1000, 1000, 1000);
    proxy_configure(proxy, 20, 10000); /* as a reload does, for the next permit on */
    int64_t start = clock_mono_ms();
    for (int i = 0; i < 60; i++) {
        snprintf(paths[i], sizeof(paths[i]), "/api/channels/10000000000000000%d", i % 6);
        q[i] = (struct request){.method = "GET", .path = paths[i]};
        co_group_spawn(&g, send_one, &q[i]);
    }
    co_group_wait(&g);
    assert_true(clock_mono_ms() - start >= 2000);
    assert_true(clock_mono_ms() - start < 12000);
    close_all();
}
ON_LOOP(the_global_limit_holds)

/* The value of the first sample that begins so on the proxy's own page. */
static double metric_read(const char *begins)
{
    struct http_result r;
    char url[128];

    snprintf(url, sizeof(url), "%s/metrics", base_url);
    struct http_call_options o = {.method = "GET", .url = url, .timeout_ms = 20000, .body_max = 1 << 20};
    assert_int_equal(http_call_await(client, &o, &r), 0);
    const char *at = strstr(r.body.data, begins);
    assert_non_null(at);
    double value = strtod(at + strlen(begins), NULL);
    http_result_done(&r);
    return value;
}

static void the_time_in_the_queue_is_told(void)
{
    struct request first = {.path = MESSAGES, .body = "a"}, second_one = {.path = MESSAGES, .body = "b"};

    open_all(1, 400, 50);
    send_one(&first);
    double count = metric_read("guildhall_proxy_queue_wait_seconds_count{group=\"messages\"} ");
    double sum = metric_read("guildhall_proxy_queue_wait_seconds_sum{group=\"messages\"} ");
    send_one(&second_one);
    assert_int_equal(second_one.status, 200);
    assert_true(metric_read("guildhall_proxy_queue_wait_seconds_count{group=\"messages\"} ") == count + 1);
    assert_true(metric_read("guildhall_proxy_queue_wait_seconds_sum{group=\"messages\"} ") > sum);
    assert_true(metric_read("guildhall_proxy_queue_wait_seconds_bucket{group=\"messages\",le=\"+Inf\"} ") == count + 1);
    close_all();
}
ON_LOOP(the_time_in_the_queue_is_told)

static void what_is_not_the_api(void)
{
    struct request a = {.method = "GET", .path = "/nothing"}, b = {.method = "GET", .path = "/healthz"},
                   c = {.method = "GET", .path = "/metrics"}, d = {.method = "GET", .path = "/apis/x"};

    open_all(5, 1000, 50);
    send_one(&a);
    assert_int_equal(a.status, 404);
    send_one(&b);
    assert_int_equal(b.status, 200);
    send_one(&c);
    assert_int_equal(c.status, 200);
    send_one(&d);
    assert_int_equal(d.status, 404);
    assert_int_equal(up.calls, 0);
    close_all();
}
ON_LOOP(what_is_not_the_api)

/* --- idempotency keys --- */

#define KEY "X-Guildhall-Idempotency-Key: once"

/* Where the second request goes: through another proxy, when two share a Redis. */
static struct proxy *second;
static char second_url[64];

static void second_open(void)
{
    second = getenv("REDIS_URL") ? proxy_make(upstream_url, 50) : NULL;
    snprintf(second_url, sizeof(second_url), "http://127.0.0.1:%d", proxy_port(second ? second : proxy));
}

static void second_close(void)
{
    int closed = 0;

    if (!second)
        return;
    proxy_stop(second, 1000, on_closed, &closed);
    UNTIL(closed == 1);
}

static void ignore(struct http_result *r, void *arg)
{
    (void)arg;
    http_result_done(r);
}

static struct http_call *start_and_forget(const char *body)
{
    static char url[256];
    static const char *const headers[] = {"Authorization: Bot t", "Content-Type: application/json", KEY, NULL};

    snprintf(url, sizeof(url), "%s%s", base_url, MESSAGES);
    struct http_call_options o = {.method = "POST",
                                  .url = url,
                                  .headers = headers,
                                  .body = str_c(body),
                                  .timeout_ms = 60000,
                                  .body_max = 1 << 20};
    return http_call_start(client, &o, ignore, NULL);
}

static void one_key_is_sent_once(void)
{
    struct request q[4], other = {.path = MESSAGES, .body = "b", .header = KEY},
                         token = {.path = MESSAGES, .body = "a", .header = KEY, .token = "u"};
    struct co_group g = {0};

    open_all(5, 1000, 50);
    second_open();
    up.hold = true;
    struct http_call *impatient = start_and_forget("a");
    UNTIL(up.calls == 1);
    http_call_cancel(impatient); /* its caller gives up while it is under way */
    for (int i = 0; i < 4; i++) {
        q[i] = (struct request){.path = MESSAGES, .body = "a", .header = KEY, .base = i % 2 ? second_url : NULL};
        co_group_spawn(&g, send_one, &q[i]);
    }
    co_sleep(100);
    up.hold = false;
    co_group_wait(&g);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(q[i].status, 200);
        assert_non_null(strstr(q[i].text, "/channels/100000000000000001/messages"));
        assert_non_null(strstr(q[i].headers, "x-other: kept"));
        assert_non_null(strstr(q[i].headers, "x-guildhall-proxy: repeated"));
    }
    assert_int_equal(up.calls, 1);
    send_one(&other);
    assert_int_equal(other.status, 422);
    assert_int_equal(up.calls, 1);
    send_one(&token); /* another bot's keys are its own */
    assert_int_equal(token.status, 200);
    assert_int_equal(up.calls, 2);
    assert_null(strstr(up.last_headers, "Idempotency"));
    second_close();
    close_all();
}
ON_LOOP(one_key_is_sent_once)

static void an_answer_that_never_came_is_reported(void)
{
    struct request q = {.path = MESSAGES, .body = "a", .header = KEY}, again = q;

    open_all(5, 1000, 50);
    second_open();
    again.base = second_url;
    up.cut = true;
    send_one(&q);
    assert_int_equal(q.status, 502);
    assert_non_null(strstr(q.headers, "maybe_executed"));
    up.cut = false;
    send_one(&again);
    assert_int_equal(again.status, 502);
    assert_non_null(strstr(again.headers, "maybe_executed"));
    assert_int_equal(up.calls, 1);
    second_close();
    close_all();
}
ON_LOOP(an_answer_that_never_came_is_reported)

static void what_was_not_sent_may_be_sent(void)
{
    struct request first = {.path = MESSAGES, .body = "x"},
                   gone = {.path = MESSAGES, .body = "a", .header = KEY, .timeout_ms = 200},
                   again = {.path = MESSAGES, .body = "a", .header = KEY};

    open_all(1, 1500, 50);
    second_open();
    again.base = second_url;
    send_one(&first);
    send_one(&gone); /* withdrawn: the window is used up */
    send_one(&again);
    assert_int_equal(again.status, 200);
    assert_string_equal(up.order, "xa");
    second_close();
    close_all();
}
ON_LOOP(what_was_not_sent_may_be_sent)

/* --- an upstream that dies in the middle: plain sockets on a thread --- */

static int raw_listener = -1, raw_requests;

static bool raw_read_request(int fd)
{
    char text[4096];
    size_t n = 0;

    for (;;) {
        ssize_t got = read(fd, text + n, sizeof(text) - 1 - n);
        if (got <= 0)
            return false;
        n += (size_t)got;
        text[n] = 0;
        if (strstr(text, "\r\n\r\n"))
            return true;
    }
}

/* Answers the first request of a connection, reads the second and hangs up. */
static void *raw_main(void *arg)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

    (void)arg;
    for (int fd; (fd = accept(raw_listener, NULL, NULL)) >= 0;) {
        if (raw_read_request(fd)) {
            __atomic_add_fetch(&raw_requests, 1, __ATOMIC_SEQ_CST);
            if (write(fd, answer, sizeof(answer) - 1) > 0 && raw_read_request(fd))
                __atomic_add_fetch(&raw_requests, 1, __ATOMIC_SEQ_CST);
        }
        close(fd);
    }
    return NULL;
}

static void what_may_have_arrived_is_not_sent_again(void)
{
    BUF_AUTO struct buf err = BUF_INIT(256);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    struct request q = {.path = MESSAGES, .body = "{}"}, get = {.method = "GET", .path = MESSAGES};
    char url[64];
    pthread_t t;

    memset(&up, 0, sizeof(up));
    raw_listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(raw_listener, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(raw_listener, 16), 0);
    assert_int_equal(getsockname(raw_listener, (struct sockaddr *)&a, &len), 0);
    assert_int_equal(pthread_create(&t, NULL, raw_main, NULL), 0);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/api", ntohs(a.sin_port));
    struct proxy_options po = {.listen = "127.0.0.1:0", .upstream = url};
    assert_int_equal(proxy_start(&po, &proxy, &err), 0);
    snprintf(base_url, sizeof(base_url), "http://127.0.0.1:%d", proxy_port(proxy));
    client = http_client_new(&(struct http_client_options){0});

    send_one(&q);
    assert_int_equal(q.status, 200);
    send_one(&q);
    assert_int_equal(q.status, 502);
    assert_non_null(strstr(q.text, "may have been executed"));
    assert_int_equal(__atomic_load_n(&raw_requests, __ATOMIC_SEQ_CST), 2);
    send_one(&q); /* a new connection */
    assert_int_equal(q.status, 200);
    send_one(&get); /* harmless: sent again */
    assert_int_equal(get.status, 200);

    shutdown(raw_listener, SHUT_RDWR);
    close(raw_listener);
    close_all();
    pthread_join(t, NULL);
}
ON_LOOP(what_may_have_arrived_is_not_sent_again)

static void an_unreachable_upstream_is_a_502(void)
{
    BUF_AUTO struct buf err = BUF_INIT(256);
    struct request q = {.path = MESSAGES, .body = "{}"};
    struct proxy_options po = {.listen = "127.0.0.1:0", .upstream = "http://127.0.0.1:1/api"};

    memset(&up, 0, sizeof(up));
    assert_int_equal(proxy_start(&po, &proxy, &err), 0);
    snprintf(base_url, sizeof(base_url), "http://127.0.0.1:%d", proxy_port(proxy));
    client = http_client_new(&(struct http_client_options){0});
    send_one(&q);
    assert_int_equal(q.status, 502);
    assert_non_null(strstr(q.headers, "not_sent"));
    send_one(&q); /* and nothing is stuck */
    assert_int_equal(q.status, 502);
    close_all();
}
ON_LOOP(an_unreachable_upstream_is_a_502)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_hold_and_order_is_kept_test),
        cmocka_unit_test(majors_do_not_wait_for_each_other_test),
        cmocka_unit_test(a_deadline_fails_fast_test),
        cmocka_unit_test(whoever_hangs_up_is_withdrawn_test),
        cmocka_unit_test(a_429_is_waited_for_test),
        cmocka_unit_test(a_401_locks_and_unlocks_test),
        cmocka_unit_test(too_many_invalid_ones_stop_it_test),
        cmocka_unit_test(the_global_limit_holds_test),
        cmocka_unit_test(the_time_in_the_queue_is_told_test),
        cmocka_unit_test(what_is_not_the_api_test),
        cmocka_unit_test(one_key_is_sent_once_test),
        cmocka_unit_test(an_answer_that_never_came_is_reported_test),
        cmocka_unit_test(what_was_not_sent_may_be_sent_test),
        cmocka_unit_test(what_may_have_arrived_is_not_sent_again_test),
        cmocka_unit_test(an_unreachable_upstream_is_a_502_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
