/* The WebSocket frame parser: what comes out must not depend on how the bytes were cut, messages stay below the limit,
 * texts are UTF-8. The first byte is the size of the pieces. */
#include "tests/fuzz/fuzz.h"

#include "platform/base/check.h"
#include "platform/base/mem.h"
#include "platform/io/ws_parser.h"

#define PAYLOAD_MAX 400

static struct buf *out;
static bool closed;

static void on_message(struct ws_parser *p, struct str data, bool binary)
{
    (void)p;
    CHECK(!closed && data.n <= PAYLOAD_MAX && (binary || utf8_count(data) >= 0));
    buf_addf(out, "message %d ", binary);
    buf_add_str(out, data);
}

static void on_ping(struct ws_parser *p, struct str payload)
{
    (void)p;
    CHECK(!closed && payload.n <= 125);
    buf_adds(out, "ping ");
    buf_add_str(out, payload);
}

static void on_close(struct ws_parser *p, int code, struct str reason)
{
    (void)p;
    CHECK(!closed && code >= 1000 && code <= 4999 && utf8_count(reason) >= 0);
    closed = true;
    buf_addf(out, "close %d ", code);
    buf_add_str(out, reason);
}

static const struct ws_parser_callbacks callbacks = {on_message, on_ping, on_close};

static void parse_in_pieces(const uint8_t *data, size_t size, size_t piece, struct buf *to)
{
    struct ws_parser p;
    int code = 0;

    out = to;
    closed = false;
    ws_parser_init(&p, &callbacks, PAYLOAD_MAX, 4002);
    for (size_t at = 0; at < size && code == 0; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        MEM_AUTO char *copy = mem_alloc(n);
        memcpy(copy, data + at, n);
        code = ws_parser_feed(&p, copy, n);
        CHECK(code == 0 || code == 1002 || code == 1007 || code == 4002);
    }
    buf_addf(to, "end %d", code);
    ws_parser_done(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    BUF_AUTO struct buf whole = BUF_INIT(0), pieces = BUF_INIT(0);

    if (size < 2)
        return 0;
    parse_in_pieces(data + 1, size - 1, size, &whole);
    parse_in_pieces(data + 1, size - 1, 1 + data[0] % 32, &pieces);
    CHECK(str_eq(buf_str(&whole), buf_str(&pieces)));
    return 0;
}
