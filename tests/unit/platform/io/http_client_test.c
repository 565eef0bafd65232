/* http_client.c against our own server, plain and TLS, and against servers that misbehave. */
#include "tests/support/cert.h"
#include "tests/support/on_loop.h"

#include "platform/base/clock.h"
#include "platform/base/mem.h"
#include "platform/io/http_client.h"
#include "platform/io/http_server.h"
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static struct http_listener *listener;
static struct http_client *client;
static char base[64], cert[64], key[64];
static int requests, at_once, at_once_max;
static bool by_curl; /* each test runs on both of the client's ways */

static void handler(struct http_request *req, struct http_response *res, void *arg)
{
    (void)arg;
    requests++;
    at_once_max = ++at_once > at_once_max ? at_once : at_once_max;
    res->status = 200;
    if (str_eq(req->path, STR("/slow")))
        co_sleep(400);
    if (str_eq(req->path, STR("/pause")))
        co_sleep(5);
    if (str_eq(req->path, STR("/status")))
        res->status = 418;
    if (str_eq(req->path, STR("/big"))) {
        memset(buf_reserve(&res->body, 200000), 'b', 200000);
        res->body.len += 200000;
    }
    http_response_header(res, "X-Method", "%s", http_method_name(req->method));
    http_response_header(res, "X-Agent", "%.*s", STR_ARG(http_request_header(req, "user-agent")));
    http_response_header(res, "X-Type", "[%.*s]", STR_ARG(http_request_header(req, "content-type")));
    http_response_header(res, "X-Mine", "%.*s", STR_ARG(http_request_header(req, "x-given")));
    buf_add_str(&res->body, req->body);
    at_once--;
}

static void serve(bool tls)
{
    BUF_AUTO struct buf err = BUF_INIT(256);
    struct http_listener_options o = {
        .listen = "127.0.0.1:0", .handler = handler, .tls_cert = tls ? cert : NULL, .tls_key = tls ? key : NULL};

    assert_int_equal(http_listener_start(&o, &listener, &err), 0);
    snprintf(base, sizeof(base), "http%s://127.0.0.1:%d", tls ? "s" : "", http_listener_port(listener));
    requests = at_once_max = 0;
}

static void on_stopped(void *arg)
{
    *(bool *)arg = true;
}

static void stop_serving(void)
{
    bool stopped = false;

    if (client)
        http_client_free(client);
    client = NULL;
    if (listener) {
        http_listener_stop(listener, 1000, on_stopped, &stopped);
        UNTIL(stopped);
    }
    listener = NULL;
    co_sleep(20);
}

static struct http_call_options call_to(const char *method, const char *path)
{
    static char url[128];

    snprintf(url, sizeof(url), "%s%s", base, path);
    return (struct http_call_options){.method = method, .url = url, .timeout_ms = 5000, .body_max = 1 << 20};
}

static void sends_and_reads_whole(void)
{
    static const char *const headers[] = {"X-Given: a b", "Content-Type: text/x", NULL};
    struct http_call_options o;
    struct http_result r = {0};

    serve(false);
    client = http_client_new(&(struct http_client_options){.user_agent = "tester/1", .curl_only = by_curl});
    o = call_to("PATCH", "/x");
    o.headers = headers;
    o.body = STR("zero\0and\r\nlines\0");
    assert_int_equal(http_call_await(client, &o, &r), 0);
    assert_int_equal(r.status, 200);
    assert_true(str_eq(buf_str(&r.body), o.body));
    assert_str(http_result_header(&r, "x-method"), "PATCH");
    assert_str(http_result_header(&r, "x-agent"), "tester/1");
    assert_str(http_result_header(&r, "x-type"), "[text/x]");
    assert_str(http_result_header(&r, "x-mine"), "a b");
    assert_null(http_result_header(&r, "x-min").p);
    http_result_done(&r);
    stop_serving();
}
ON_LOOP(sends_and_reads_whole)

