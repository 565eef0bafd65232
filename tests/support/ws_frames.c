/* A WebSocket client's frames for the socket tests. */
#include "tests/support/ws_frames.h"

#include "tests/support/net.h"

void ws_frame_add(struct buf *b, unsigned first, struct str payload)
{
    static const char mask[4] = {0x12, (char)0x83, 0x00, (char)0xFE};

    buf_addc(b, (char)first);
    if (payload.n < 126) {
        buf_addc(b, (char)(0x80 | payload.n));
    } else if (payload.n < 65536) {
        buf_addc(b, (char)(0x80 | 126));
        buf_addc(b, (char)(payload.n >> 8));
        buf_addc(b, (char)payload.n);
    } else {
        buf_addc(b, (char)(0x80 | 127));
        for (int shift = 56; shift >= 0; shift -= 8)
            buf_addc(b, (char)((uint64_t)payload.n >> shift));
    }
    buf_add(b, mask, 4);
    for (size_t i = 0; i < payload.n; i++)
        buf_addc(b, (char)(payload.p[i] ^ mask[i & 3]));
}

bool ws_frame_take(struct buf *b, unsigned *ret_first, struct buf *payload)
{
    const unsigned char *p = (const unsigned char *)b->data;
    size_t head = 2, n;

    if (b->len < 2)
        return false;
    n = p[1];
    if (n >= 126)
        head = n == 126 ? 4 : 10;
    if (b->len < head)
        return false;
    if (head > 2) {
        n = 0;
        for (size_t i = 2; i < head; i++)
            n = n << 8 | p[i];
    }
    if (b->len < head + n)
        return false;
    *ret_first = p[0];
    buf_clear(payload);
    buf_add(payload, p + head, n);
    buf_consume(b, head + n);
    return true;
}

bool ws_client_handshake(int fd, struct buf *ahead)
{
    struct net_answer a = {0};

    net_send(fd, STR("GET /gateway?v=10 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
    /* the key and its answer are the example of RFC 6455, section 1.3 */
    bool ok = net_read_answer(fd, ahead, true, &a) && a.status == 101 &&
              str_eq(net_answer_header(&a, "Sec-WebSocket-Accept"), STR("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    net_answer_done(&a);
    return ok;
}

bool ws_client_frame(int fd, struct buf *ahead, unsigned *ret_first, struct buf *payload)
{
    while (!ws_frame_take(ahead, ret_first, payload))
        if (!net_read(fd, ahead, ahead->len + 1))
            return false;
    return true;
}
