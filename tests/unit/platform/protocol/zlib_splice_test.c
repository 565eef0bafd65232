#include "platform/protocol/zlib_splice.h"
#include "tests/support/cm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

/* A client: one inflate stream for the connection, fed message by message. */
struct client {
    z_stream stream;
    struct buf text; /* of the last message */
};

static void client_open(struct client *c)
{
    *c = (struct client){.text = BUF_INIT(0)};
    assert_int_equal(inflateInit(&c->stream), Z_OK);
}

static void client_close(struct client *c)
{
    inflateEnd(&c->stream);
    buf_done(&c->text);
}

static void client_feed(struct client *c, struct str part)
{
    c->stream.next_in = (Bytef *)(uintptr_t)part.p;
    c->stream.avail_in = (uInt)part.n;
    do {
        char *to = buf_reserve(&c->text, 700);
        c->stream.next_out = (Bytef *)to;
        c->stream.avail_out = 700;
        int r = inflate(&c->stream, Z_SYNC_FLUSH);
        if (r != Z_OK && r != Z_BUF_ERROR)
            fail_msg("inflate: %d %s", r, c->stream.msg);
        c->text.len += 700 - c->stream.avail_out;
        c->text.data[c->text.len] = 0;
    } while (c->stream.avail_out == 0);
    assert_int_equal(c->stream.avail_in, 0);
}

static void event_text(struct buf *b, unsigned i)
{
    buf_addf(b, "\"t\":\"MESSAGE_CREATE\",\"op\":0,\"d\":{\"id\":\"%u\",\"content\":\"", i * 7919u);
    for (unsigned k = 0; k < (i * 37) % 900; k++)
        buf_addc(b, (char)(i % 3 ? 'a' + (rand() % (int)(1 + i % 26)) : ' ' + rand() % 90));
    buf_adds(b, "\"}}");
}

#define SHARED 400

static void shared_runs_in_random_order(void **state)
{
    (void)state;
    struct zlib_splice *z = zlib_splice_new();
    static struct buf texts[SHARED], runs[SHARED];
    struct client c;

    srand(7);
    for (unsigned i = 0; i < SHARED; i++) {
        event_text(&texts[i], i);
        assert_int_equal(zlib_splice_run(z, buf_str(&texts[i]), &runs[i]), 0);
        assert_memory_equal(runs[i].data + runs[i].len - 4, "\0\0\xFF\xFF", 4);
    }
    client_open(&c);
    for (unsigned seq = 1; seq <= 40000; seq++) {
        unsigned pick = (unsigned)rand() % SHARED;
        char head[64], wire[64 + ZLIB_SPLICE_HEAD_BYTES];
        int n = snprintf(head, sizeof head, "{\"s\":%u,", seq);
        size_t wire_len = zlib_splice_head(seq == 1, (struct str){head, (size_t)n}, wire);
        if (seq == 1)
            assert_int_equal(wire[0], 0x78);
        buf_clear(&c.text);
        client_feed(&c, (struct str){wire, wire_len});
        client_feed(&c, buf_str(&runs[pick]));
        assert_int_equal(c.text.len, (size_t)n + texts[pick].len);
        assert_memory_equal(c.text.data, head, (size_t)n);
        assert_memory_equal(c.text.data + n, texts[pick].data, texts[pick].len);
    }
    client_close(&c);
    for (unsigned i = 0; i < SHARED; i++) {
        buf_done(&texts[i]);
        buf_done(&runs[i]);
    }
    zlib_splice_free(z);
}

static void stored_messages_between(void **state)
{
    (void)state;
    struct zlib_splice *z = zlib_splice_new();
    struct client c;
    BUF_AUTO struct buf big = BUF_INIT(0), run = BUF_INIT(0);
    char wire[64];

    /* larger than the window, and than any one block */
    for (unsigned i = 0; i < 300000; i++)
        buf_addc(&big, (char)(' ' + (i * i + i / 7) % 90));
    assert_int_equal(zlib_splice_run(z, buf_str(&big), &run), 0);
    client_open(&c);
    client_feed(&c, (struct str){wire, zlib_splice_stored(true, STR("{\"op\":10}"), wire)});
    assert_buf(&c.text, "{\"op\":10}");
    assert_memory_equal(wire + zlib_splice_stored(true, STR("{\"op\":10}"), wire) - 4, "\0\0\xFF\xFF", 4);
    buf_clear(&c.text);
    client_feed(&c, (struct str){wire, zlib_splice_head(false, STR("{\"s\":1,"), wire)});
    client_feed(&c, buf_str(&run));
    assert_int_equal(c.text.len, big.len + 7);
    assert_memory_equal(c.text.data + 7, big.data, big.len);
    buf_clear(&c.text);
    client_feed(&c, (struct str){wire, zlib_splice_stored(false, STR("{\"op\":11}"), wire)});
    assert_buf(&c.text, "{\"op\":11}");
    client_close(&c);
    zlib_splice_free(z);
}

static void a_full_buffer_is_an_error(void **state)
{
    (void)state;
    struct zlib_splice *z = zlib_splice_new();
    BUF_AUTO struct buf small = BUF_INIT(64);
    assert_int_equal(
        zlib_splice_run(z, STR("0123456789012345678901234567890123456789012345678901234567890123456789"), &small),
        -ENOBUFS);
    zlib_splice_free(z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_runs_in_random_order),
        cmocka_unit_test(stored_messages_between),
        cmocka_unit_test(a_full_buffer_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