static void speaks_every_method(void)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

    serve(false);
    client = http_client_new(&(struct http_client_options){.curl_only = by_curl});
    for (unsigned i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
        struct http_call_options o = call_to(methods[i], "/status");
        struct http_result r = {0};
        assert_int_equal(http_call_await(client, &o, &r), 0);
        assert_int_equal(r.status, 418);
        assert_str(http_result_header(&r, "x-method"), methods[i]);
        assert_str(http_result_header(&r, "x-type"), "[]");
        http_result_done(&r);
    }
    struct http_call_options o = call_to("HEAD", "/big");
    struct http_result r = {0};
    assert_int_equal(http_call_await(client, &o, &r), 0);
    assert_int_equal(r.body.len, 0);
    assert_str(http_result_header(&r, "content-length"), "200000");
    http_result_done(&r);
    stop_serving();
}
ON_LOOP(speaks_every_method)

static int error_for(struct http_call_options o, bool *ret_maybe_sent)
{
    struct http_result r = {0};
    int error = http_call_await(client, &o, &r);

    *ret_maybe_sent = r.maybe_sent;
    assert_int_equal(error, r.error);
    http_result_done(&r);
    return error;
}

static void checks_certificates(void)
{
    bool sent = true;

    cert_make(cert, key);
    serve(true);
    client = http_client_new(&(struct http_client_options){.ca_file = cert});
    assert_int_equal(error_for(call_to("GET", "/x"), &sent), 0);
    snprintf(base, sizeof(base), "https://localhost:%d", http_listener_port(listener));
    assert_int_equal(error_for(call_to("GET", "/x"), &sent), 0);
    /* the same server under a name that its certificate does not have */
    snprintf(base, sizeof(base), "https://127.0.0.2:%d", http_listener_port(listener));
    assert_int_not_equal(error_for(call_to("POST", "/x"), &sent), 0);
    assert_false(sent);
    http_client_free(client);
    client = http_client_new(&(struct http_client_options){.curl_only = by_curl});
    snprintf(base, sizeof(base), "https://127.0.0.1:%d", http_listener_port(listener));
    assert_int_equal(error_for(call_to("POST", "/x"), &sent), -EPROTO);
    assert_false(sent);
    assert_int_equal(requests, 2);
    stop_serving();
    cert_remove(cert, key);
}
ON_LOOP(checks_certificates)

static void tells_failures_apart(void)
{
    struct http_call_options o;
    bool sent = true;

    serve(false);
    client = http_client_new(&(struct http_client_options){.curl_only = by_curl});
    o = call_to("POST", "/slow");
    o.timeout_ms = 100;
    assert_int_equal(error_for(o, &sent), -ETIMEDOUT);
    assert_true(sent);
    o = call_to("GET", "/big");
    o.body_max = 1000;
    assert_int_equal(error_for(o, &sent), -EMSGSIZE);
    snprintf(base, sizeof(base), "http://127.0.0.1:1");
    assert_int_equal(error_for(call_to("POST", "/x"), &sent), -ECONNREFUSED);
    assert_false(sent);
    snprintf(base, sizeof(base), "http://[bad");
    assert_int_equal(error_for(call_to("POST", "/x"), &sent), -EPROTO);
    assert_false(sent);
    snprintf(base, sizeof(base), "file:///etc/passwd");
    assert_int_equal(error_for(call_to("GET", ""), &sent), -EPROTO);
    stop_serving();
}
ON_LOOP(tells_failures_apart)

/* --- calls that end early --- */

struct ended {
    int count, error;
    struct http_client *free_this;
    bool call_again;
};

static void on_ended(struct http_result *r, void *arg)
{
    struct ended *e = arg;

    e->count++;
    e->error = r->error;
    http_result_done(r);
    if (e->call_again) {
        struct http_call_options o = call_to("GET", "/x");
        e->call_again = false;
        http_call_start(client, &o, on_ended, e);
    }
    if (e->free_this)
        http_client_free(e->free_this);
    e->free_this = NULL;
}

