/* The encoder table. A dispatch's frame is head + shared part; the head (WebSocket header, for a compressed stream a
 * stored block, and the sequence number) is written on the stack for each session, nothing is allocated. Loop thread.
 */
#include "gateway/server/encoder.h"

#include "platform/base/check.h"
#include "platform/base/limits.h"
#include "platform/base/metrics.h"
#include "platform/io/ws.h"
#include "platform/protocol/etf.h"
#include "platform/protocol/stream_context.h"
#include "platform/protocol/zlib_splice.h"
#include "platform/protocol/zstd_splice.h"

#include <errno.h>

#define SEQ_HEAD_BYTES   26 /* {"s":N, */
#define FRAME_HEAD_BYTES 10
#define WS_FIN_TEXT      0x81
#define WS_FIN_BINARY    0x82
#define ETF_GROWTH       3    /* at most: [] takes 6 bytes, as an element */
#define PACK_BYTES       1024 /* a dispatch this long is packed where payload compression is on, and READY */

METRIC_DEFINE(contexts, METRIC_GAUGE, "guildhall_gateway_compression_contexts",
              "Connections with a compressor of their own");

_Static_assert(SEQ_HEAD_BYTES >= ETF_HEAD_BYTES, "a head of either encoding has room");

struct encoding {
    struct str name;
    bool binary;
    size_t (*head)(uint64_t seq, char *out); /* at most SEQ_HEAD_BYTES */
    /* JSON to this encoding; NULL: it is JSON. */
    int (*tail)(struct str json, struct buf *out);
    int (*payload)(struct str json, struct buf *out);
    int (*read)(struct str data, struct buf *out_json);
};

struct compression {
    struct str name; /* empty: none */
    enum stream_kind own;
    /* The shared run of a tail; NULL: the tail itself. */
    int (*run)(struct encoder_context *c, struct str text, struct buf *out);
    /* Writes what goes before a run: at most text.n + STREAM_HEAD_BYTES. */
    size_t (*head)(bool first, struct str text, char *out);
    /* Writes a whole small message: at most text.n + STREAM_STORED_BYTES. */
    size_t (*stored)(bool first, struct str text, char *out);
};
#define STREAM_HEAD_BYTES   ZSTD_SPLICE_HEAD_BYTES
#define STREAM_STORED_BYTES ZLIB_SPLICE_STORED_BYTES
_Static_assert(STREAM_HEAD_BYTES >= ZLIB_SPLICE_HEAD_BYTES && STREAM_STORED_BYTES >= ZSTD_SPLICE_HEAD_BYTES,
               "the larger of both streams");

static size_t json_head(uint64_t seq, char *out)
{
    char digits[20];
    size_t at = sizeof digits;

    do
        digits[--at] = (char)('0' + seq % 10);
    while (seq /= 10);
    memcpy(out, "{\"s\":", 5);
    memcpy(out + 5, digits + at, sizeof digits - at);
    size_t n = 5 + sizeof digits - at;
    out[n++] = ',';
    return n;
}

static size_t copy(bool first, struct str text, char *out)
{
    (void)first;
    memcpy(out, text.p, text.n);
    return text.n;
}

static int zlib_run(struct encoder_context *c, struct str text, struct buf *out)
{
    return zlib_splice_run(c->zlib, text, out);
}

static int zstd_run(struct encoder_context *c, struct str text, struct buf *out)
{
    if (!c->zstd)
        c->zstd = zstd_splice_new();
    return zstd_splice_run(c->zstd, text, out);
}

static const struct encoding json = {{"json", 4}, false, json_head, NULL, NULL, NULL};
static const struct encoding etf = {{"etf", 3}, true, etf_head, etf_tail, etf_payload, etf_read};
static const struct compression none = {{NULL, 0}, STREAM_PACK, NULL, copy, copy};
static const struct compression zlib = {
    {"zlib-stream", 11}, STREAM_ZLIB, zlib_run, zlib_splice_head, zlib_splice_stored};
