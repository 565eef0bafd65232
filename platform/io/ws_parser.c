/* The WebSocket frame parser. No I/O. Holds bytes only while a message or control frame is incomplete: at most
 * payload_max and 125. */
#include "platform/io/ws_parser.h"

#include "platform/base/mem.h"
#include <endian.h>

#define CONTROL_MAX 125

struct ws_partial {
    struct buf message; /* fragments so far */
    struct buf control; /* a control frame in parts */
};

void ws_parser_init(struct ws_parser *p, const struct ws_parser_callbacks *cb, size_t payload_max, int payload_max_code)
{
    *p = (struct ws_parser){.cb = cb, .payload_max = payload_max, .payload_max_code = payload_max_code};
}

/* Where what came of a message is kept until the rest comes. */
static struct ws_partial *partial_get(struct ws_parser *p)
{
    if (p->partial)
        return p->partial;
    p->partial = MEM_NEW(struct ws_partial);
    buf_init(&p->partial->message, p->payload_max ? p->payload_max : 1);
    buf_init(&p->partial->control, CONTROL_MAX);
    return p->partial;
}

static void partial_free(struct ws_parser *p)
{
    if (!p->partial)
        return;
    buf_done(&p->partial->message);
    buf_done(&p->partial->control);
    mem_free(p->partial);
    p->partial = NULL;
}

void ws_parser_done(struct ws_parser *p)
{
    partial_free(p);
}

void ws_parser_stop(struct ws_parser *p)
{
    p->stopped = true;
}

static unsigned frame_opcode(const struct ws_parser *p)
{
    return p->header[0] & 0x0F;
}

static bool frame_fin(const struct ws_parser *p)
{
    return (p->header[0] & 0x80) != 0;
}

static bool is_control(unsigned opcode)
{
    return (opcode & 8) != 0;
}

/* Bytes of the header as far as its first two tell; the mask is always there. */
static unsigned header_need(const struct ws_parser *p)
{
    unsigned length = p->header_have < 2 ? 0 : p->header[1] & 0x7Fu;

    if (p->header_have < 2)
        return 2;
    return length == 126 ? 8 : length == 127 ? 14 : 6;
}

static uint64_t header_length(const struct ws_parser *p)
{
    uint64_t length = p->header[1] & 0x7F;
    uint16_t two;

    if (length == 126) {
        memcpy(&two, p->header + 2, 2);
        length = be16toh(two);
    } else if (length == 127) {
        memcpy(&length, p->header + 2, 8);
        length = be64toh(length);
    }
    return length;
}

/* What the first two bytes say already, so that nonsense is not waited for. */
static int check_start(const struct ws_parser *p)
{
    unsigned opcode = frame_opcode(p);

    if (p->header[0] & 0x70 || !(p->header[1] & 0x80)) /* no extension was agreed on; clients must mask */
        return 1002;
    if (is_control(opcode))
        return opcode > WS_PONG || !frame_fin(p) || (p->header[1] & 0x7F) > CONTROL_MAX ? 1002 : 0;
    if (opcode > WS_BINARY)
        return 1002;
    return (opcode == WS_CONTINUATION) == (p->message_opcode != 0) ? 0 : 1002;
}

static int begin_payload(struct ws_parser *p)
{
    p->left = header_length(p);
    if (p->left >> 63)
        return 1002;
    if (!is_control(frame_opcode(p))) {
        if (p->left > p->payload_max - (p->partial ? p->partial->message.len : 0))
            return p->payload_max_code;
        if (frame_opcode(p) != WS_CONTINUATION)
            p->message_opcode = (unsigned char)frame_opcode(p);
    }
    p->in_payload = true;
    p->mask_at = 0;
    return 0;
}

static int feed_header(struct ws_parser *p, struct str *data)
{
    while (data->n) {
        p->header[p->header_have++] = (unsigned char)*data->p;
        *data = (struct str){data->p + 1, data->n - 1};
        int code = p->header_have == 2 ? check_start(p) : 0;
        if (code)
            return code;
        if (p->header_have == header_need(p))
            return begin_payload(p);
    }
    return 0;
}