static void cancels(void)
{
    struct ended first = {0}, second = {0};
    struct http_call_options o;

    serve(false);
    client = http_client_new(&(struct http_client_options){.curl_only = by_curl});
    o = call_to("POST", "/slow");
    struct http_call *call = http_call_start(client, &o, on_ended, &first);
    http_call_cancel(call); /* before anything was sent */
    assert_int_equal(first.count, 0);
    co_sleep(10);
    assert_int_equal(first.count, 1);
    assert_int_equal(first.error, -ECANCELED);
    assert_int_equal(requests, 0);
    call = http_call_start(client, &o, on_ended, &second);
    UNTIL(requests == 1);
    http_call_cancel(call);
    http_call_cancel(call);
    co_sleep(10);
    assert_int_equal(second.count, 1);
    assert_int_equal(second.error, -ECANCELED);
    stop_serving();
    assert_int_equal(first.count + second.count, 2);
}
ON_LOOP(cancels)

static void may_be_freed_between_a_cancel_and_its_end(void)
{
    struct ended canceled = {0}, running = {0};
    struct http_call_options o;

    serve(false);
    client = http_client_new(&(struct http_client_options){.curl_only = by_curl});
    o = call_to("POST", "/slow");
    struct http_call *call = http_call_start(client, &o, on_ended, &canceled);
    http_call_start(client, &o, on_ended, &running);
    http_call_cancel(call);
    http_client_free(client);
    client = NULL;
    assert_int_equal(canceled.count, 1);
    assert_int_equal(running.count, 1);
    co_sleep(20);
    assert_int_equal(canceled.count, 1);
    assert_int_equal(running.error, -ECANCELED);
    stop_serving();
}
ON_LOOP(may_be_freed_between_a_cancel_and_its_end)

static void may_be_freed_by_who_is_told(void)
{
    struct ended first = {0}, others = {0};
    struct http_call_options o;

    serve(false);
    client = http_client_new(&(struct http_client_options){.curl_only = by_curl});
    first.free_this = client;
    o = call_to("GET", "/pause");
    http_call_start(client, &o, on_ended, &first);
    for (int i = 0; i < 20; i++)
        http_call_start(client, &o, on_ended, &others);
    UNTIL(first.count == 1 && others.count == 20);
    client = NULL;
    stop_serving();
}
ON_LOOP(may_be_freed_by_who_is_told)

static void ends_calls_started_while_it_is_freed(void)
{
    struct ended e = {.call_again = true};
    struct http_call_options o;

    serve(false);
    client = http_client_new(&(struct http_client_options){.curl_only = by_curl});
    o = call_to("GET", "/slow");
    http_call_start(client, &o, on_ended, &e);
    http_client_free(client);
    assert_int_equal(e.count, 1);
    UNTIL(e.count == 2);
    assert_int_equal(e.error, -ECANCELED);
    client = NULL;
    stop_serving();
}
ON_LOOP(ends_calls_started_while_it_is_freed)

static void keeps_to_its_connections(void)
{
    struct ended e = {0};
    struct http_call_options o;

    serve(false);
    client = http_client_new(&(struct http_client_options){.connections_per_host_max = 4, .curl_only = by_curl});
    o = call_to("GET", "/pause");
    for (int i = 0; i < 200; i++)
        http_call_start(client, &o, on_ended, &e);
    UNTIL(e.count == 200);
    assert_int_equal(e.error, 0);
    assert_int_equal(requests, 200);
    assert_int_equal(at_once_max, 4);
    stop_serving();
}
ON_LOOP(keeps_to_its_connections)

static bool is_unwanted(void *arg)
{
    return *(bool *)arg;
}

/* A request that waits for a connection is asked after once more before it leaves. */
static void does_not_send_what_nobody_wants(void)
{
    struct ended first = {0}, second = {0}, third = {0};
    bool unwanted = false;

    serve(false);
    client = http_client_new(&(struct http_client_options){.connections_per_host_max = 1, .curl_only = by_curl});
    struct http_call_options o = call_to("POST", "/slow");
    http_call_start(client, &o, on_ended, &first);
    o.unwanted = is_unwanted;
    o.unwanted_arg = &unwanted;
    http_call_start(client, &o, on_ended, &second);
    o.unwanted = NULL;
    http_call_start(client, &o, on_ended, &third);
    unwanted = true;
    UNTIL(first.count == 1 && second.count == 1 && third.count == 1);
    assert_int_equal(first.error, 0);
    assert_int_equal(second.error, -ECANCELED);
    assert_int_equal(third.error, 0);
    assert_int_equal(requests, 2);
    stop_serving();
}
ON_LOOP(does_not_send_what_nobody_wants)

