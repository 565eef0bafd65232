/* The HTTP reader: what comes out of a stream of bytes must not depend on how it was cut. The first byte is the size of
 * the pieces. Limits are small, so that they are reached. */
#include "tests/fuzz/fuzz.h"

#include "platform/base/check.h"
#include "platform/base/mem.h"
#include "platform/io/http_reader.h"

#define BODY_MAX 300

/* Everything a request says, as text. */
static void note(struct buf *out, struct http_reader *r)
{
    struct http_request req = {0};
    struct buf body;

    http_reader_take(r, &req, &body);
    CHECK(body.len <= BODY_MAX);
    buf_addf(out, "%d|%.*s|%.*s|%d%d%d\n", (int)req.method, STR_ARG(req.path), STR_ARG(req.query), r->keep_alive,
             r->upgrade, r->http_1_0);
    for (unsigned i = 0; i < req.header_count; i++) {
        buf_add_str(out, req.headers[i].name);
        buf_addc(out, '=');
        buf_add_str(out, req.headers[i].value);
        buf_addc(out, '\n');
    }
    buf_add_str(out, req.body);
    http_percent_decode(&req.arena, req.path, false);
    http_request_query(&req, "limit");
    http_request_header(&req, "authorization");
    http_reader_body_freed(body.len);
    arena_done(&req.arena);
    buf_done(&body);
}

static void read_in_pieces(const uint8_t *data, size_t size, size_t piece, struct buf *out)
{
    struct http_reader r;
    int got = 0;

    http_reader_init(&r, BODY_MAX);
    for (size_t at = 0; at < size && got >= 0;) {
        size_t n = size - at < piece ? size - at : piece, used;
        MEM_AUTO char *copy = mem_alloc(n);
        memcpy(copy, data + at, n);
        got = http_reader_feed(&r, copy, n, &used);
        CHECK(used <= n);
        CHECK(got != 0 || used == n);
        at += used;
        if (got == 1) {
            note(out, &r);
            CHECK(used > 0);
        }
    }
    buf_addf(out, "end %d %d", got < 0 ? got : 0, r.started);
    http_reader_done(&r);
    CHECK(http_reader_bodies_bytes() == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    BUF_AUTO struct buf whole = BUF_INIT(0), pieces = BUF_INIT(0);

    if (size < 2)
        return 0;
    read_in_pieces(data + 1, size - 1, size, &whole);
    read_in_pieces(data + 1, size - 1, 1 + data[0] % 32, &pieces);
    CHECK(str_eq(buf_str(&whole), buf_str(&pieces)));
    return 0;
}
