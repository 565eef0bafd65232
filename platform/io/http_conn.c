/* HTTP connections. Loop thread only; a handler runs on a coroutine of its own, one request of a connection at a time.
 * Limits: LIMIT_HTTP_PIPELINE_BYTES are read ahead, then reading pauses. */
#include "platform/io/http_conn.h"

#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/io/co.h"
#include "platform/io/http_message.h"
#include "platform/io/loop.h"
#include <errno.h>
#include <unistd.h>

#define FILE_CHUNK_BYTES ((size_t)256 << 10)

METRIC_DEFINE(refused_total, METRIC_COUNTER, "guildhall_http_refused_total",
              "Requests refused before a handler saw them (framing, limits, timeouts).");

struct http_conn {
    struct http_listener *l; /* NULL once the listener is gone */
    struct stream *stream;   /* NULL once the socket is gone or handed over */
    struct http_reader reader;
    struct buf ahead; /* read, not parsed: the request before is being handled */
    struct str rest;  /* during an upgrade: the bytes behind the request */
    struct list link;
    int64_t since_ms;
    size_t unsent_then; /* when it went on WRITING */
    unsigned refs;      /* the stream's, each exchange's, each posted call's */
    enum http_conn_state state;
    char peer[48]; /* of the first request on: asking for it is a call to the kernel */
    bool feeding, ended, paused, last;
};

/* One request and its answer. Lives until the answer's memory is not needed any more. */
struct exchange {
    struct http_request req;
    struct http_response res;
    struct http_conn *conn;
    struct buf body, head;
    bool keep_alive, http_1_0, answered;
    struct co *waiter; /* of a file's chunk */
    int write_error;
};

static void conn_unref(struct http_conn *c)
{
    if (--c->refs > 0)
        return;
    list_remove(&c->link);
    http_reader_done(&c->reader);
    buf_done(&c->ahead);
    if (c->l)
        http_listener_conn_gone(c->l);
    mem_free(c);
}

static void conn_set_state(struct http_conn *c, enum http_conn_state state)
{
    c->state = state;
    list_remove(&c->link);
    if (!c->l)
        return;
    c->since_ms = clock_mono_ms();
    c->unsent_then = c->stream ? stream_unsent_bytes(c->stream) : 0;
    list_append(&c->l->conns[state], &c->link);
}

/* The connection's last reference may go here. */
static void conn_drop_stream(struct http_conn *c, void (*how)(struct stream *))
{
    struct stream *s = c->stream;

    if (!s)
        return;
    c->stream = NULL;
    c->ended = true;
    conn_set_state(c, HTTP_CONN_HANDLING);
    if (how)
        how(s);
    conn_unref(c);
}

struct stream *http_conn_stream(const struct http_conn *c)
{
    return c->stream;
}

static void exchange_free(struct exchange *ex)
{
    struct http_conn *c = ex->conn;

    http_reader_body_freed(ex->body.len);
    arena_done(&ex->req.arena);
    buf_done(&ex->body);
    buf_done(&ex->head);
    buf_done(&ex->res.head);
    buf_done(&ex->res.body);
    if (ex->res.file_fd >= 0)
        close(ex->res.file_fd);
    mem_free(ex);
    conn_unref(c);
}

/* ---- answering ---- */

static void conn_continue(void *arg);

/* The answer has left: on to the next request, or the end. */
static void conn_answered(struct http_conn *c, bool keep_alive)
{
    if (!c->stream)
        return;
    bool more = c->feeding || c->ahead.len;
    if (!keep_alive || c->last || (c->ended && !more)) {
        conn_drop_stream(c, stream_finish);
        return;
    }
    conn_set_state(c, HTTP_CONN_IDLE);
    if (c->paused) {
        c->paused = false;
        stream_resume(c->stream);
    }
    /* not from here: this may be a handler's stack, and a pipeline of a thousand would nest a thousand deep */
    if (c->ahead.len && !c->feeding) {
        c->refs++;
        loop_post(conn_continue, c);
    }
}

