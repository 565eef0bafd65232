/* HTTP by libcurl's multi interface driven by the loop: one poll handle for each of its sockets, one timer. Loop
 * thread. */
#include "platform/io/http_call.h"

#include "platform/base/check.h"
#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/io/loop.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <uv.h>

#define IDLE_HANDLES 64

struct http_curl {
    struct http_client *client;
    CURLM *multi;
    struct loop_timer *timer;
    char *ca_file;
    CURL *idle[IDLE_HANDLES]; /* after a call that went well: making one costs as much as the rest of a call */
    unsigned idle_count;
};

struct socket_watch {
    struct http_curl *curl;
    uv_poll_t poll;
    curl_socket_t fd;
};

static int error_of(CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_COULDNT_CONNECT:
        return -ECONNREFUSED;
    case CURLE_COULDNT_RESOLVE_HOST:
        return -EHOSTUNREACH;
    case CURLE_WRITE_ERROR:
        return -EMSGSIZE;
    default:
        return -EPROTO;
    }
}

/* Whether any byte of the request may have left: curl counts what it handed to the socket. */
static bool request_left(CURL *easy)
{
    long sent = 0;
    curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &sent);
    return sent > 0;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg);
static size_t on_header(char *data, size_t size, size_t count, void *arg);

static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
    const struct http_curl *h = arg;

    (void)purpose;
    if (!http_client_may_reach(h->client, &to->addr))
        return CURL_SOCKET_BAD;
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/* What is the same for all calls of a client, and stays with the handle. */
static void easy_prepare(struct http_curl *h, CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)LIMIT_HTTP_CLIENT_CONNECT_MS);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, h->client->user_agent);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    if (h->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, h->ca_file);
    if (h->client->reach != HTTP_REACH_ANY) {
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, h);
    }
}

/* Undoes what only the last call wanted. */
static void easy_forget(CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, NULL);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, NULL);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)-1);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, NULL);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, NULL);
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L); /* last: POSTFIELDS makes it a POST; also undoes NOBODY */
}

static CURL *easy_take(struct http_curl *h)
{
    if (h->idle_count > 0)
        return h->idle[--h->idle_count];
    CURL *easy = curl_easy_init();
    CHECK(easy);
    easy_prepare(h, easy);
    return easy;
}

static void easy_give_back(struct http_curl *h, CURL *easy, bool again)
{
    if (!again || h->client->closing || h->idle_count == IDLE_HANDLES) {
        curl_easy_cleanup(easy);
        return;
    }
    easy_forget(easy);
    h->idle[h->idle_count++] = easy;
}

/* Takes the call off its handle. */
static void call_detach(struct http_call *call, bool well)
{
    struct http_curl *h = call->client->curl;

    curl_multi_remove_handle(h->multi, call->curl.easy);
    easy_give_back(h, call->curl.easy, well);
    curl_slist_free_all(call->curl.headers);
    mem_free(call->curl.body);
    call->way = HTTP_CALL_NOWHERE;
}

void http_curl_drop(struct http_call *call)
{
    call->result.maybe_sent = request_left(call->curl.easy);
    call_detach(call, false);
}

static void call_finished(struct http_call *call, int error)
{
    long status = 0;

    if (error && call->curl.refused)
        error = -ECANCELED;
    if (error) {
        http_curl_drop(call);
    } else {
        curl_easy_getinfo(call->curl.easy, CURLINFO_RESPONSE_CODE, &status);
        call->result.status = (int)status;
        call_detach(call, true);
    }
    http_call_end(call, error);
}

static void take_finished(struct http_curl *h)
{
    int left;
    /* whoever is told may free the client */
    for (CURLMsg *m; !h->client->closing && (m = curl_multi_info_read(h->multi, &left));) {
        struct http_call *call = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &call);
        call_finished(call, error_of(m->data.result));
    }
}

/* --- the loop under curl --- */

static void on_timer(void *arg)
{
    struct http_curl *h = arg;
    int running;
    curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    take_finished(h);
}

static int curl_timer(CURLM *multi, long timeout_ms, void *arg)
{
    (void)multi;
    struct http_curl *h = arg;
    if (timeout_ms < 0)
        loop_timer_stop(h->timer);
    else
        loop_timer_start(h->timer, timeout_ms, 0);
    return 0;
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct socket_watch *w = poll->data;
    struct http_curl *h = w->curl;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0, running;
    flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
    flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
    curl_multi_socket_action(h->multi, w->fd, flags, &running);
    take_finished(h);
}

static void watch_closed(uv_handle_t *h)
{
    mem_free(h->data);
}

static int curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    (void)easy;
    struct http_curl *h = arg;
    struct socket_watch *w = socket_arg;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            curl_multi_assign(h->multi, fd, NULL);
            uv_poll_stop(&w->poll);
            uv_close((uv_handle_t *)&w->poll, watch_closed);
        }
        return 0;
    }
    if (!w) {
        w = MEM_NEW(struct socket_watch);
        w->curl = h;
        w->fd = fd;
        CHECK(uv_poll_init_socket(loop_uv(), &w->poll, fd) == 0);
        w->poll.data = w;
        curl_multi_assign(h->multi, fd, w);
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    uv_poll_start(&w->poll, events, on_socket);
    return 0;
}

