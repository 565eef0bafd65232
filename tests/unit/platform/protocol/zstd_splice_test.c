#include "platform/protocol/zstd_splice.h"
#include "tests/support/cm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

/* A client: one decompressor for the connection, fed message by message. */
struct client {
    ZSTD_DCtx *stream;
    struct buf text; /* of the last message */
};

static void client_open(struct client *c)
{
    *c = (struct client){.stream = ZSTD_createDCtx(), .text = BUF_INIT(0)};
    assert_non_null(c->stream);
}

static void client_close(struct client *c)
{
    ZSTD_freeDCtx(c->stream);
    buf_done(&c->text);
}

static void client_feed(struct client *c, struct str part)
{
    ZSTD_inBuffer in = {part.p, part.n, 0};

    for (bool full = true; in.pos < in.size || full;) {
        ZSTD_outBuffer out = {buf_reserve(&c->text, 700), 700, 0};
        size_t r = ZSTD_decompressStream(c->stream, &out, &in);
        if (ZSTD_isError(r))
            fail_msg("zstd: %s", ZSTD_getErrorName(r));
        assert_true(r != 0); /* the frame stays open */
        c->text.len += out.pos;
        c->text.data[c->text.len] = 0;
        full = out.pos == out.size;
    }
}

/* A dispatch as encoder.c sends it. */
static void client_expect(struct client *c, unsigned seq, struct str run, struct str text)
{
    char head[64], wire[64 + ZSTD_SPLICE_HEAD_BYTES];
    int n = snprintf(head, sizeof head, "{\"s\":%u,", seq);

    buf_clear(&c->text);
    client_feed(c, (struct str){wire, zstd_splice_head(seq == 1, (struct str){head, (size_t)n}, wire)});
    client_feed(c, run);
    assert_int_equal(c->text.len, (size_t)n + text.n);
    assert_memory_equal(c->text.data, head, (size_t)n);
    assert_memory_equal(c->text.data + n, text.p, text.n);
}

static void event_text(struct buf *b, unsigned i)
{
    buf_addf(b, "\"t\":\"MESSAGE_CREATE\",\"op\":0,\"d\":{\"id\":\"%u\",\"content\":\"", i * 7919u);
    for (unsigned k = 0; k < (i * 37) % 900; k++)
        buf_addc(b, (char)(i % 3 ? 'a' + (rand() % (int)(1 + i % 26)) : ' ' + rand() % 90));
    buf_adds(b, "\"}}");
}

/* What tempts libzstd to use offsets 1, 4 and 8, which only a frame's begin has: repetitions at these distances at the
 * very start and after a few matches. */
static void crafted_text(struct buf *b, unsigned i)
{
    static const unsigned periods[] = {1, 4, 8, 3, 5, 7};
    unsigned period = periods[rand() % (i % 2 ? 3 : 6)], letters = 1 + (unsigned)rand() % 4;
    char unit[8];

    for (unsigned k = 0; k < sizeof unit; k++)
        unit[k] = i % 5 ? (char)('a' + rand() % (int)letters) : (char)(rand() % 2 ? 0xFF : 0xFE);
    for (unsigned k = 0; k < i % 7; k++)
        buf_addc(b, (char)('a' + rand() % 26));
    for (unsigned part = 0; part < 1 + i % 4; part++) {
        for (unsigned k = 0, n = 8 + (unsigned)rand() % 60; k < n; k++)
            buf_addc(b, unit[k % period]);
        for (unsigned k = 0, n = (unsigned)rand() % 40; k < n; k++)
            buf_addc(b, (char)('a' + rand() % 26));
    }
    for (unsigned k = 0; k < 40 + i % 200; k++)
        buf_addc(b, "abcdefgh"[k % 8]);
}

static void any_order(unsigned count, unsigned rounds, void (*write)(struct buf *b, unsigned i), uint64_t *ret_refused)
{
    struct zstd_splice *z = zstd_splice_new();
    struct buf *texts = calloc(count, sizeof *texts), *runs = calloc(count, sizeof *runs);
    struct client c;

    assert_true(texts && runs);
    srand(7);
    for (unsigned i = 0; i < count; i++) {
        write(&texts[i], i);
        assert_int_equal(zstd_splice_run(z, buf_str(&texts[i]), &runs[i]), 0);
    }
    client_open(&c);
    for (unsigned seq = 1; seq <= rounds; seq++) {
        unsigned pick = (unsigned)rand() % count;
        client_expect(&c, seq, buf_str(&runs[pick]), buf_str(&texts[pick]));
    }
    client_close(&c);
    *ret_refused = zstd_splice_refused(z);
    for (unsigned i = 0; i < count; i++) {
        buf_done(&texts[i]);
        buf_done(&runs[i]);
    }
    free(texts);
    free(runs);
    zstd_splice_free(z);
}

