/* HTTP client: libcurl's multi interface driven by the loop: one poll handle for each of its sockets, one timer. Loop
 * thread. Results are handed over in the turn in which curl finishes them, never inside http_call_start. Limits:
 * LIMIT_HTTP_CLIENT_*; how many calls run at once is up to the callers. */
#include "platform/io/http_client.h"

#include "platform/base/address.h"
#include "platform/base/check.h"
#include "platform/base/limits.h"
#include "platform/base/list.h"
#include "platform/base/mem.h"
#include "platform/io/co.h"
#include "platform/io/loop.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <uv.h>

#define IDLE_HANDLES 64

struct http_client {
    CURLM *multi;
    struct loop_timer *timer;
    struct list calls;
    char *ca_file, *user_agent;
    CURL *idle[IDLE_HANDLES]; /* after a call that went well: making one costs as much as the rest of a call */
    unsigned idle_count;
    enum http_reach reach;
    bool closing;
};

struct http_call {
    struct http_client *client;
    struct list link;
    CURL *easy;
    struct curl_slist *headers;
    char *body;
    struct http_result result;
    void (*done)(struct http_result *r, void *arg);
    void *arg;
    bool added, began;
    bool posted; /* a late end is on its way and needs this memory */
    bool ended;  /* done was called */
};

struct socket_watch {
    struct http_client *client;
    uv_poll_t poll;
    curl_socket_t fd;
};

/* --- results --- */

struct str http_result_header(const struct http_result *r, const char *lower_name)
{
    size_t n = strlen(lower_name);
    for (const char *p = r->headers.len ? r->headers.data : NULL; p && *p;) {
        const char *end = strstr(p, "\r\n");
        size_t line = end ? (size_t)(end - p) : strlen(p);
        if (line > n && p[n] == ':' && strncmp(p, lower_name, n) == 0) {
            const char *v = p + n + 1;
            while (v < p + line && *v == ' ')
                v++;
            return (struct str){v, (size_t)(p + line - v)};
        }
        p = end ? end + 2 : NULL;
    }
    return STR_NONE;
}

void http_result_done(struct http_result *r)
{
    buf_done(&r->headers);
    buf_done(&r->body);
}

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

/* The last moment: names are resolved by now, and what curl connects to is what was judged. */
static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
    const struct http_client *c = arg;
    enum address_scope scope = address_scope_of(&to->addr);

    (void)purpose;
    if (scope == ADDRESS_PRIVATE || (scope == ADDRESS_LOOPBACK && c->reach != HTTP_REACH_LOOPBACK))
        return CURL_SOCKET_BAD;
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/* What is the same for all calls of a client, and stays with the handle. */
static void easy_prepare(struct http_client *c, CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)LIMIT_HTTP_CLIENT_CONNECT_MS);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, c->user_agent);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    if (c->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, c->ca_file);
    if (c->reach != HTTP_REACH_ANY) {
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, c);
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

static CURL *easy_take(struct http_client *c)
{
    if (c->idle_count > 0)
        return c->idle[--c->idle_count];
    CURL *easy = curl_easy_init();
    CHECK(easy);
    easy_prepare(c, easy);
    return easy;
}

static void easy_give_back(struct http_client *c, CURL *easy, bool again)
{
    if (!again || c->closing || c->idle_count == IDLE_HANDLES) {
        curl_easy_cleanup(easy);
        return;
    }
    easy_forget(easy);
    c->idle[c->idle_count++] = easy;
}

static void call_free(struct http_call *call)
{
    list_remove(&call->link);
    easy_give_back(call->client, call->easy, call->result.error == 0);
    curl_slist_free_all(call->headers);
    mem_free(call->body);
    call->ended = true;
    if (!call->posted)
        mem_free(call);
}

static void call_end(struct http_call *call, int error)
{
    long status = 0;
    call->result.error = error;
    if (error) {
        call->result.maybe_sent = request_left(call->easy);
    } else {
        curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
        call->result.status = (int)status;
    }
    if (call->added)
        curl_multi_remove_handle(call->client->multi, call->easy);
    struct http_result result = call->result;
    void (*done)(struct http_result *, void *) = call->done;
    void *arg = call->arg;
    call_free(call);
    done(&result, arg);
}

static void take_finished(struct http_client *c)
{
    int left;
    /* whoever is told may free the client */
    for (CURLMsg *m; !c->closing && (m = curl_multi_info_read(c->multi, &left));) {
        struct http_call *call = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &call);
        call_end(call, error_of(m->data.result));
    }
}

/* --- the loop under curl --- */

static void on_timer(void *arg)
{
    struct http_client *c = arg;
    int running;
    curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    take_finished(c);
}

static int curl_timer(CURLM *multi, long timeout_ms, void *arg)
{
    (void)multi;
    struct http_client *c = arg;
    if (timeout_ms < 0)
        loop_timer_stop(c->timer);
    else
        loop_timer_start(c->timer, timeout_ms, 0);
    return 0;
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct socket_watch *w = poll->data;
    struct http_client *c = w->client;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0, running;
    flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
    flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
    curl_multi_socket_action(c->multi, w->fd, flags, &running);
    take_finished(c);
}

static void watch_closed(uv_handle_t *h)
{
    mem_free(h->data);
}