static void on_answer_written(void *arg, int error)
{
    struct exchange *ex = arg;
    struct http_conn *c = ex->conn;

    if (error)
        conn_drop_stream(c, stream_abort);
    else
        conn_answered(c, ex->keep_alive);
    exchange_free(ex);
}

static bool exchange_has_body(const struct exchange *ex)
{
    return ex->req.method != HTTP_METHOD_HEAD && ex->res.status != 204 && ex->res.status != 304 &&
           ex->res.status >= 200;
}

static void on_chunk_written(void *arg, int error)
{
    struct exchange *ex = arg;

    ex->write_error = error;
    co_resume(ex->waiter);
}

/* Writes and waits until the memory is free again. On a coroutine. */
static int write_await(struct exchange *ex, uv_buf_t buf)
{
    struct http_conn *c = ex->conn;

    if (!c->stream)
        return -EPIPE;
    ex->waiter = co_self();
    conn_set_state(c, HTTP_CONN_WRITING);
    int r = stream_write(c->stream, &buf, 1, on_chunk_written, ex);
    if (r <= 0)
        return r;
    co_suspend();
    return ex->write_error;
}

struct file_chunk {
    int fd;
    char *data;
    size_t want;
    ssize_t got;
};

static void read_chunk(void *arg)
{
    struct file_chunk *f = arg;

    do
        f->got = read(f->fd, f->data, f->want);
    while (f->got < 0 && errno == EINTR);
}

/* Chunk by chunk, each read on the thread pool, so that neither memory nor the loop suffers. */
static int write_file(struct exchange *ex)
{
    MEM_AUTO char *data = mem_alloc(FILE_CHUNK_BYTES);
    int64_t left = ex->res.file_bytes;
    int r = 0;

    while (left > 0 && r == 0) {
        struct file_chunk f = {ex->res.file_fd, data, FILE_CHUNK_BYTES, 0};
        if ((int64_t)f.want > left)
            f.want = (size_t)left;
        co_work(read_chunk, &f);
        if (f.got <= 0)
            return -EIO; /* shorter than promised: the length is out, only a cut can tell */
        r = write_await(ex, uv_buf_init(data, (unsigned)f.got));
        left -= f.got;
    }
    return r;
}

static void answer_with_file(struct exchange *ex)
{
    struct http_conn *c = ex->conn;
    int r = write_await(ex, uv_buf_init(ex->head.data, (unsigned)ex->head.len));

    if (r == 0)
        r = write_file(ex);
    if (r < 0)
        conn_drop_stream(c, stream_abort);
    else
        conn_answered(c, ex->keep_alive);
    exchange_free(ex);
}

/* Consumes the exchange. On the handler's coroutine, or on the loop when there is no file. */
static void answer(struct exchange *ex)
{
    struct http_conn *c = ex->conn;

    if (!c->stream) {
        exchange_free(ex);
        return;
    }
    if (ex->res.status < 200 || ex->res.status > 599 || buf_failed(&ex->res.body) || buf_failed(&ex->res.head)) {
        buf_clear(&ex->res.body);
        buf_clear(&ex->res.head);
        ex->res.status = 500;
        buf_adds(&ex->res.body, "{\"message\":\"500: Internal Server Error\",\"code\":0}");
    }
    ex->keep_alive = ex->keep_alive && !c->last;
    http_head_write(&ex->head, &ex->res, &(struct http_head_options){c->l->o.via, ex->keep_alive, ex->http_1_0});
    if (ex->res.file_fd >= 0 && exchange_has_body(ex)) {
        answer_with_file(ex);
        return;
    }
    uv_buf_t bufs[2] = {uv_buf_init(ex->head.data, (unsigned)ex->head.len),
                        uv_buf_init(ex->res.body.data, (unsigned)ex->res.body.len)};
    int r = stream_write(c->stream, bufs, exchange_has_body(ex) && ex->res.body.len ? 2 : 1, on_answer_written, ex);
    if (r == 1)
        conn_set_state(c, HTTP_CONN_WRITING);
    else
        on_answer_written(ex, r);
}

static void on_refusal_written(void *arg, int error)
{
    (void)error;
    mem_free(arg);
}

