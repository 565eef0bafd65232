/* The compressed streams: messages of the input, each compressed once, then sent in an order of the input's, some of
 * them again; a client's one decompressor must read what went in. The first byte says how many messages there are. */
#include "tests/fuzz/fuzz.h"

#include "platform/base/check.h"
#include "platform/protocol/stream_context.h"
#include "platform/protocol/zlib_splice.h"
#include "platform/protocol/zstd_splice.h"

#include <zlib.h>
#include <zstd.h>

#define MESSAGES_MAX 8
#define HEAD         STR("{\"s\":7,")

struct message {
    struct buf text, zlib, zstd;
};

/* Fed part by part, as segments of a socket would come. */
struct client {
    z_stream zlib;
    ZSTD_DCtx *zstd;
    struct buf text;
};

static void client_zlib(struct client *c, struct str part)
{
    c->zlib.next_in = (Bytef *)(uintptr_t)part.p;
    c->zlib.avail_in = (uInt)part.n;
    do {
        c->zlib.next_out = (Bytef *)buf_reserve(&c->text, 512);
        c->zlib.avail_out = 512;
        int r = inflate(&c->zlib, Z_SYNC_FLUSH);
        CHECK(r == Z_OK || r == Z_BUF_ERROR);
        c->text.len += 512 - c->zlib.avail_out;
    } while (c->zlib.avail_out == 0);
    CHECK(c->zlib.avail_in == 0);
}

static void client_zstd(struct client *c, struct str part)
{
    ZSTD_inBuffer in = {part.p, part.n, 0};

    for (bool full = true; in.pos < in.size || full;) {
        ZSTD_outBuffer out = {buf_reserve(&c->text, 512), 512, 0};
        size_t r = ZSTD_decompressStream(c->zstd, &out, &in);
        CHECK(!ZSTD_isError(r) && r != 0);
        c->text.len += out.pos;
        full = out.pos == out.size;
    }
}

static void client_heard(struct client *c, struct str text)
{
    CHECK(c->text.len == HEAD.n + text.n);
    CHECK(memcmp(c->text.data, HEAD.p, HEAD.n) == 0 && memcmp(c->text.data + HEAD.n, text.p, text.n) == 0);
    buf_clear(&c->text);
}

static void client_open(struct client *c)
{
    *c = (struct client){.zstd = ZSTD_createDCtx()};
    CHECK(c->zstd && inflateInit(&c->zlib) == Z_OK);
}

static void client_close(struct client *c)
{
    inflateEnd(&c->zlib);
    ZSTD_freeDCtx(c->zstd);
    buf_done(&c->text);
}

static void spliced(struct client *c, const struct message *m, bool first)
{
    char head[32];

    client_zlib(c, (struct str){head, zlib_splice_head(first, HEAD, head)});
    client_zlib(c, buf_str(&m->zlib));
    client_heard(c, buf_str(&m->text));
    client_zstd(c, (struct str){head, zstd_splice_head(first, HEAD, head)});
    client_zstd(c, buf_str(&m->zstd));
    client_heard(c, buf_str(&m->text));
}

static void own(struct client *c, struct stream_context *zlib, struct stream_context *zstd, const struct message *m)
{
    BUF_AUTO struct buf wire = BUF_INIT(0);

    CHECK(stream_context_write(zlib, HEAD, buf_str(&m->text), &wire) == 0);
    client_zlib(c, buf_str(&wire));
    client_heard(c, buf_str(&m->text));
    buf_clear(&wire);
    CHECK(stream_context_write(zstd, HEAD, buf_str(&m->text), &wire) == 0);
    client_zstd(c, buf_str(&wire));
    client_heard(c, buf_str(&m->text));
}

static unsigned messages_make(struct message *m, const uint8_t *data, size_t size)
{
    static struct zlib_splice *zlib;
    static struct zstd_splice *zstd;
    unsigned count = 1 + data[0] % MESSAGES_MAX;

    if (!zlib) {
        zlib = zlib_splice_new();
        zstd = zstd_splice_new();
    }
    for (unsigned i = 0; i < count; i++) {
        size_t from = 1 + (size - 1) * i / count, to = 1 + (size - 1) * (i + 1) / count;
        m[i] = (struct message){0};
        buf_add(&m[i].text, data + from, to - from);
        CHECK(zlib_splice_run(zlib, buf_str(&m[i].text), &m[i].zlib) == 0);
        CHECK(zstd_splice_run(zstd, buf_str(&m[i].text), &m[i].zstd) == 0);
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct message m[MESSAGES_MAX];
    struct client shared, alone;

    if (!size)
        return 0;
    unsigned count = messages_make(m, data, size);
    struct stream_context *zlib = stream_context_new(STREAM_ZLIB), *zstd = stream_context_new(STREAM_ZSTD);
    client_open(&shared);
    client_open(&alone);
    for (unsigned i = 0; i < 3 * count; i++) {
        unsigned pick = (i < count ? i : i * 5 + data[i % size]) % count;
        spliced(&shared, &m[pick], i == 0);
        own(&alone, zlib, zstd, &m[pick]);
    }
    client_close(&shared);
    client_close(&alone);
    stream_context_free(zlib);
    stream_context_free(zstd);
    for (unsigned i = 0; i < count; i++) {
        buf_done(&m[i].text);
        buf_done(&m[i].zlib);
        buf_done(&m[i].zstd);
    }
    return 0;
}
