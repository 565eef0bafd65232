/* What the platform's own streams say comes out again, whatever the pieces; what is no stream, or too long, is refused.
 */
#include "gateway/shard/decompress.h"
#include "platform/protocol/stream_context.h"
#include "tests/support/cm.h"

#include <errno.h>
#include <stdlib.h>

static void fill(struct buf *b, unsigned n, unsigned seed)
{
    buf_clear(b);
    for (unsigned i = 0; i < n; i++)
        buf_addf(b, "%u,", (i * 2654435761u + seed) >> 20);
}

static void a_stream(enum transport t, enum stream_kind kind)
{
    struct stream_context *s = stream_context_new(kind);
    struct decompress *d = decompress_new(t, 4u << 20);
    BUF_AUTO struct buf text = {0}, packed = {0};

    for (unsigned i = 0; i < 20; i++) {
        struct str got = STR("");
        fill(&text, i == 7 ? 200000 : 1 + i * 300, i); /* one of them over a megabyte */
        buf_clear(&packed);
        assert_int_equal(stream_context_write(s, STR(""), buf_str(&text), &packed), 0);
        assert_int_equal(decompress_feed(d, buf_str(&packed), &got), 1);
        assert_true(str_eq(got, buf_str(&text)));
    }
    decompress_free(d);
    stream_context_free(s);
}

static void zlib_comes_out(void **state)
{
    (void)state;
    a_stream(TRANSPORT_ZLIB, STREAM_ZLIB);
}

static void zstd_comes_out(void **state)
{
    (void)state;
    a_stream(TRANSPORT_ZSTD, STREAM_ZSTD);
}

static void zlib_waits_for_the_flush(void **state)
{
    struct stream_context *s = stream_context_new(STREAM_ZLIB);
    struct decompress *d = decompress_new(TRANSPORT_ZLIB, 1u << 20);
    BUF_AUTO struct buf text = {0}, packed = {0};
    struct str got = STR("");

    (void)state;
    fill(&text, 5000, 1);
    assert_int_equal(stream_context_write(s, STR(""), buf_str(&text), &packed), 0);
    struct str all = buf_str(&packed);
    assert_int_equal(decompress_feed(d, (struct str){all.p, 1000}, &got), 0);
    assert_int_equal(decompress_feed(d, (struct str){all.p + 1000, all.n - 1000}, &got), 1);
    assert_true(str_eq(got, buf_str(&text)));
    decompress_free(d);
    stream_context_free(s);
}

static void refuses(enum transport t, enum stream_kind kind)
{
    struct stream_context *s = stream_context_new(kind);
    struct decompress *d = decompress_new(t, 4096);
    BUF_AUTO struct buf text = {0}, packed = {0};
    struct str got = STR("");

    fill(&text, 5000, 1);
    assert_int_equal(stream_context_write(s, STR(""), buf_str(&text), &packed), 0);
    assert_int_equal(decompress_feed(d, buf_str(&packed), &got), -EMSGSIZE);
    decompress_free(d);
    d = decompress_new(t, 4096);
    assert_int_equal(decompress_feed(d, STR("{\"op\":10,\"d\":null} is no stream"), &got), -EBADMSG);
    decompress_free(d);
    stream_context_free(s);
}

static void too_long_or_no_stream(void **state)
{
    enum transport t;
    struct str got;

    (void)state;
    refuses(TRANSPORT_ZLIB, STREAM_ZLIB);
    refuses(TRANSPORT_ZSTD, STREAM_ZSTD);
    struct decompress *d = decompress_new(TRANSPORT_PLAIN, 4096);
    assert_int_equal(decompress_feed(d, STR("x"), &got), -EBADMSG);
    decompress_free(d);
    assert_int_equal(transport_find("zstd-stream", &t), 0);
    assert_int_equal(t, TRANSPORT_ZSTD);
    assert_int_equal(transport_find("off", &t), 0);
    assert_int_equal(t, TRANSPORT_PLAIN);
    assert_int_equal(transport_find("zlib", &t), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zlib_comes_out),
        cmocka_unit_test(zstd_comes_out),
        cmocka_unit_test(zlib_waits_for_the_flush),
        cmocka_unit_test(too_long_or_no_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