static void resolves_names(void)
{
    bool sent = false;

    serve(false);
    client = http_client_new(&(struct http_client_options){.curl_only = by_curl});
    snprintf(base, sizeof(base), "http://localhost:%d", http_listener_port(listener));
    assert_int_equal(error_for(call_to("GET", "/x"), &sent), 0);
    snprintf(base, sizeof(base), "http://no..name:%d", http_listener_port(listener));
    assert_int_not_equal(error_for(call_to("POST", "/x"), &sent), 0);
    assert_false(sent);
    assert_int_equal(requests, 1);
    stop_serving();
}
ON_LOOP(resolves_names)

static int error_with_reach(enum http_reach reach)
{
    bool sent = true;

    client = http_client_new(&(struct http_client_options){.reach = reach, .curl_only = by_curl});
    int error = error_for(call_to("POST", "/x"), &sent);
    assert_int_equal(sent, false);
    http_client_free(client);
    client = NULL;
    return error;
}

static void goes_only_where_it_may(void)
{
    serve(false);
    assert_int_equal(error_with_reach(HTTP_REACH_PUBLIC), -ECONNREFUSED);
    assert_int_equal(requests, 0);
    assert_int_equal(error_with_reach(HTTP_REACH_LOOPBACK), 0);
    snprintf(base, sizeof(base), "http://localhost:%d", http_listener_port(listener));
    assert_int_equal(error_with_reach(HTTP_REACH_PUBLIC), -ECONNREFUSED);
    assert_int_equal(requests, 1);
    stop_serving();
}
ON_LOOP(goes_only_where_it_may)

static void serves_many_calls(void)
{
    struct ended e = {0};
    int64_t began;

    serve(false);
    client = http_client_new(&(struct http_client_options){.curl_only = by_curl});
    began = clock_mono_ms();
    for (int round = 1; round <= 20; round++) {
        for (int i = 0; i < 100; i++) {
            struct http_call_options o = call_to("POST", "/x");
            o.body = STR("{\"content\":\"hello\"}");
            http_call_start(client, &o, on_ended, &e);
        }
        UNTIL(e.count == round * 100);
    }
    print_message("2000 POSTs, client and server in one process: %lld ms\n", (long long)(clock_mono_ms() - began));
    assert_int_equal(e.error, 0);
    stop_serving();
}
ON_LOOP(serves_many_calls)

/* --- a client on each of several threads, as the SDK's lanes have them --- */

#define LANES      3
#define LANE_CALLS 200

struct lane {
    pthread_t thread;
    char letter;
    int wrong, over;
};

static void lane_calls(void *arg)
{
    struct lane *lane = arg;
    struct http_client *mine = http_client_new(&(struct http_client_options){.curl_only = by_curl});
    char body[20000], url[96];

    memset(body, lane->letter, sizeof(body));
    snprintf(url, sizeof(url), "%s/x", base);
    struct http_call_options o = {
        .method = "POST", .url = url, .body = {body, sizeof(body)}, .timeout_ms = 60000, .body_max = 1 << 20};
    for (int i = 0; i < LANE_CALLS; i++) {
        struct http_result r = {0};
        lane->wrong += http_call_await(mine, &o, &r) != 0 || !str_eq(buf_str(&r.body), o.body);
        http_result_done(&r);
    }
    http_client_free(mine);
    loop_stop();
}