static void unmask(struct ws_parser *p, char *data, size_t n)
{
    const unsigned char *mask = p->header + p->header_have - 4;
    unsigned char turned[8];
    uint64_t wide, eight;
    size_t i = 0;

    for (unsigned k = 0; k < 8; k++)
        turned[k] = mask[(p->mask_at + k) & 3];
    memcpy(&wide, turned, 8);
    for (; i + 8 <= n; i += 8) {
        memcpy(&eight, data + i, 8);
        eight ^= wide;
        memcpy(data + i, &eight, 8);
    }
    for (; i < n; i++)
        data[i] = (char)(data[i] ^ turned[i & 7]);
    p->mask_at = (p->mask_at + (unsigned)(n & 3)) & 3;
}

static int end_message(struct ws_parser *p, struct str message)
{
    bool binary = p->message_opcode == WS_BINARY;

    p->message_opcode = 0;
    if (!binary && utf8_count(message) < 0)
        return 1007;
    p->cb->on_message(p, message, binary);
    return 0;
}

/* Codes a peer may send. Source: RFC 6455, section 7.4, and the registry it founds. */
static bool close_code_valid(int code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

static int end_close(struct ws_parser *p, struct str payload)
{
    int code = 1005;

    p->stopped = true;
    if (payload.n == 1)
        return 1002;
    if (payload.n >= 2) {
        code = (unsigned char)payload.p[0] << 8 | (unsigned char)payload.p[1];
        payload = (struct str){payload.p + 2, payload.n - 2};
        if (!close_code_valid(code))
            return 1002;
        if (utf8_count(payload) < 0)
            return 1007;
    }
    p->cb->on_close(p, code, payload);
    return 0;
}

static int end_control(struct ws_parser *p, struct str payload)
{
    switch (frame_opcode(p)) {
    case WS_CLOSE:
        return end_close(p, payload);
    case WS_PING:
        p->cb->on_ping(p, payload);
        return 0;
    default:
        return 0; /* pongs are not asked for */
    }
}

static struct buf *partial_of(struct ws_partial *partial, bool control)
{
    return control ? &partial->control : &partial->message;
}

/* The frame's payload has ended with `last`; `partial` holds what came before. Bytes that lie whole in the input are
 * not copied. */
static int end_frame(struct ws_parser *p, bool control, struct str last)
{
    struct buf *before = p->partial ? partial_of(p->partial, control) : NULL;
    struct str payload = last;

    p->in_payload = false;
    p->header_have = 0;
    if (before && before->len) {
        buf_add_str(before, last);
        if (buf_failed(before))
            return 1011; /* no memory */
        payload = buf_str(before);
    }
    int code = control ? end_control(p, payload) : end_message(p, payload);
    if (before)
        buf_done(before);
    if (p->partial && !p->partial->message.len && !p->partial->control.len)
        partial_free(p);
    return code;
}

static int feed_payload(struct ws_parser *p, char *data, size_t n)
{
    bool control = is_control(frame_opcode(p));
    struct str bytes = {data, n};

    unmask(p, data, n);
    p->left -= n;
    if (p->left == 0 && frame_fin(p))
        return end_frame(p, control, bytes);
    struct buf *before = partial_of(partial_get(p), control);
    buf_add_str(before, bytes);
    if (buf_failed(before))
        return 1011; /* no memory */
    if (p->left == 0) {
        p->in_payload = false;
        p->header_have = 0;
    }
    return 0;
}

int ws_parser_feed(struct ws_parser *p, char *data, size_t len)
{
    int code = 0;

    /* a frame without payload ends with its header: hence the second condition */
    while (!p->stopped && code == 0 && (len || (p->in_payload && p->left == 0))) {
        if (!p->in_payload) {
            struct str rest = {data, len};
            code = feed_header(p, &rest);
            data += len - rest.n;
            len = rest.n;
            continue;
        }
        size_t n = p->left < len ? (size_t)p->left : len;
        code = feed_payload(p, data, n);
        data += n;
        len -= n;
    }
    if (code)
        p->stopped = true;
    return code;
}
