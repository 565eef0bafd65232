/* WebSocket, the server's side. Loop thread only. What is queued in a turn leaves at its end in one write; while the
 * socket is full everything later waits in one batch, at most queue_bytes_max. A connection at rest holds no buffers.
 */
#include "platform/io/ws.h"

#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/list.h"
#include "platform/base/mem.h"
#include "platform/io/http_conn.h"
#include "platform/io/loop.h"
#include "platform/io/ws_parser.h"
#include <endian.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <sys/socket.h>

/* One client library drops what arrives together with the 101 answer: what follows waits so long. */
#define HOLD_MS     3

#define BATCH_PARTS 4
#define BATCH_HEADS 96

/* A batch of so much is put together and leaves in one send: copying costs less than the kernel's walk over a list
 * (measured on a fan-out to 1,000 sockets: a frame cost 1.21 bare sends as a list of two, 1.09 joined). */
#define JOIN_BYTES 65536
#define JOIN_PARTS 64
/* The spare batch keeps what it grew to up to here. */
#define SPARE_HEADS 4096

/* A run of own bytes (in the batch's heads), then shared ones. */
struct ws_part {
    struct ws_shared *shared; /* or NULL */
    uint32_t head, head_len;
};

/* What leaves in one write. Its memory lives until the socket has taken it, whatever becomes of the connection. */
struct ws_batch {
    struct ws_conn *conn; /* NULL: the connection is gone */
    size_t bytes;
    int64_t since_ms; /* in flight */
    uint32_t part_count, part_cap, heads_len, heads_cap;
    struct ws_part *parts; /* parts_own, until it grows */
    char *heads;           /* heads_own, until it grows */
    struct ws_part parts_own[BATCH_PARTS];
    char heads_own[BATCH_HEADS];
};

struct ws_conn {
    /* what sending touches stands together */
    struct stream *stream;     /* NULL = over */
    struct ws_batch *out;      /* queued, not given to the socket */
    struct ws_batch *inflight; /* the socket has not taken all of it */
    struct list link;          /* on held or dirty, or on none */
    uint64_t bytes_sent;
    const struct ws_options *o; /* without its arg */
    int fd;                     /* while it is not held; -1: only through the stream */
    bool held, close_sent;
    int over_code;
    void *arg;
    struct ws_parser parser;
    int64_t held_until_ms;
    struct buf *early; /* bytes that came before the upgrade handler returned; NULL: none wait */
    struct loop_timer *close_timer;
};

#define OPTIONS_MAX 16

static struct list dirty = LIST_INIT(dirty); /* something to flush at the turn's end */
static struct list held = LIST_INIT(held);   /* accepted a moment ago */
static struct loop_timer *hold_timer;
static uint64_t bytes_sent_total;
static struct ws_batch *spare;

/* The last batch that was put together. The next one often differs in its heads only. */
static struct {
    struct ws_part parts[JOIN_PARTS]; /* with references */
    uint32_t part_count;
    char data[JOIN_BYTES];
} joined;

/* ---- shared bytes ---- */

struct ws_shared *ws_shared_new(const void *data, size_t len)
{
    struct ws_shared *s = mem_alloc(sizeof(*s) + len);

    s->refs = 1;
    s->len = len;
    if (len && data)
        memcpy(s->data, data, len);
    return s;
}

struct ws_shared *ws_shared_ref(struct ws_shared *s)
{
    s->refs++;
    return s;
}

void ws_shared_unref(struct ws_shared *s)
{
    if (s && --s->refs == 0)
        mem_free(s);
}

/* ---- batches ---- */

static struct ws_batch *batch_new(struct ws_conn *c)
{
    struct ws_batch *b = spare;

    spare = NULL;
    if (!b) {
        b = mem_alloc(sizeof(*b));
        b->part_cap = BATCH_PARTS;
        b->heads_cap = BATCH_HEADS;
        b->parts = b->parts_own;
        b->heads = b->heads_own;
    }
    b->conn = c;
    b->bytes = 0;
    b->part_count = b->heads_len = 0;
    return b;
}