/* Answers what no handler saw, then ends the connection: what follows cannot be told apart any more. */
static void conn_refuse(struct http_conn *c, int status)
{
    struct http_response res = {.status = status, .file_fd = -1};
    BUF_AUTO struct buf head = BUF_INIT(0);

    metric_add(&refused_total, 1);
    if (status == 413)
        buf_adds(&res.body, "{\"message\":\"Request entity too large\",\"code\":40005}");
    else
        buf_addf(&res.body, "{\"message\":\"%d: %s\",\"code\":0}", status, http_status_text(status));
    if (status == 426)
        http_response_header(&res, "Upgrade", "websocket");
    http_head_write(&head, &res, &(struct http_head_options){c->l ? c->l->o.via : NULL, false, false});
    buf_add_str(&head, buf_str(&res.body));
    uv_buf_t buf = uv_buf_init(head.data, (unsigned)head.len);
    char *kept = buf_steal(&head, NULL);
    if (stream_write(c->stream, &buf, 1, on_refusal_written, kept) != 1)
        mem_free(kept);
    buf_done(&res.body);
    buf_done(&res.head);
    conn_drop_stream(c, stream_finish);
}

/* ---- handling ---- */

static void handle(void *arg)
{
    struct exchange *ex = arg;

    ex->conn->l->o.handler(&ex->req, &ex->res, ex->conn->l->o.arg);
    answer(ex);
}

static struct exchange *exchange_new(struct http_conn *c)
{
    struct exchange *ex = MEM_NEW(struct exchange);

    ex->conn = c;
    c->refs++;
    ex->keep_alive = c->reader.keep_alive;
    ex->http_1_0 = c->reader.http_1_0;
    ex->res.file_fd = -1;
    ex->req.conn = c;
    ex->req.tls = stream_is_tls(c->stream);
    if (!c->peer[0])
        stream_peer(c->stream, c->peer);
    memcpy(ex->req.peer, c->peer, sizeof(c->peer));
    return ex;
}

static void upgrade(struct http_conn *c, struct exchange *ex, struct str rest)
{
    int status = 426;

    if (c->l->o.upgrade) {
        c->rest = rest;
        status = c->l->o.upgrade(&ex->req, c->l->o.arg);
        c->rest = STR_NONE;
        CHECK_MSG(status || !c->stream, "an upgrade handler returned 0 without ws_accept");
    }
    if (c->stream)
        conn_refuse(c, status);
    exchange_free(ex);
}

/* A request is whole. rest: what was read behind it. */
static void conn_dispatch(struct http_conn *c, struct str rest)
{
    struct exchange *ex = exchange_new(c);
    bool to_websocket = c->reader.upgrade;

    http_reader_take(&c->reader, &ex->req, &ex->body);
    conn_set_state(c, HTTP_CONN_HANDLING);
    if (to_websocket) {
        upgrade(c, ex, rest);
    } else if (co_spawn(handle, ex) < 0) {
        ex->res.status = 503;
        http_response_header(&ex->res, "Retry-After", "1");
        buf_adds(&ex->res.body, "{\"message\":\"503: Service Unavailable\",\"code\":0}");
        answer(ex);
    }
}

static void send_continue(struct http_conn *c)
{
    static char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    uv_buf_t buf = uv_buf_init(text, sizeof(text) - 1);

    c->reader.continue_due = false;
    if (stream_write(c->stream, &buf, 1, NULL, NULL) < 0)
        conn_drop_stream(c, stream_abort);
}

static bool conn_may_read(const struct http_conn *c)
{
    return c->stream && (c->state == HTTP_CONN_IDLE || c->state == HTTP_CONN_READING);
}

/* The caller holds a reference. */
static void conn_feed(struct http_conn *c, struct str data)
{
    c->feeding = true;
    while (data.n && conn_may_read(c)) {
        size_t used;
        int r = http_reader_feed(&c->reader, data.p, data.n, &used);
        data = (struct str){data.p + used, data.n - used};
        if (r < 0) {
            conn_refuse(c, -r);
        } else if (r == 1) {
            conn_dispatch(c, data);
        } else if (data.n) {
            conn_refuse(c, 400); /* the parser stopped without saying why */
        } else {
            if (c->reader.started && c->state == HTTP_CONN_IDLE)
                conn_set_state(c, HTTP_CONN_READING);
            if (c->reader.continue_due)
                send_continue(c);
        }
    }
    c->feeding = false;
    if (data.n && c->stream)
        buf_add_str(&c->ahead, data);
    else if (c->ended && conn_may_read(c))
        conn_drop_stream(c, stream_finish);
}