static void *lane_main(void *arg)
{
    struct lane *lane = arg;

    loop_init();
    if (co_spawn(lane_calls, lane) != 0)
        lane->wrong++;
    else
        loop_run();
    loop_done();
    co_done();
    __atomic_store_n(&lane->over, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void works_on_several_threads(void)
{
    struct lane lanes[LANES] = {{.letter = 'a'}, {.letter = 'b'}, {.letter = 'c'}};

    serve(false);
    for (int i = 0; i < LANES; i++)
        assert_int_equal(pthread_create(&lanes[i].thread, NULL, lane_main, &lanes[i]), 0);
    for (int i = 0; i < LANES; i++) {
        for (int left = 6000; left > 0 && !__atomic_load_n(&lanes[i].over, __ATOMIC_SEQ_CST); left--)
            co_sleep(10);
        assert_int_equal(__atomic_load_n(&lanes[i].over, __ATOMIC_SEQ_CST), 1);
        pthread_join(lanes[i].thread, NULL);
        assert_int_equal(lanes[i].wrong, 0);
    }
    assert_int_equal(requests, LANES * LANE_CALLS);
    stop_serving();
}
ON_LOOP(works_on_several_threads)

/* --- servers that misbehave: each connection reads a request and gets the next word --- */

static struct {
    int fd, port;
    const char *const *words; /* NULL ends them; an empty word: closed without an answer */
    int served, closed;
    pthread_t thread;
} rude;

static void rude_connection(int fd, const char *const **word)
{
    char request[4096];

    /* a kept connection goes on with the next word until one of them closes it */
    while (**word && read(fd, request, sizeof(request)) > 0) {
        const char *w = *(*word)++;
        rude.served++;
        if (!*w || write(fd, w, strlen(w)) < 0 || !strstr(w, "keep-alive"))
            break;
    }
    close(fd);
    __atomic_add_fetch(&rude.closed, 1, __ATOMIC_SEQ_CST);
}

static void *rude_main(void *arg)
{
    const char *const *word = rude.words;

    (void)arg;
    while (*word) {
        int fd = accept(rude.fd, NULL, NULL);
        if (fd < 0)
            break;
        rude_connection(fd, &word);
    }
    return NULL;
}

static void rude_serve(const char *const *words)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);

    rude.fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(rude.fd, (struct sockaddr *)&a, n), 0);
    assert_int_equal(listen(rude.fd, 8), 0);
    assert_int_equal(getsockname(rude.fd, (struct sockaddr *)&a, &n), 0);
    rude.port = ntohs(a.sin_port);
    rude.words = words;
    rude.served = rude.closed = 0;
    snprintf(base, sizeof(base), "http://127.0.0.1:%d", rude.port);
    assert_int_equal(pthread_create(&rude.thread, NULL, rude_main, NULL), 0);
    client = http_client_new(&(struct http_client_options){.curl_only = by_curl});
}

static void rude_stop(void)
{
    http_client_free(client);
    client = NULL;
    shutdown(rude.fd, SHUT_RDWR);
    close(rude.fd);
    pthread_join(rude.thread, NULL);
    co_sleep(20);
}

#define KEPT "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"

static void never_repeats_what_may_have_been_executed(void)
{
    static const char *const words[] = {KEPT, "", KEPT, NULL};
    bool sent = false;

    rude_serve(words);
    assert_int_equal(error_for(call_to("POST", "/1"), &sent), 0);
    /* the kept connection takes the request and ends */
    assert_int_equal(error_for(call_to("POST", "/2"), &sent), -EPROTO);
    assert_true(sent);
    assert_int_equal(error_for(call_to("POST", "/3"), &sent), 0);
    rude_stop();
    assert_int_equal(rude.served, 3);
}
ON_LOOP(never_repeats_what_may_have_been_executed)

static void repeats_a_get(void)
{
    static const char *const words[] = {KEPT, "", KEPT, NULL};
    bool sent = false;

    rude_serve(words);
    assert_int_equal(error_for(call_to("GET", "/1"), &sent), 0);
    assert_int_equal(error_for(call_to("GET", "/2"), &sent), 0);
    rude_stop();
    assert_int_equal(rude.served, 3);
}
ON_LOOP(repeats_a_get)