static void batch_free(struct ws_batch *b)
{
    if (!b)
        return;
    for (uint32_t i = 0; i < b->part_count; i++)
        ws_shared_unref(b->parts[i].shared);
    if (!spare && b->part_cap <= JOIN_PARTS && b->heads_cap <= SPARE_HEADS) {
        spare = b;
        return;
    }
    if (b->parts != b->parts_own)
        mem_free(b->parts);
    if (b->heads != b->heads_own)
        mem_free(b->heads);
    mem_free(b);
}

/* Room for n more bytes of heads; lengths fit 32 bits because the queue's limit does. */
static char *batch_heads(struct ws_batch *b, size_t n)
{
    CHECK(n < UINT32_MAX / 4 && b->heads_len < UINT32_MAX / 4);
    if (b->heads_cap - b->heads_len < n) {
        uint32_t cap = b->heads_cap * 2 + (uint32_t)n;
        char *more = mem_realloc(b->heads == b->heads_own ? NULL : b->heads, cap);
        if (b->heads == b->heads_own)
            memcpy(more, b->heads_own, b->heads_len);
        b->heads = more;
        b->heads_cap = cap;
    }
    return b->heads + b->heads_len;
}

static struct ws_part *batch_part(struct ws_batch *b)
{
    /* own bytes go on where the part before has no shared ones behind its own */
    if (b->part_count && !b->parts[b->part_count - 1].shared)
        return &b->parts[b->part_count - 1];
    if (b->part_count == b->part_cap) {
        size_t size = b->part_cap * 2 * sizeof(struct ws_part);
        struct ws_part *more = mem_realloc(b->parts == b->parts_own ? NULL : b->parts, size);
        if (b->parts == b->parts_own)
            memcpy(more, b->parts_own, sizeof(b->parts_own));
        b->parts = more;
        b->part_cap *= 2;
    }
    b->parts[b->part_count] = (struct ws_part){.head = b->heads_len};
    return &b->parts[b->part_count++];
}

static void batch_add(struct ws_batch *b, struct str frame_head, struct str head, struct ws_shared *shared)
{
    char *to = batch_heads(b, frame_head.n + head.n);
    struct ws_part *part = batch_part(b);

    memcpy(to, frame_head.p, frame_head.n);
    if (head.n)
        memcpy(to + frame_head.n, head.p, head.n);
    b->heads_len += (uint32_t)(frame_head.n + head.n);
    part->head_len += (uint32_t)(frame_head.n + head.n);
    part->shared = shared ? ws_shared_ref(shared) : NULL;
    b->bytes += frame_head.n + head.n + (shared ? shared->len : 0);
}

/* The batch as a list of runs, in memory that the next call uses again. */
static uv_buf_t *batch_bufs(const struct ws_batch *b, unsigned *ret_count)
{
    static uv_buf_t *bufs;
    static unsigned cap;
    unsigned n = 0;

    if (!bufs || cap < 2 * b->part_count) {
        cap = 2 * b->part_count + 8;
        bufs = mem_realloc(bufs, cap * sizeof(*bufs));
    }
    for (uint32_t i = 0; i < b->part_count; i++) {
        const struct ws_part *part = &b->parts[i];
        if (part->head_len)
            bufs[n++] = uv_buf_init(b->heads + part->head, part->head_len);
        if (part->shared && part->shared->len)
            bufs[n++] = (uv_buf_t){.base = part->shared->data, .len = part->shared->len};
    }
    *ret_count = n;
    return bufs;
}

/* ---- one run of bytes for many sockets ---- */

static void join_forget(void)
{
    for (uint32_t i = 0; i < joined.part_count; i++)
        ws_shared_unref(joined.parts[i].shared);
    joined.part_count = 0;
}

static bool join_same(const struct ws_batch *b)
{
    if (b->part_count != joined.part_count)
        return false;
    for (uint32_t i = 0; i < b->part_count; i++)
        if (b->parts[i].shared != joined.parts[i].shared || b->parts[i].head_len != joined.parts[i].head_len)
            return false;
    return true;
}