static int curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    (void)easy;
    struct http_client *c = arg;
    struct socket_watch *w = socket_arg;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            curl_multi_assign(c->multi, fd, NULL);
            uv_poll_stop(&w->poll);
            uv_close((uv_handle_t *)&w->poll, watch_closed);
        }
        return 0;
    }
    if (!w) {
        w = MEM_NEW(struct socket_watch);
        w->client = c;
        w->fd = fd;
        CHECK(uv_poll_init_socket(loop_uv(), &w->poll, fd) == 0);
        w->poll.data = w;
        curl_multi_assign(c->multi, fd, w);
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

struct http_client *http_client_new(const struct http_client_options *o)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, curl_begin);
    struct http_client *c = MEM_NEW(struct http_client);
    long connections = o->connections_per_host_max ? o->connections_per_host_max : LIMIT_HTTP_CLIENT_CONNECTIONS;
    c->multi = curl_multi_init();
    CHECK(c->multi);
    c->timer = loop_timer_new(on_timer, c);
    list_init(&c->calls);
    c->reach = o->reach;
    c->ca_file = o->ca_file ? mem_strdup(o->ca_file) : NULL;
    c->user_agent = mem_strdup(o->user_agent ? o->user_agent : "guildhall/" GUILDHALL_VERSION);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, curl_socket);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, curl_timer);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    curl_multi_setopt(c->multi, CURLMOPT_MAX_HOST_CONNECTIONS, connections);
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS,
                      connections); /* else four for each call that runs at the moment */
    return c;
}

static void end_late(void *arg)
{
    struct http_call *call = arg;
    call->posted = false;
    if (call->ended)
        mem_free(call);
    else
        call_end(call, -ECANCELED);
}

static void call_end_later(struct http_call *call)
{
    call->posted = true;
    loop_post(end_late, call);
}

static void client_free_late(void *arg)
{
    mem_free(arg);
}

void http_client_free(struct http_client *c)
{
    c->closing = true;
    while (!list_empty(&c->calls))
        call_end(LIST_ENTRY(list_first(&c->calls), struct http_call, link), -ECANCELED);
    while (c->idle_count > 0)
        curl_easy_cleanup(c->idle[--c->idle_count]);
    curl_multi_cleanup(c->multi);
    loop_timer_free(c->timer);
    mem_free(c->ca_file);
    mem_free(c->user_agent);
    loop_post(client_free_late, c);
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
    bool again = call->began;
    call->began = true;
    return again ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static void body_set(struct http_call *call, const struct http_call_options *o)
{
    bool has_body = o->body.n > 0;
    bool is_get = strcmp(o->method, "GET") == 0;
    if (has_body || strcmp(o->method, "POST") == 0 || strcmp(o->method, "PUT") == 0 ||
        strcmp(o->method, "PATCH") == 0) {
        call->body = mem_zalloc(o->body.n + 1);
        if (has_body) /* bytes, not text: uploads hold NULs */
            memcpy(call->body, o->body.p, o->body.n);
        curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, call->body);
        curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)o->body.n);
    } else if (strcmp(o->method, "HEAD") == 0) {
        curl_easy_setopt(call->easy, CURLOPT_NOBODY, 1L);
    }
    if (!is_get)
        curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, o->method);
}

static void headers_set(struct http_call *call, const char *const *headers)
{
    /* Curl would wait for a 100 before a longer body, and would name a form's type. */
    call->headers = curl_slist_append(NULL, "Expect:");
    bool typed = false;
    for (; headers && *headers; headers++) {
        call->headers = curl_slist_append(call->headers, *headers);
        typed = typed || strncasecmp(*headers, "content-type:", 13) == 0;
    }
    if (!typed)
        call->headers = curl_slist_append(call->headers, "Content-Type:");
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
}

struct http_call *http_call_start(struct http_client *c, const struct http_call_options *o,
                                  void (*done)(struct http_result *r, void *arg), void *arg)
{
    struct http_call *call = MEM_NEW(struct http_call);
    call->client = c;
    call->done = done;
    call->arg = arg;
    buf_init(&call->result.body, o->body_max);
    buf_init(&call->result.headers, LIMIT_HTTP_CLIENT_HEAD_BYTES);
    call->easy = easy_take(c);
    list_init(&call->link);
    if (c->closing) {
        call_end_later(call);
        return call;
    }
    list_append(&c->calls, &call->link);
    curl_easy_setopt(call->easy, CURLOPT_URL, o->url);
    curl_easy_setopt(call->easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, (long)o->timeout_ms);
    curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(call->easy, CURLOPT_HEADERDATA, call);
    if (strcmp(o->method, "GET") != 0 && strcmp(o->method, "HEAD") != 0) {
        curl_easy_setopt(call->easy, CURLOPT_PREREQFUNCTION, on_begin);
        curl_easy_setopt(call->easy, CURLOPT_PREREQDATA, call);
    }
    body_set(call, o);
    headers_set(call, o->headers);
    CHECK(curl_multi_add_handle(c->multi, call->easy) == CURLM_OK);
    call->added = true;
    return call;
}

void http_call_cancel(struct http_call *call)
{
    if (!call->added)
        return;
    curl_multi_remove_handle(call->client->multi, call->easy);
    call->added = false;
    call_end_later(call);
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