static const struct compression zstd = {{"zstd-stream", 11}, STREAM_ZSTD, zstd_run, zstd_splice_head, zstd_splice_head};

static const struct encoder {
    const struct encoding *encoding;
    const struct compression *compression;
} table[ENCODER_COUNT] = {
    [ENCODER_JSON] = {&json, &none}, [ENCODER_JSON_ZLIB] = {&json, &zlib}, [ENCODER_JSON_ZSTD] = {&json, &zstd},
    [ENCODER_ETF] = {&etf, &none},   [ENCODER_ETF_ZLIB] = {&etf, &zlib},   [ENCODER_ETF_ZSTD] = {&etf, &zstd},
};

static bool is_binary(const struct encoder *e)
{
    return e->encoding->binary || e->compression->run;
}

void encoder_context_init(struct encoder_context *c)
{
    *c = (struct encoder_context){.zlib = zlib_splice_new()};
}

void encoder_context_done(struct encoder_context *c)
{
    zlib_splice_free(c->zlib);
    zstd_splice_free(c->zstd);
    stream_context_free(c->packer);
    CHECK(c->own_count == 0);
    buf_done(&c->scratch);
    buf_done(&c->packed);
    *c = (struct encoder_context){0};
}

int encoder_find(struct str encoding, struct str compress, enum encoder_kind *ret)
{
    struct str wanted = encoding.n ? encoding : STR("json");

    for (unsigned i = 0; i < ENCODER_COUNT; i++)
        if (str_eq(table[i].encoding->name, wanted) && str_eq(table[i].compression->name, compress)) {
            *ret = (enum encoder_kind)i;
            return 0;
        }
    return -EINVAL;
}

void encoder_names(enum encoder_kind kind, struct str *ret_encoding, struct str *ret_compress)
{
    *ret_encoding = table[kind].encoding->name;
    *ret_compress = table[kind].compression->name;
}

struct ws_shared *encoder_share(struct encoder_context *c, enum encoder_kind kind, struct str tail)
{
    const struct encoder *e = &table[kind];

    if (e->encoding->tail) {
        buf_clear(&c->scratch);
        if (e->encoding->tail(tail, &c->scratch) < 0)
            return NULL;
        tail = buf_str(&c->scratch);
    }
    if (e->compression->run) {
        buf_clear(&c->packed);
        if (e->compression->run(c, tail, &c->packed) < 0)
            return NULL;
        tail = buf_str(&c->packed);
    }
    return ws_shared_new(tail.p, tail.n);
}

/* Source: RFC 6455, section 5.2. Servers do not mask. */
static size_t frame_head(bool binary, size_t payload, char *out)
{
    out[0] = (char)(binary ? WS_FIN_BINARY : WS_FIN_TEXT);
    if (payload < 126) {
        out[1] = (char)payload;
        return 2;
    }
    unsigned bytes = payload <= UINT16_MAX ? 2 : 8;
    out[1] = bytes == 2 ? 126 : 127;
    for (unsigned i = 0; i < bytes; i++)
        out[2 + i] = (char)((uint64_t)payload >> (8 * (bytes - 1 - i)));
    return 2 + bytes;
}

/* --- a connection's stream -------------------------------------------------------------------------------------------
 */
void encoder_stream_init(struct encoder_context *c, struct encoder_stream *s, enum encoder_kind kind, bool own)
{
    const struct compression *compression = table[kind].compression;

    *s = (struct encoder_stream){.kind = kind};
    if (!own || !compression->run || c->own_count == LIMIT_STREAM_CONTEXTS)
        return;
    s->own = stream_context_new(compression->own);
    c->own_count++;
    metric_add(&contexts, 1);
}

void encoder_stream_done(struct encoder_context *c, struct encoder_stream *s)
{
    if (!s->own)
        return;
    stream_context_free(s->own);
    s->own = NULL;
    c->own_count--;
    metric_add(&contexts, -1);
}