static void join_remember(const struct ws_batch *b)
{
    join_forget();
    if (b->part_count > JOIN_PARTS)
        return;
    for (uint32_t i = 0; i < b->part_count; i++) {
        joined.parts[i] = b->parts[i];
        if (b->parts[i].shared)
            ws_shared_ref(b->parts[i].shared);
    }
    joined.part_count = b->part_count;
}

/* The batch's bytes in one run; valid until the next call. */
static const char *join(const struct ws_batch *b)
{
    bool same = join_same(b);
    char *to = joined.data;

    if (b->part_count == 1 && !b->parts[0].shared)
        return b->heads + b->parts[0].head;
    for (uint32_t i = 0; i < b->part_count; i++) {
        const struct ws_part *part = &b->parts[i];
        size_t shared_len = part->shared ? part->shared->len : 0;
        memcpy(to, b->heads + part->head, part->head_len);
        to += part->head_len;
        if (!same && shared_len)
            memcpy(to, part->shared->data, shared_len);
        to += shared_len;
    }
    if (!same)
        join_remember(b);
    return joined.data;
}

/* ---- the end ---- */

static void early_free(struct ws_conn *c)
{
    if (c->early)
        buf_done(c->early);
    mem_free(c->early);
    c->early = NULL;
}

static void deliver_over(void *arg)
{
    struct ws_conn *c = arg;

    c->o->cb.on_close(c, c->over_code, c->arg);
    ws_parser_done(&c->parser);
    early_free(c);
    mem_free(c);
}

static void flush(struct ws_conn *c);

static void hold_timer_check(void)
{
    if (!list_empty(&held) || !hold_timer)
        return;
    loop_timer_free(hold_timer);
    hold_timer = NULL;
}

static void conn_over(struct ws_conn *c, int code, void (*how)(struct stream *))
{
    if (!c->stream)
        return;
    if (how == stream_finish && c->out) {
        flush(c); /* what is queued goes with the stream */
        if (!c->stream)
            return;
    }
    struct stream *s = c->stream;
    c->stream = NULL;
    c->over_code = code;
    ws_parser_stop(&c->parser);
    list_remove(&c->link);
    hold_timer_check();
    loop_timer_free(c->close_timer);
    c->close_timer = NULL;
    if (c->inflight)
        c->inflight->conn = NULL;
    c->inflight = NULL;
    batch_free(c->out);
    c->out = NULL;
    how(s);
    loop_post(deliver_over, c);
}

/* ---- writing ---- */

static void on_written(void *arg, int error)
{
    struct ws_batch *b = arg;
    struct ws_conn *c = b->conn;

    if (c && c->inflight == b)
        c->inflight = NULL;
    else
        c = NULL;
    batch_free(b);
    if (!c)
        return;
    if (error) {
        conn_over(c, 1006, stream_abort);
        return;
    }
    if (c->out)
        flush(c);
    if (c->stream && !c->inflight && c->o->cb.on_drain && !c->close_sent)
        c->o->cb.on_drain(c, c->arg);
}

