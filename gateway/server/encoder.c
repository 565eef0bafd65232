/* The encoder table. A dispatch's frame is head + shared part; the head (WebSocket header, for zlib-stream a stored
 * block, and `{"s":N,`) is written on the stack for each session, nothing is allocated. Loop thread. */
#include "gateway/server/encoder.h"

#include "platform/base/check.h"
#include "platform/io/ws.h"
#include "platform/protocol/zlib_splice.h"

#include <errno.h>

#define SEQ_HEAD_BYTES   (5 + 20 + 1) /* {"s":N, */
#define FRAME_HEAD_BYTES 10
#define WS_FIN_TEXT      0x81
#define WS_FIN_BINARY    0x82

struct encoder {
    struct str encoding, compress; /* as in the query; compress may be empty */
    bool binary;
    struct ws_shared *(*share)(struct encoder_context *c, struct str tail);
    /* Writes what goes before the shared part; at most text.n + ZLIB_SPLICE_HEAD_BYTES. */
    size_t (*head)(bool first, struct str text, char *out);
    /* Writes a whole small message; at most text.n + ZLIB_SPLICE_STORED_BYTES. */
    size_t (*small)(bool first, struct str text, char *out);
};

static struct ws_shared *json_share(struct encoder_context *c, struct str tail)
{
    (void)c;
    return ws_shared_new(tail.p, tail.n);
}

static size_t json_copy(bool first, struct str text, char *out)
{
    (void)first;
    memcpy(out, text.p, text.n);
    return text.n;
}

static struct ws_shared *zlib_share(struct encoder_context *c, struct str tail)
{
    buf_clear(&c->scratch);
    if (zlib_splice_run(c->zlib, tail, &c->scratch) < 0)
        return NULL;
    return ws_shared_new(c->scratch.data, c->scratch.len);
}

static const struct encoder table[ENCODER_COUNT] = {
    [ENCODER_JSON] = {{"json", 4}, {NULL, 0}, false, json_share, json_copy, json_copy},
    [ENCODER_JSON_ZLIB] = {{"json", 4}, {"zlib-stream", 11}, true, zlib_share, zlib_splice_head, zlib_splice_stored},
};

void encoder_context_init(struct encoder_context *c)
{
    *c = (struct encoder_context){.zlib = zlib_splice_new()};
}

void encoder_context_done(struct encoder_context *c)
{
    zlib_splice_free(c->zlib);
    buf_done(&c->scratch);
    *c = (struct encoder_context){0};
}

int encoder_find(struct str encoding, struct str compress, enum encoder_kind *ret)
{
    struct str wanted = encoding.n ? encoding : STR("json");

    for (unsigned i = 0; i < ENCODER_COUNT; i++)
        if (str_eq(table[i].encoding, wanted) && str_eq(table[i].compress, compress)) {
            *ret = (enum encoder_kind)i;
            return 0;
        }
    return -EINVAL;
}

void encoder_names(enum encoder_kind kind, struct str *ret_encoding, struct str *ret_compress)
{
    *ret_encoding = table[kind].encoding;
    *ret_compress = table[kind].compress;
}

struct ws_shared *encoder_share(struct encoder_context *c, enum encoder_kind kind, struct str tail)
{
    return table[kind].share(c, tail);
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

static size_t seq_head(uint64_t seq, char out[SEQ_HEAD_BYTES])
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

int encoder_send(enum encoder_kind kind, bool *begun, struct ws_conn *ws, uint64_t seq, struct ws_shared *shared)
{
    const struct encoder *e = &table[kind];
    char text[SEQ_HEAD_BYTES], head[FRAME_HEAD_BYTES + SEQ_HEAD_BYTES + ZLIB_SPLICE_HEAD_BYTES];
    char payload[SEQ_HEAD_BYTES + ZLIB_SPLICE_HEAD_BYTES];
    size_t payload_len = e->head(!*begun, (struct str){text, seq_head(seq, text)}, payload);
    size_t n = frame_head(e->binary, payload_len + shared->len, head);

    memcpy(head + n, payload, payload_len);
    *begun = true;
    return ws_send_raw(ws, (struct str){head, n + payload_len}, shared);
}

int encoder_send_small(enum encoder_kind kind, bool *begun, struct ws_conn *ws, struct str json)
{
    const struct encoder *e = &table[kind];
    char frame[FRAME_HEAD_BYTES + ENCODER_SMALL_BYTES + ZLIB_SPLICE_STORED_BYTES];

    CHECK(json.n <= ENCODER_SMALL_BYTES);
    size_t payload_len = e->small(!*begun, json, frame + FRAME_HEAD_BYTES);
    char head[FRAME_HEAD_BYTES];
    size_t n = frame_head(e->binary, payload_len, head);
    memcpy(frame + FRAME_HEAD_BYTES - n, head, n);
    *begun = true;
    return ws_send_raw(ws, (struct str){frame + FRAME_HEAD_BYTES - n, n + payload_len}, NULL);
}