static void shared_runs_in_random_order(void **state)
{
    (void)state;
    uint64_t refused;
    any_order(400, 40000, event_text, &refused);
    assert_true(refused < 4); /* else compression is not what is tested */
}

static void messages_crafted_to_fool(void **state)
{
    (void)state;
    uint64_t refused;
    any_order(5000, 60000, crafted_text, &refused);
    print_message("%llu of 5000 crafted messages refused\n", (unsigned long long)refused);
    assert_true(refused > 50);   /* the check has something to find */
    assert_true(refused < 4500); /* and does not refuse everything */
}

/* READY and GUILD_CREATE: longer than a block and than the window, between small ones. */
static void large_messages(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, ZSTD_SPLICE_WINDOW_BYTES - 1, ZSTD_SPLICE_WINDOW_BYTES,
                                   ZSTD_SPLICE_WINDOW_BYTES + 1, 3000000};
    struct zstd_splice *z = zstd_splice_new();
    struct client c;
    unsigned seq = 1;

    srand(11);
    client_open(&c);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        BUF_AUTO struct buf text = BUF_INIT(0), run = BUF_INIT(0), noise = BUF_INIT(0), raw = BUF_INIT(0);
        while (text.len < sizes[i])
            buf_addf(&text,
                     "{\"user\":{\"id\":\"12582912%011d\",\"username\":\"member%d\"},\"roles\":[],\"joined_at\":\"2024-"
                     "0%d-1\"},",
                     rand(), rand() % 100000, rand() % 10);
        text.len = sizes[i];
        while (noise.len < sizes[i])
            buf_addc(&noise, (char)rand());
        assert_int_equal(zstd_splice_run(z, buf_str(&text), &run), 0);
        assert_int_equal(zstd_splice_run(z, buf_str(&noise), &raw), 0);
        if (sizes[i] > 1)
            assert_true(run.len < text.len / 2);
        assert_true(raw.len >= noise.len);
        client_expect(&c, seq++, buf_str(&run), buf_str(&text));
        client_expect(&c, seq++, buf_str(&raw), buf_str(&noise));
        client_expect(&c, seq++, buf_str(&run), buf_str(&text));
    }
    client_close(&c);
    zstd_splice_free(z);
}

/* Chunks behind the first begin wherever the message is cut: with a run of one byte, and with what ETF may hold. */
static void chunks_that_begin_with_repetitions(void **state)
{
    (void)state;
    struct zstd_splice *z = zstd_splice_new();
    BUF_AUTO struct buf text = BUF_INIT(0), run = BUF_INIT(0), all = BUF_INIT(0), all_run = BUF_INIT(0);
    struct client c;

    for (unsigned i = 0; i < 4 * ZSTD_SPLICE_WINDOW_BYTES; i++) {
        unsigned at = i % ZSTD_SPLICE_WINDOW_BYTES;
        buf_addc(&text,
                 at < 3000 ? (char)(i / ZSTD_SPLICE_WINDOW_BYTES % 2 ? 0xFF : 0xFE) : (char)('a' + (at * at / 7) % 26));
        buf_addc(&all, (char)0xFF);
    }
    assert_int_equal(zstd_splice_run(z, buf_str(&text), &run), 0);
    assert_int_equal(zstd_splice_run(z, buf_str(&all), &all_run), 0);
    client_open(&c);
    client_expect(&c, 1, buf_str(&run), buf_str(&text));
    client_expect(&c, 2, buf_str(&all_run), buf_str(&all));
    client_expect(&c, 3, buf_str(&run), buf_str(&text));
    client_close(&c);
    zstd_splice_free(z);
}

static void small_messages_and_limits(void **state)
{
    (void)state;
    struct zstd_splice *z = zstd_splice_new();
    BUF_AUTO struct buf small = BUF_INIT(16), empty = BUF_INIT(0);
    struct client c;
    char wire[64];

    client_open(&c);
    client_feed(&c, (struct str){wire, zstd_splice_head(true, STR("{\"op\":10}"), wire)});
    assert_buf(&c.text, "{\"op\":10}");
    buf_clear(&c.text);
    client_feed(&c, (struct str){wire, zstd_splice_head(false, STR("{\"op\":11}"), wire)});
    assert_buf(&c.text, "{\"op\":11}");
    client_close(&c);
    assert_int_equal(zstd_splice_run(z, STR("0123456789abcdefghijklmnopqrstuvwxyz"), &small), -ENOBUFS);
    assert_int_equal(zstd_splice_run(z, STR(""), &empty), 0);
    assert_int_equal(empty.len, 0);
    zstd_splice_free(z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_runs_in_random_order),
        cmocka_unit_test(messages_crafted_to_fool),
        cmocka_unit_test(large_messages),
        cmocka_unit_test(chunks_that_begin_with_repetitions),
        cmocka_unit_test(small_messages_and_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