/* --- the client --- */

static void curl_begin(void)
{
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == 0);
}

struct http_curl *http_curl_new(struct http_client *c, const char *ca_file)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, curl_begin);
    struct http_curl *h = MEM_NEW(struct http_curl);
    long connections = c->connections_max;
    h->client = c;
    h->multi = curl_multi_init();
    CHECK(h->multi);
    h->timer = loop_timer_new(on_timer, h);
    h->ca_file = ca_file ? mem_strdup(ca_file) : NULL;
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, curl_socket);
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, curl_timer);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    curl_multi_setopt(h->multi, CURLMOPT_MAX_HOST_CONNECTIONS, connections);
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS,
                      connections); /* else four for each call that runs at the moment */
    return h;
}

static void curl_free_late(void *arg)
{
    mem_free(arg);
}

void http_curl_free(struct http_curl *h)
{
    while (h->idle_count > 0)
        curl_easy_cleanup(h->idle[--h->idle_count]);
    curl_multi_cleanup(h->multi);
    loop_timer_free(h->timer);
    mem_free(h->ca_file);
    loop_post(curl_free_late, h); /* take_finished may run below us */
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct http_call *call = arg;
    buf_add(&call->result.body, data, size * count);
    return buf_failed(&call->result.body) ? 0 : size * count;
}

/* Names in lower case; a new status line (100, redirect) begins anew. */
static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct http_call *call = arg;
    struct buf *b = &call->result.headers;
    size_t n = size * count;
    if (n > 5 && strncmp(data, "HTTP/", 5) == 0) {
        buf_clear(b);
        return n;
    }
    char *colon = memchr(data, ':', n);
    if (!colon)
        return n;
    size_t at = b->len;
    buf_add(b, data, n);
    for (size_t i = at; !buf_failed(b) && i < at + (size_t)(colon - data); i++)
        if (b->data[i] >= 'A' && b->data[i] <= 'Z')
            b->data[i] = (char)(b->data[i] + 32);
    return buf_failed(b) ? 0 : n;
}

/* Called before a request is written to a connection. Curl would silently write it again on a new connection when a
 * kept one ended without an answer; but the other side may have acted on it already. */
static int on_begin(void *arg, char *peer, char *local, int peer_port, int local_port)
{
    struct http_call *call = arg;
    (void)peer, (void)local, (void)peer_port, (void)local_port;
    bool again = call->curl.began && !call->curl.repeatable;
    call->curl.refused = !call->curl.began && http_call_unwanted(call);
    call->curl.began = true;
    return again || call->curl.refused ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static void body_set(struct http_call *call, const struct http_call_options *o)
{
    bool has_body = o->body.n > 0;
    bool is_get = strcmp(o->method, "GET") == 0;
    if (has_body || strcmp(o->method, "POST") == 0 || strcmp(o->method, "PUT") == 0 ||
        strcmp(o->method, "PATCH") == 0) {
        call->curl.body = mem_zalloc(o->body.n + 1);
        if (has_body) /* bytes, not text: uploads hold NULs */
            memcpy(call->curl.body, o->body.p, o->body.n);
        curl_easy_setopt(call->curl.easy, CURLOPT_POSTFIELDS, call->curl.body);
        curl_easy_setopt(call->curl.easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)o->body.n);
    } else if (strcmp(o->method, "HEAD") == 0) {
        curl_easy_setopt(call->curl.easy, CURLOPT_NOBODY, 1L);
    }
    if (!is_get)
        curl_easy_setopt(call->curl.easy, CURLOPT_CUSTOMREQUEST, o->method);
}

static void headers_set(struct http_call *call, const char *const *headers)
{
    /* Curl would wait for a 100 before a longer body, and would name a form's type. */
    call->curl.headers = curl_slist_append(NULL, "Expect:");
    bool typed = false;
    for (; headers && *headers; headers++) {
        call->curl.headers = curl_slist_append(call->curl.headers, *headers);
        typed = typed || strncasecmp(*headers, "content-type:", 13) == 0;
    }
    if (!typed)
        call->curl.headers = curl_slist_append(call->curl.headers, "Content-Type:");
    curl_easy_setopt(call->curl.easy, CURLOPT_HTTPHEADER, call->curl.headers);
}

void http_curl_start(struct http_curl *h, struct http_call *call, const struct http_call_options *o)
{
    CURL *easy = easy_take(h);
    call->way = HTTP_CALL_CURL;
    call->curl.easy = easy;
    call->curl.repeatable = strcmp(o->method, "GET") == 0 || strcmp(o->method, "HEAD") == 0;
    curl_easy_setopt(easy, CURLOPT_URL, o->url);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)o->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    if (!call->curl.repeatable || call->unwanted) {
        curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_begin);
        curl_easy_setopt(easy, CURLOPT_PREREQDATA, call);
    }
    body_set(call, o);
    headers_set(call, o->headers);
    CHECK(curl_multi_add_handle(h->multi, easy) == CURLM_OK);
}