enum encoder_kind encoder_stream_form(const struct encoder_stream *s)
{
    if (!s->own)
        return s->kind;
    return table[s->kind].encoding == &etf ? ENCODER_ETF : ENCODER_JSON;
}

void encoder_stream_pack(struct encoder_stream *s, bool packs)
{
    s->packs = packs && s->kind == ENCODER_JSON;
}

/* What a compressor makes of both parts, as one binary frame. */
static int send_compressed(struct encoder_context *c, struct stream_context *compressor, struct ws_conn *ws,
                           struct str head, struct str rest)
{
    char bytes[FRAME_HEAD_BYTES];

    buf_clear(&c->packed);
    if (stream_context_write(compressor, head, rest, &c->packed) < 0)
        return -EMSGSIZE;
    struct ws_shared *whole = ws_shared_new(c->packed.data, c->packed.len);
    if (!whole)
        return -EMSGSIZE;
    int r = ws_send_raw(ws, (struct str){bytes, frame_head(true, whole->len, bytes)}, whole);
    ws_shared_unref(whole);
    return r;
}

static struct stream_context *packer(struct encoder_context *c)
{
    if (!c->packer)
        c->packer = stream_context_new(STREAM_PACK);
    return c->packer;
}

int encoder_send(struct encoder_context *c, struct encoder_stream *s, struct ws_conn *ws, uint64_t seq,
                 struct ws_shared *shared)
{
    const struct encoder *e = &table[s->kind];
    char text[SEQ_HEAD_BYTES], head[FRAME_HEAD_BYTES + SEQ_HEAD_BYTES + STREAM_HEAD_BYTES];
    char payload[SEQ_HEAD_BYTES + STREAM_HEAD_BYTES];
    struct str seq_head = {text, e->encoding->head(seq, text)};

    if (s->own || (s->packs && (seq == 1 || shared->len >= PACK_BYTES)))
        return send_compressed(c, s->own ? s->own : packer(c), ws, seq_head, (struct str){shared->data, shared->len});
    size_t payload_len = e->compression->head(!s->begun, seq_head, payload);
    size_t n = frame_head(is_binary(e), payload_len + shared->len, head);
    memcpy(head + n, payload, payload_len);
    s->begun = true;
    return ws_send_raw(ws, (struct str){head, n + payload_len}, shared);
}

int encoder_send_small(struct encoder_context *c, struct encoder_stream *s, struct ws_conn *ws, struct str text)
{
    const struct encoder *e = &table[s->kind];
    char frame[FRAME_HEAD_BYTES + ETF_GROWTH * ENCODER_SMALL_BYTES + STREAM_STORED_BYTES], head[FRAME_HEAD_BYTES];

    CHECK(text.n <= ENCODER_SMALL_BYTES);
    if (e->encoding->payload) {
        buf_clear(&c->scratch);
        CHECK(e->encoding->payload(text, &c->scratch) == 0);
        text = buf_str(&c->scratch);
        CHECK(text.n <= (size_t)ETF_GROWTH * ENCODER_SMALL_BYTES);
    }
    if (s->own)
        return send_compressed(c, s->own, ws, STR(""), text);
    size_t payload_len = e->compression->stored(!s->begun, text, frame + FRAME_HEAD_BYTES);
    size_t n = frame_head(is_binary(e), payload_len, head);
    memcpy(frame + FRAME_HEAD_BYTES - n, head, n);
    s->begun = true;
    return ws_send_raw(ws, (struct str){frame + FRAME_HEAD_BYTES - n, n + payload_len}, NULL);
}

int encoder_read(enum encoder_kind kind, struct str data, struct buf *out, struct str *ret_json)
{
    const struct encoding *e = table[kind].encoding;
    int r = e->read ? e->read(data, out) : 0;

    if (r == 0)
        *ret_json = e->read ? buf_str(out) : data;
    return r;
}
