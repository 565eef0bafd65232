/* Shared deflate runs and stored heads. A run begins and ends on a byte, because a sync flush and a stored block both
 * do; so the parts are joined as they are. One thread for a context; a context costs 260 KB. */
#include "platform/protocol/zlib_splice.h"

#include "platform/base/check.h"
#include "platform/base/mem.h"

#include <errno.h>
#include <zlib.h>

/* 6 us for a 750-byte event, to half its size; level 1 saves a tenth of the time and costs 4 % more bytes. */
#define SPLICE_LEVEL     6
#define SPLICE_MEM_LEVEL 8

struct zlib_splice {
    z_stream stream;
};

struct zlib_splice *zlib_splice_new(void)
{
    struct zlib_splice *z = MEM_NEW(struct zlib_splice);
    CHECK(deflateInit2(&z->stream, SPLICE_LEVEL, Z_DEFLATED, -MAX_WBITS, SPLICE_MEM_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK);
    return z;
}

void zlib_splice_free(struct zlib_splice *z)
{
    if (!z)
        return;
    deflateEnd(&z->stream);
    mem_free(z);
}

int zlib_splice_run(struct zlib_splice *z, struct str text, struct buf *out)
{
    z_stream *s = &z->stream;

    CHECK(text.n <= UINT32_MAX);
    CHECK(deflateReset(s) == Z_OK);
    s->next_in = (Bytef *)(uintptr_t)text.p;
    s->avail_in = (uInt)text.n;
    for (int r = Z_OK; r == Z_OK;) { /* Z_BUF_ERROR: the last turn filled the room exactly, nothing is left */
        size_t room = deflateBound(s, s->avail_in) + 32;
        char *to = buf_reserve(out, room);
        if (!to)
            return -ENOBUFS;
        s->next_out = (Bytef *)to;
        s->avail_out = (uInt)room;
        r = deflate(s, Z_SYNC_FLUSH);
        CHECK(r == Z_OK || r == Z_BUF_ERROR);
        out->len += room - s->avail_out;
        if (s->avail_out > 0)
            break;
    }
    out->data[out->len] = 0;
    return 0;
}

size_t zlib_splice_head(bool first, struct str text, char *out)
{
    char *p = out;

    CHECK(text.n <= UINT16_MAX);
    if (first) {
        *p++ = 0x78;
        *p++ = (char)0x9C;
    }
    *p++ = 0; /* not the last block, stored */
    *p++ = (char)text.n;
    *p++ = (char)(text.n >> 8);
    *p++ = (char)~text.n;
    *p++ = (char)~(text.n >> 8);
    memcpy(p, text.p, text.n);
    return (size_t)(p - out) + text.n;
}

size_t zlib_splice_stored(bool first, struct str text, char *out)
{
    static const char sync_flush[5] = {0, 0, 0, (char)0xFF, (char)0xFF};
    size_t n = zlib_splice_head(first, text, out);

    memcpy(out + n, sync_flush, sizeof sync_flush);
    return n + sizeof sync_flush;
}
