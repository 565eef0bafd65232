#include "platform/protocol/stream_context.h"
#include "tests/support/cm.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#define MESSAGES 300

static void message(struct buf *b, unsigned i)
{
    buf_clear(b);
    buf_addf(b, "\"t\":\"MESSAGE_CREATE\",\"op\":0,\"d\":{\"id\":\"%u\",\"content\":\"", i * 7919u);
    for (unsigned k = 0; k < (i % 50 == 49 ? 200000u : i * 3); k++)
        buf_addc(b, (char)('a' + rand() % 20));
    buf_adds(b, "\"}}");
}

/* Reads what came as one message of a stream. */
static void zlib_read(z_stream *z, struct str part, struct buf *text)
{
    z->next_in = (Bytef *)(uintptr_t)part.p;
    z->avail_in = (uInt)part.n;
    do {
        z->next_out = (Bytef *)buf_reserve(text, 700);
        z->avail_out = 700;
        int r = inflate(z, Z_SYNC_FLUSH);
        assert_true(r == Z_OK || r == Z_BUF_ERROR || r == Z_STREAM_END);
        text->len += 700 - z->avail_out;
    } while (z->avail_out == 0);
    assert_int_equal(z->avail_in, 0);
}

static void zstd_read(ZSTD_DCtx *d, struct str part, struct buf *text)
{
    ZSTD_inBuffer in = {part.p, part.n, 0};

    for (bool full = true; in.pos < in.size || full;) {
        ZSTD_outBuffer out = {buf_reserve(text, 700), 700, 0};
        size_t r = ZSTD_decompressStream(d, &out, &in);
        assert_false(ZSTD_isError(r));
        text->len += out.pos;
        full = out.pos == out.size;
    }
}

static size_t conversation(enum stream_kind kind)
{
    struct stream_context *s = stream_context_new(kind);
    BUF_AUTO struct buf text = BUF_INIT(0), wire = BUF_INIT(0), got = BUF_INIT(0);
    z_stream z = {0};
    ZSTD_DCtx *d = ZSTD_createDCtx();
    size_t sent = 0;

    srand(3);
    assert_int_equal(inflateInit(&z), Z_OK);
    for (unsigned i = 0; i < MESSAGES; i++) {
        message(&text, i);
        buf_clear(&wire);
        buf_clear(&got);
        assert_int_equal(stream_context_write(s, STR("{\"s\":7,"), buf_str(&text), &wire), 0);
        sent += wire.len;
        if (kind == STREAM_ZLIB)
            assert_memory_equal(wire.data + wire.len - 4, "\0\0\xFF\xFF", 4);
        if (kind == STREAM_ZSTD)
            zstd_read(d, buf_str(&wire), &got);
        else
            zlib_read(&z, buf_str(&wire), &got);
        if (kind == STREAM_PACK)
            assert_int_equal(inflateReset(&z), Z_OK); /* each is a stream of its own */
        assert_int_equal(got.len, 7 + text.len);
        assert_memory_equal(got.data, "{\"s\":7,", 7);
        assert_memory_equal(got.data + 7, text.data, text.len);
    }
    inflateEnd(&z);
    ZSTD_freeDCtx(d);
    stream_context_free(s);
    return sent;
}

static void every_kind_reads_back(void **state)
{
    (void)state;
    size_t zlib = conversation(STREAM_ZLIB), zstd = conversation(STREAM_ZSTD), packed = conversation(STREAM_PACK);
    assert_true(zlib < packed && zstd < packed); /* they remember */
}

static void a_full_buffer_is_an_error(void **state)
{
    (void)state;
    for (int kind = STREAM_ZLIB; kind <= STREAM_PACK; kind++) {
        struct stream_context *s = stream_context_new((enum stream_kind)kind);
        BUF_AUTO struct buf small = BUF_INIT(16);
        assert_int_equal(stream_context_write(s, STR("head"), STR("0123456789abcdefghijklmnopqrstuvwxyz"), &small),
                         -ENOBUFS);
        stream_context_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_reads_back),
        cmocka_unit_test(a_full_buffer_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
