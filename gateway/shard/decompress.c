/* zlib-stream and zstd-stream. Loop thread; a message holds at most message_max bytes, memory above KEEP_BYTES is given
 * back. */
#include "gateway/shard/decompress.h"

#include "platform/base/check.h"
#include "platform/base/mem.h"

#include <errno.h>
#include <zlib.h>
#include <zstd.h>

#define CHUNK_BYTES 16384
#define KEEP_BYTES  (256u << 10)

static const char *const names[] = {[TRANSPORT_ZLIB] = "zlib-stream", [TRANSPORT_ZSTD] = "zstd-stream"};

struct decompress {
    enum transport transport;
    z_stream z;
    ZSTD_DCtx *zstd;
    struct buf out;
    size_t max;
    bool whole; /* out holds a message that was handed over */
};

const char *transport_name(enum transport t)
{
    return names[t];
}

int transport_find(const char *name, enum transport *ret)
{
    *ret = TRANSPORT_PLAIN;
    for (unsigned t = TRANSPORT_ZLIB; t <= TRANSPORT_ZSTD; t++)
        if (strcmp(name, names[t]) == 0)
            *ret = t;
    return *ret != TRANSPORT_PLAIN || strcmp(name, "off") == 0 ? 0 : -EINVAL;
}

struct decompress *decompress_new(enum transport t, size_t message_max)
{
    struct decompress *d = MEM_NEW(struct decompress);

    d->transport = t;
    if (t == TRANSPORT_ZLIB)
        CHECK(inflateInit(&d->z) == Z_OK);
    else if (t == TRANSPORT_ZSTD)
        CHECK((d->zstd = ZSTD_createDCtx()) != NULL);
    d->max = message_max;
    buf_init(&d->out, message_max);
    return d;
}

void decompress_free(struct decompress *d)
{
    if (!d)
        return;
    if (d->transport == TRANSPORT_ZLIB)
        inflateEnd(&d->z);
    ZSTD_freeDCtx(d->zstd);
    buf_done(&d->out);
    mem_free(d);
}

/* Room for the next piece; NULL: the message is too long. */
static char *room_of(struct decompress *d, size_t *ret)
{
    *ret = d->max - d->out.len < CHUNK_BYTES ? d->max - d->out.len : CHUNK_BYTES;
    return *ret ? buf_reserve(&d->out, *ret) : NULL;
}

static int take_zlib(struct decompress *d, struct str in)
{
    d->z.next_in = (unsigned char *)in.p; // zlib does not write there
    d->z.avail_in = (unsigned)in.n;
    do {
        size_t room;
        char *to = room_of(d, &room);
        if (!to)
            return -EMSGSIZE;
        d->z.next_out = (unsigned char *)to;
        d->z.avail_out = (unsigned)room;
        int r = inflate(&d->z, Z_SYNC_FLUSH);
        if (r != Z_OK && r != Z_BUF_ERROR)
            return -EBADMSG;
        d->out.len += room - d->z.avail_out;
    } while (d->z.avail_out == 0 || d->z.avail_in > 0);
    return 0;
}

static int take_zstd(struct decompress *d, struct str in)
{
    ZSTD_inBuffer from = {in.p, in.n, 0};
    ZSTD_outBuffer to;

    do {
        size_t room;
        char *p = room_of(d, &room);
        if (!p)
            return -EMSGSIZE;
        to = (ZSTD_outBuffer){p, room, 0};
        if (ZSTD_isError(ZSTD_decompressStream(d->zstd, &to, &from)))
            return -EBADMSG;
        d->out.len += to.pos;
    } while (to.pos == to.size || from.pos < from.size);
    return 0;
}

static bool ends_with_flush(struct str in)
{
    static const unsigned char flush[4] = {0, 0, 0xff, 0xff};

    return in.n >= sizeof flush && memcmp(in.p + in.n - sizeof flush, flush, sizeof flush) == 0;
}

int decompress_feed(struct decompress *d, struct str in, struct str *ret)
{
    if (d->whole && d->out.cap > KEEP_BYTES) {
        buf_done(&d->out);
        buf_init(&d->out, d->max);
    } else if (d->whole) {
        buf_clear(&d->out);
    }
    d->whole = false;
    if (d->transport == TRANSPORT_PLAIN)
        return -EBADMSG;
    if (in.n > UINT32_MAX)
        return -EMSGSIZE;
    int error = d->transport == TRANSPORT_ZSTD ? take_zstd(d, in) : take_zlib(d, in);
    if (error)
        return error;
    d->whole = d->transport == TRANSPORT_ZSTD || ends_with_flush(in);
    *ret = buf_str(&d->out);
    return d->whole;
}