static void conn_continue(void *arg)
{
    struct http_conn *c = arg;
    size_t len = c->ahead.len;

    if (len && conn_may_read(c)) {
        MEM_AUTO char *data = buf_steal(&c->ahead, NULL);
        conn_feed(c, (struct str){data, len});
    }
    conn_unref(c);
}

/* ---- what the stream says ---- */

static void on_read(struct stream *s, char *data, size_t len, void *owner)
{
    struct http_conn *c = owner;

    (void)s;
    c->refs++;
    /* behind what waits already, so that nothing overtakes */
    if (conn_may_read(c) && c->ahead.len == 0)
        conn_feed(c, (struct str){data, len});
    else
        buf_add(&c->ahead, data, len);
    if (c->stream && c->ahead.len > LIMIT_HTTP_PIPELINE_BYTES && !c->paused) {
        c->paused = true;
        stream_pause(c->stream);
    }
    conn_unref(c);
}

static void on_end(struct stream *s, int error, void *owner)
{
    struct http_conn *c = owner;

    (void)s;
    c->ended = true;
    if (error)
        conn_drop_stream(c, stream_abort);
    else if (conn_may_read(c) && c->ahead.len == 0)
        conn_drop_stream(c, stream_finish);
    /* else: who has ended only its sending side still gets its answers */
}

static const struct stream_callbacks callbacks = {on_read, on_end};

bool http_request_gone(const struct http_request *r)
{
    return r->conn->ended;
}

void http_request_cut(struct http_request *r, bool reset)
{
    conn_drop_stream(r->conn, reset ? stream_reset : stream_finish);
}

/* ---- what the listener says ---- */

struct http_conn *http_conn_of(struct list *link)
{
    return LIST_ENTRY(link, struct http_conn, link);
}

int64_t http_conn_since_ms(const struct http_conn *c)
{
    return c->since_ms;
}

void http_conn_start(struct http_listener *l, struct stream *s)
{
    struct http_conn *c = MEM_NEW(struct http_conn);

    c->l = l;
    l->conn_count++;
    c->stream = s;
    c->refs = 1;
    list_init(&c->link);
    buf_init(&c->ahead, (size_t)LIMIT_HTTP_PIPELINE_BYTES + ((size_t)1 << 20));
    http_reader_init(&c->reader, l->o.body_max);
    stream_set_owner(s, &callbacks, c);
    conn_set_state(c, HTTP_CONN_IDLE);
}

void http_conn_timed_out(struct http_conn *c)
{
    switch (c->state) {
    case HTTP_CONN_READING:
        conn_refuse(c, 408);
        break;
    case HTTP_CONN_WRITING:
        if (stream_unsent_bytes(c->stream) != c->unsent_then)
            conn_set_state(c, HTTP_CONN_WRITING);
        else
            conn_drop_stream(c, stream_abort);
        break;
    default:
        conn_drop_stream(c, stream_finish);
    }
}

void http_conn_drain(struct http_conn *c)
{
    c->last = true;
    if (c->state == HTTP_CONN_IDLE && c->ahead.len == 0)
        conn_drop_stream(c, stream_finish);
}

void http_conn_detach(struct http_conn *c)
{
    struct http_listener *l = c->l;

    c->refs++;
    conn_drop_stream(c, stream_abort);
    list_remove(&c->link);
    c->l = NULL;
    http_listener_conn_gone(l);
    conn_unref(c);
}

struct stream *http_conn_take_stream(struct http_conn *c, struct str *ret_rest)
{
    struct stream *s = c->stream;

    CHECK(s && c->state == HTTP_CONN_HANDLING);
    *ret_rest = c->rest;
    conn_drop_stream(c, NULL);
    return s;
}
