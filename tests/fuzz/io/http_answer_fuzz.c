/* The HTTP answer reader: what comes out of a stream of bytes must not depend on how it was cut. The first byte is the
 * size of the pieces and whether the request was a HEAD. Limits are small, so that they are reached. */
#include "tests/fuzz/fuzz.h"

#include "platform/base/check.h"
#include "platform/base/mem.h"
#include "platform/io/http_answer.h"

#define BODY_MAX 300
#define HEAD_MAX 600

struct seen {
    struct buf headers, body, text;
};

static void note(struct seen *s, const struct http_answer *a)
{
    CHECK(s->body.len <= BODY_MAX && s->headers.len <= HEAD_MAX);
    CHECK(a->status >= 200 && a->status <= 599);
    CHECK(s->headers.len == 0 || memcmp(s->headers.data + s->headers.len - 2, "\r\n", 2) == 0);
    buf_addf(&s->text, "%d|%d|%d\n", a->status, a->keep_alive, a->idle_s);
    buf_add_str(&s->text, buf_str(&s->headers));
    buf_add_str(&s->text, buf_str(&s->body));
    buf_clear(&s->body);
}

static void read_in_pieces(const uint8_t *data, size_t size, size_t piece, bool to_head, struct seen *s)
{
    struct http_answer a;
    int got = 0;

    http_answer_begin(&a, to_head, &s->headers, &s->body);
    for (size_t at = 0; at < size && got >= 0;) {
        size_t n = size - at < piece ? size - at : piece, used;
        MEM_AUTO char *copy = mem_alloc(n);
        memcpy(copy, data + at, n);
        got = http_answer_feed(&a, copy, n, &used);
        CHECK(used <= n);
        CHECK(got != 0 || used == n);
        at += used;
        if (got == 1) {
            note(s, &a);
            CHECK(used > 0);
            http_answer_begin(&a, to_head, &s->headers, &s->body);
        }
    }
    if (got == 0 && a.begun && http_answer_end(&a) == 1)
        note(s, &a);
    buf_addf(&s->text, "end %d", got < 0);
    buf_done(&s->headers);
    buf_done(&s->body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen whole = {BUF_INIT(HEAD_MAX), BUF_INIT(BODY_MAX), BUF_INIT(0)}, pieces = whole;

    if (size < 2)
        return 0;
    read_in_pieces(data + 1, size - 1, size, data[0] & 1, &whole);
    read_in_pieces(data + 1, size - 1, 1 + data[0] / 8, data[0] & 1, &pieces);
    CHECK(str_eq(buf_str(&whole.text), buf_str(&pieces.text)));
    buf_done(&whole.text);
    buf_done(&pieces.text);
    return 0;
}