/* Bytes taken, -errno. */
static ssize_t send_now(int fd, const char *data, size_t len)
{
    ssize_t n = send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

/* What send_now left over. A batch in flight before it is forgotten: its memory looks after itself. */
static void flush_rest(struct ws_conn *c, struct ws_batch *b, size_t sent)
{
    unsigned count;
    uv_buf_t *bufs = batch_bufs(b, &count);

    for (; count && sent >= bufs->len; count--)
        sent -= bufs++->len;
    bufs->base += sent;
    bufs->len -= sent;
    int r = stream_write(c->stream, bufs, count, on_written, b);
    if (r == 1) {
        if (c->inflight)
            c->inflight->conn = NULL;
        c->inflight = b;
        b->since_ms = clock_mono_ms();
        return;
    }
    batch_free(b);
    if (r < 0)
        conn_over(c, 1006, stream_abort);
}

/* Gives what is queued to the socket. */
static void flush(struct ws_conn *c)
{
    struct ws_batch *b = c->out;
    ssize_t sent = 0;

    c->out = NULL;
    c->bytes_sent += b->bytes;
    bytes_sent_total += b->bytes;
    if (b->bytes <= JOIN_BYTES && c->fd >= 0 && !c->inflight)
        sent = send_now(c->fd, join(b), b->bytes);
    if (sent >= 0 && (size_t)sent < b->bytes) {
        flush_rest(c, b, (size_t)sent);
        return;
    }
    batch_free(b);
    if (sent < 0)
        conn_over(c, 1006, stream_abort);
}

static void flush_now(struct ws_conn *c)
{
    list_remove(&c->link);
    if (c->out && !c->inflight)
        flush(c);
}

void ws_flush(struct ws_conn *c)
{
    if (c->stream && !c->held)
        flush_now(c);
}

static void flush_dirty(void *arg)
{
    struct list *first;

    (void)arg;
    while ((first = list_first(&dirty)) != NULL)
        flush_now(LIST_ENTRY(first, struct ws_conn, link));
    join_forget();
}

static void mark_dirty(struct ws_conn *c)
{
    if (!c->held && !c->inflight && list_empty(&c->link))
        list_append(&dirty, &c->link);
}

static void release_held(void *arg)
{
    int64_t now = clock_mono_ms();
    struct list *first;

    (void)arg;
    while ((first = list_first(&held)) != NULL) {
        struct ws_conn *c = LIST_ENTRY(first, struct ws_conn, link);
        if (c->held_until_ms > now) {
            loop_timer_start(hold_timer, c->held_until_ms - now, 0);
            return;
        }
        list_remove(first);
        c->held = false;
        if (stream_unsent_bytes(c->stream) == 0) /* the 101 has left */
            c->fd = stream_descriptor(c->stream);
        mark_dirty(c); /* this turn's end is still to come */
    }
    hold_timer_check();
}

static void hold(struct ws_conn *c)
{
    c->held = true;
    c->held_until_ms = clock_mono_ms() + HOLD_MS;
    list_append(&held, &c->link);
    if (!hold_timer) {
        hold_timer = loop_timer_new(release_held, NULL);
        loop_timer_start(hold_timer, HOLD_MS, 0);
    }
}

static void enqueue(struct ws_conn *c, struct str frame_head, struct str head, struct ws_shared *shared)
{
    if (!c->out)
        c->out = batch_new(c);
    batch_add(c->out, frame_head, head, shared);
    mark_dirty(c);
}

/* False: the queue is full, or the connection is over. */
static bool make_room(struct ws_conn *c, size_t bytes)
{
    size_t queued = ws_queued_bytes(c);

    if (queued == 0 || queued + bytes <= c->o->queue_bytes_max)
        return true;
    if (c->out && !c->inflight && !c->held) {
        flush(c); /* the socket may take it: one write more, no session lost */
        if (!c->stream)
            return false;
        queued = ws_queued_bytes(c);
    }
    if (queued == 0 || queued + bytes <= c->o->queue_bytes_max)
        return true;
    return false;
}

/* RFC 6455, section 5.2: a whole frame's header, unmasked. */
static struct str frame_head(char out[10], unsigned opcode, size_t len)
{
    uint16_t two = htobe16((uint16_t)len);
    uint64_t eight = htobe64(len);

    out[0] = (char)(0x80 | opcode);
    if (len < 126) {
        out[1] = (char)len;
        return (struct str){out, 2};
    }
    if (len <= UINT16_MAX) {
        out[1] = 126;
        memcpy(out + 2, &two, 2);
        return (struct str){out, 4};
    }
    out[1] = 127;
    memcpy(out + 2, &eight, 8);
    return (struct str){out, 10};
}

static int send_frame(struct ws_conn *c, struct str before, struct str head, struct ws_shared *shared)
{
    if (!c->stream || c->close_sent)
        return -EPIPE;
    if (!make_room(c, before.n + head.n + (shared ? shared->len : 0)))
        return c->stream ? -ENOBUFS : -EPIPE;
    enqueue(c, before, head, shared);
    return 0;
}

int ws_send(struct ws_conn *c, bool binary, struct str head, struct ws_shared *shared)
{
    char bytes[10];
    size_t len = head.n + (shared ? shared->len : 0);

    return send_frame(c, frame_head(bytes, binary ? WS_BINARY : WS_TEXT, len), head, shared);
}

int ws_send_raw(struct ws_conn *c, struct str head, struct ws_shared *shared)
{
    return send_frame(c, STR(""), head, shared);
}

static void queue_close_frame(struct ws_conn *c, int code, const char *reason)
{
    char payload[125], bytes[10];
    size_t n = 0;

    if (c->close_sent)
        return;
    if (code && code != 1005) {
        payload[0] = (char)(code >> 8);
        payload[1] = (char)code;
        n = 2 + (reason ? strnlen(reason, sizeof(payload) - 2) : 0);
        if (n > 2)
            memcpy(payload + 2, reason, n - 2);
    }
    enqueue(c, frame_head(bytes, WS_CLOSE, n), (struct str){payload, n}, NULL);
    c->close_sent = true;
}

static void on_close_timeout(void *arg)
{
    conn_over(arg, 1006, stream_abort);
}

void ws_close(struct ws_conn *c, int code, const char *reason)
{
    if (!c->stream || c->close_sent)
        return;
    queue_close_frame(c, code, reason);
    c->close_timer = loop_timer_new(on_close_timeout, c);
    loop_timer_start(c->close_timer, c->o->close_timeout_ms, 0);
}

void ws_cut(struct ws_conn *c, int code, const char *reason)
{
    if (!c->stream || c->close_sent)
        return;
    batch_free(c->out); /* whole frames */
    c->out = NULL;
    ws_close(c, code, reason);
}

int64_t ws_blocked_since_ms(const struct ws_conn *c)
{
    return c->inflight ? c->inflight->since_ms : 0;
}

void ws_abort(struct ws_conn *c)
{
    conn_over(c, 1006, stream_abort);
}

void ws_drop(struct ws_conn *c, bool reset)
{
    conn_over(c, 1006, reset ? stream_reset : stream_finish);
}

/* ---- reading ---- */

static struct ws_conn *conn_of(struct ws_parser *p)
{
    return (struct ws_conn *)(void *)((char *)p - offsetof(struct ws_conn, parser));
}

static void on_message(struct ws_parser *p, struct str data, bool binary)
{
    struct ws_conn *c = conn_of(p);

    if (!c->close_sent)
        c->o->cb.on_message(c, data, binary, c->arg);
}

static void on_ping(struct ws_parser *p, struct str payload)
{
    struct ws_conn *c = conn_of(p);
    char bytes[10];

    send_frame(c, frame_head(bytes, WS_PONG, payload.n), payload, NULL);
}

static void on_peer_close(struct ws_parser *p, int code, struct str reason)
{
    struct ws_conn *c = conn_of(p);

    (void)reason;
    queue_close_frame(c, code, NULL);
    conn_over(c, code, stream_finish);
}

static const struct ws_parser_callbacks parser_callbacks = {on_message, on_ping, on_peer_close};

static void feed(struct ws_conn *c, char *data, size_t len)
{
    int code = ws_parser_feed(&c->parser, data, len);

    if (code && c->stream) {
        queue_close_frame(c, code, NULL);
        conn_over(c, code, stream_finish);
    }
}

static void feed_early(void *arg)
{
    struct ws_conn *c = arg;
    struct buf early = *c->early;

    mem_free(c->early);
    c->early = NULL;
    if (c->stream)
        feed(c, early.data, early.len);
    buf_done(&early);
}

static void on_read(struct stream *s, char *data, size_t len, void *owner)
{
    struct ws_conn *c = owner;

    (void)s;
    if (c->early)
        buf_add(c->early, data, len);
    else
        feed(c, data, len);
}

static void on_end(struct stream *s, int error, void *owner)
{
    (void)s;
    conn_over(owner, 1006, error ? stream_abort : stream_finish);
}

static const struct stream_callbacks stream_callbacks = {on_read, on_end};

/* ---- the handshake ---- */

/* RFC 6455, section 4.2.2: the key with a fixed text behind it, hashed. */
static void accept_token(struct str key, char out[32])
{
    static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char text[24 + sizeof(magic)], hash[SHA_DIGEST_LENGTH];

    CHECK(key.n == 24);
    memcpy(text, key.p, 24);
    memcpy(text + 24, magic, sizeof(magic) - 1);
    SHA1(text, 24 + sizeof(magic) - 1, hash);
    EVP_EncodeBlock((unsigned char *)out, hash, sizeof(hash));
}

/* 16 bytes in base64. */
static bool key_valid(struct str key)
{
    unsigned char bytes[18];

    return key.n == 24 && key.p[22] == '=' && key.p[23] == '=' &&
           EVP_DecodeBlock(bytes, (const unsigned char *)key.p, 24) == 18;
}

static void free_101(void *arg, int error)
{
    (void)error; /* the stream's end is told to the connection */
    mem_free(arg);
}

static int send_101(struct stream *s, struct str key)
{
    char token[32];
    size_t size = 160;
    char *text = mem_alloc(size);

    accept_token(key, token);
    int n = snprintf(text, size,
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Accept: %s\r\n\r\n",
                     token);
    uv_buf_t buf = uv_buf_init(text, (unsigned)n);
    int r = stream_write(s, &buf, 1, free_101, text);
    if (r != 1)
        mem_free(text);
    return r;
}

static bool options_equal(const struct ws_options *a, const struct ws_options *b)
{
    return a->cb.on_message == b->cb.on_message && a->cb.on_close == b->cb.on_close &&
           a->cb.on_drain == b->cb.on_drain && a->payload_max == b->payload_max &&
           a->payload_max_code == b->payload_max_code && a->queue_bytes_max == b->queue_bytes_max &&
           a->close_timeout_ms == b->close_timeout_ms;
}

/* A process has few kinds of connections: what all of a kind have in common is kept once. */
static const struct ws_options *options_kept(const struct ws_options *o)
{
    static struct ws_options kept[OPTIONS_MAX];
    static unsigned count;
    unsigned i = 0;

    while (i < count && !options_equal(&kept[i], o))
        i++;
    CHECK(i < OPTIONS_MAX);
    if (i == count)
        kept[count++] = *o;
    return &kept[i];
}

struct ws_conn *ws_accept(struct http_request *req, const struct ws_options *o)
{
    struct str key = http_request_header(req, "Sec-WebSocket-Key"), rest;

    if (!http_conn_stream(req->conn) || !key_valid(key) ||
        !str_eq(http_request_header(req, "Sec-WebSocket-Version"), STR("13")))
        return NULL;
    struct ws_conn *c = MEM_NEW(struct ws_conn);
    c->o = options_kept(o);
    c->arg = o->arg;
    c->fd = -1;
    list_init(&c->link);
    ws_parser_init(&c->parser, &parser_callbacks, o->payload_max, o->payload_max_code);
    c->stream = http_conn_take_stream(req->conn, &rest);
    stream_set_owner(c->stream, &stream_callbacks, c);
    loop_on_turn_end(flush_dirty, NULL);
    int r = send_101(c->stream, key);
    if (rest.n) {
        c->early = MEM_NEW(struct buf);
        buf_add_str(c->early, rest);
        loop_post(feed_early, c);
    }
    hold(c);
    if (r < 0)
        conn_over(c, 1006, stream_abort);
    return c;
}

/* ---- what it says of itself ---- */

size_t ws_queued_bytes(const struct ws_conn *c)
{
    return (c->out ? c->out->bytes : 0) + (c->inflight && c->stream ? stream_unsent_bytes(c->stream) : 0);
}

uint64_t ws_sent_bytes_total(void)
{
    return bytes_sent_total;
}

uint64_t ws_bytes_sent(const struct ws_conn *c)
{
    return c->bytes_sent;
}

void *ws_arg(const struct ws_conn *c)
{
    return c->arg;
}

void ws_set_arg(struct ws_conn *c, void *arg)
{
    c->arg = arg;
}

const char *ws_peer(const struct ws_conn *c)
{
    static char peer[64];

    peer[0] = 0;
    if (c->stream)
        stream_peer(c->stream, peer);
    return peer;
}