/* Nothing was said of an end, but it was seen before the next request. */
static void sends_nothing_on_what_has_ended(void)
{
    static const char *const words[] = {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", KEPT, NULL};
    bool sent = false;

    rude_serve(words);
    assert_int_equal(error_for(call_to("POST", "/1"), &sent), 0);
    UNTIL(__atomic_load_n(&rude.closed, __ATOMIC_SEQ_CST) == 1);
    co_sleep(1100); /* longer than a connection is trusted unseen */
    assert_int_equal(error_for(call_to("POST", "/2"), &sent), 0);
    rude_stop();
    assert_int_equal(rude.served, 2);
}
ON_LOOP(sends_nothing_on_what_has_ended)

static void reads_to_the_connections_end(void)
{
    static const char *const words[] = {"HTTP/1.1 200 OK\r\n\r\nto the end", NULL};
    struct http_result r = {0};

    rude_serve(words);
    struct http_call_options o = call_to("GET", "/");
    assert_int_equal(http_call_await(client, &o, &r), 0);
    assert_true(str_eq(buf_str(&r.body), STR("to the end")));
    http_result_done(&r);
    rude_stop();
}
ON_LOOP(reads_to_the_connections_end)

static void refuses_broken_answers(void)
{
    static const char *const words[] = {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
                                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                                        "rubbish\r\n\r\n", NULL};
    bool sent = false;

    rude_serve(words);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(error_for(call_to("POST", "/x"), &sent), -EPROTO);
        assert_true(sent);
    }
    rude_stop();
}
ON_LOOP(refuses_broken_answers)

/* Said, because a POST on a connection that is about to end would fail. */
#define ENDS "Connection: close\r\nContent-Length: 0\r\n\r\n"

static void takes_the_final_answers_headers(void)
{
    static const char *const words[] = {
        "HTTP/1.1 103 Early Hints\r\nX-A: early\r\n\r\nHTTP/1.1 201 Created\r\nX-A:final\r\n" ENDS,
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n" ENDS, NULL};
    struct http_call_options o;
    struct http_result r = {0};

    rude_serve(words);
    o = call_to("POST", "/x");
    assert_int_equal(http_call_await(client, &o, &r), 0);
    assert_int_equal(r.status, 201);
    assert_str(http_result_header(&r, "x-a"), "final");
    http_result_done(&r);
    assert_int_equal(http_call_await(client, &o, &r), 0);
    assert_int_equal(r.status, 302);
    http_result_done(&r);
    rude_stop();
}
ON_LOOP(takes_the_final_answers_headers)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_and_reads_whole_test),
        cmocka_unit_test(speaks_every_method_test),
        cmocka_unit_test(checks_certificates_test),
        cmocka_unit_test(tells_failures_apart_test),
        cmocka_unit_test(cancels_test),
        cmocka_unit_test(may_be_freed_between_a_cancel_and_its_end_test),
        cmocka_unit_test(may_be_freed_by_who_is_told_test),
        cmocka_unit_test(ends_calls_started_while_it_is_freed_test),
        cmocka_unit_test(keeps_to_its_connections_test),
        cmocka_unit_test(does_not_send_what_nobody_wants_test),
        cmocka_unit_test(resolves_names_test),
        cmocka_unit_test(goes_only_where_it_may_test),
        cmocka_unit_test(serves_many_calls_test),
        cmocka_unit_test(works_on_several_threads_test),
        cmocka_unit_test(never_repeats_what_may_have_been_executed_test),
        cmocka_unit_test(repeats_a_get_test),
        cmocka_unit_test(sends_nothing_on_what_has_ended_test),
        cmocka_unit_test(reads_to_the_connections_end_test),
        cmocka_unit_test(refuses_broken_answers_test),
        cmocka_unit_test(takes_the_final_answers_headers_test),
    };

    int failed = cmocka_run_group_tests_name("plain", tests, NULL, NULL);
    by_curl = true;
    return failed + cmocka_run_group_tests_name("curl", tests, NULL, NULL);
}
