/* zlib and zstd streams with memory. One thread for a context. */
#include "platform/protocol/stream_context.h"

#include "platform/base/check.h"
#include "platform/base/mem.h"

#include <errno.h>
#include <zlib.h>
#include <zstd.h>

/* Measured on MESSAGE_CREATE events of 770 bytes (guildhall-bench encodings). */
#define ZLIB_LEVEL      6
#define ZLIB_WINDOW_LOG 12
#define ZLIB_MEM_LEVEL  5
#define ZSTD_LEVEL      1
#define ZSTD_WINDOW_LOG 14
#define ZSTD_HASH_LOG   12

struct stream_context {
    enum stream_kind kind;
    z_stream zlib;
    ZSTD_CCtx *zstd;
};

static ZSTD_CCtx *zstd_new(void)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();

    CHECK(c && !ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, ZSTD_LEVEL)) &&
          !ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, ZSTD_WINDOW_LOG)) &&
          !ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_hashLog, ZSTD_HASH_LOG)));
    return c;
}

struct stream_context *stream_context_new(enum stream_kind kind)
{
    struct stream_context *s = MEM_NEW(struct stream_context);
    bool pack = kind == STREAM_PACK;

    s->kind = kind;
    if (kind == STREAM_ZSTD)
        s->zstd = zstd_new();
    else
        CHECK(deflateInit2(&s->zlib, ZLIB_LEVEL, Z_DEFLATED, pack ? MAX_WBITS : ZLIB_WINDOW_LOG,
                           pack ? MAX_MEM_LEVEL : ZLIB_MEM_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK);
    return s;
}

void stream_context_free(struct stream_context *s)
{
    if (!s)
        return;
    if (s->kind == STREAM_ZSTD)
        ZSTD_freeCCtx(s->zstd);
    else
        deflateEnd(&s->zlib);
    mem_free(s);
}

static int zlib_write(z_stream *z, struct str text, int flush, struct buf *out)
{
    CHECK(text.n <= UINT32_MAX);
    z->next_in = (Bytef *)(uintptr_t)text.p;
    z->avail_in = (uInt)text.n;
    do { /* until a call leaves room: then nothing is held back but what flush allows */
        size_t room = text.n / 2 + 64;
        char *to = buf_reserve(out, room);
        if (!to)
            return -ENOBUFS;
        z->next_out = (Bytef *)to;
        z->avail_out = (uInt)room;
        int r = deflate(z, flush);
        CHECK(r == Z_OK || r == Z_BUF_ERROR || r == Z_STREAM_END);
        out->len += room - z->avail_out;
        out->data[out->len] = 0;
    } while (z->avail_out == 0);
    return 0;
}

static int zstd_write(ZSTD_CCtx *c, struct str text, ZSTD_EndDirective mode, struct buf *out)
{
    ZSTD_inBuffer in = {text.p, text.n, 0};

    for (size_t left = 1; left || in.pos < in.size;) {
        size_t room = text.n / 2 + 64;
        char *to = buf_reserve(out, room);
        if (!to)
            return -ENOBUFS;
        ZSTD_outBuffer to_out = {to, room, 0};
        left = ZSTD_compressStream2(c, &to_out, &in, mode);
        CHECK(!ZSTD_isError(left));
        out->len += to_out.pos;
        out->data[out->len] = 0;
        if (mode == ZSTD_e_continue)
            left = 0; /* may hold what it likes */
    }
    return 0;
}

int stream_context_write(struct stream_context *s, struct str head, struct str rest, struct buf *out)
{
    bool pack = s->kind == STREAM_PACK;
    int r;

    if (s->kind == STREAM_ZSTD) {
        r = zstd_write(s->zstd, head, ZSTD_e_continue, out);
        return r < 0 ? r : zstd_write(s->zstd, rest, ZSTD_e_flush, out);
    }
    r = zlib_write(&s->zlib, head, Z_NO_FLUSH, out);
    if (r == 0)
        r = zlib_write(&s->zlib, rest, pack ? Z_FINISH : Z_SYNC_FLUSH, out);
    if (pack)
        CHECK(deflateReset(&s->zlib) == Z_OK);
    return r;
}
