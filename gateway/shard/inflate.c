/* zlib-stream. Loop thread; a message holds at most message_max bytes, memory above KEEP_BYTES is given back. */
#include "gateway/shard/inflate.h"

#include "platform/base/check.h"
#include "platform/base/mem.h"
#include <errno.h>
#include <zlib.h>

#define CHUNK_BYTES 16384
#define KEEP_BYTES  (256u << 10)

struct inflate {
    z_stream z;
    struct buf out;
    size_t max;
    bool whole; /* out holds a message that was handed over */
};

struct inflate *inflate_new(size_t message_max)
{
    struct inflate *f = MEM_NEW(struct inflate);

    CHECK(inflateInit(&f->z) == Z_OK);
    f->max = message_max;
    buf_init(&f->out, message_max);
    return f;
}

void inflate_free(struct inflate *f)
{
    if (!f)
        return;
    inflateEnd(&f->z);
    buf_done(&f->out);
    mem_free(f);
}

static int take(struct inflate *f, struct str in)
{
    f->z.next_in = (unsigned char *)in.p; // zlib does not write there
    f->z.avail_in = (unsigned)in.n;
    do {
        size_t room = f->max - f->out.len < CHUNK_BYTES ? f->max - f->out.len : CHUNK_BYTES;
        char *to = room ? buf_reserve(&f->out, room) : NULL;
        if (!to)
            return -EMSGSIZE;
        f->z.next_out = (unsigned char *)to;
        f->z.avail_out = (unsigned)room;
        int r = inflate(&f->z, Z_SYNC_FLUSH);
        if (r != Z_OK && r != Z_BUF_ERROR)
            return -EBADMSG;
        f->out.len += room - f->z.avail_out;
    } while (f->z.avail_out == 0 || f->z.avail_in > 0);
    return 0;
}

int inflate_feed(struct inflate *f, struct str in, struct str *ret)
{
    static const unsigned char flush[4] = {0, 0, 0xff, 0xff};

    if (f->whole && f->out.cap > KEEP_BYTES) {
        buf_done(&f->out);
        buf_init(&f->out, f->max);
    } else if (f->whole) {
        buf_clear(&f->out);
    }
    f->whole = false;
    if (in.n > UINT32_MAX)
        return -EMSGSIZE;
    int error = take(f, in);
    if (error)
        return error;
    f->whole = in.n >= sizeof(flush) && memcmp(in.p + in.n - sizeof(flush), flush, sizeof(flush)) == 0;
    *ret = buf_str(&f->out);
    return f->whole;
}
