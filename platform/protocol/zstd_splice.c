/* Shared zstd blocks. libzstd compresses a chunk into a frame; its blocks are taken out of it, and tried where they do
 * not belong. One thread for a context. */
#include "platform/protocol/zstd_splice.h"

#include "platform/base/check.h"
#include "platform/base/mem.h"

#include <errno.h>
#include <zstd.h>

#define SPLICE_LEVEL      3
#define WINDOW_LOG        17
#define FRAME_HEAD_BYTES  6 /* magic, descriptor, window; no content size, dictionary or checksum */
#define BLOCK_HEAD_BYTES  3
#define BLOCK_BYTES_MAX   131072 /* of a block whatever the window */
#define PRIMER_BYTES_MAX  (BLOCK_HEAD_BYTES + 6 + 8)
#define PRIMER_TEXT_BYTES 9 /* three matches of three bytes */

_Static_assert(ZSTD_SPLICE_WINDOW_BYTES == 1u << WINDOW_LOG, "the window as libzstd counts it");
_Static_assert(ZSTD_SPLICE_WINDOW_BYTES <= BLOCK_BYTES_MAX, "a chunk is one raw block");

enum block_type { BLOCK_RAW, BLOCK_RLE, BLOCK_COMPRESSED };

struct zstd_splice {
    ZSTD_CCtx *compressor;
    ZSTD_DCtx *decompressor;
    char *frame; /* a chunk as libzstd compressed it */
    size_t frame_cap;
    struct buf blocks, trial, text;
    uint64_t refused;
};

struct zstd_splice *zstd_splice_new(void)
{
    struct zstd_splice *z = MEM_NEW(struct zstd_splice);

    z->compressor = ZSTD_createCCtx();
    z->decompressor = ZSTD_createDCtx();
    CHECK(z->compressor && z->decompressor);
    CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(z->compressor, ZSTD_c_compressionLevel, SPLICE_LEVEL)));
    CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(z->compressor, ZSTD_c_windowLog, WINDOW_LOG)));
    CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(z->compressor, ZSTD_c_contentSizeFlag, 0)));
    return z;
}

void zstd_splice_free(struct zstd_splice *z)
{
    if (!z)
        return;
    ZSTD_freeCCtx(z->compressor);
    ZSTD_freeDCtx(z->decompressor);
    mem_free(z->frame);
    buf_done(&z->blocks);
    buf_done(&z->trial);
    buf_done(&z->text);
    mem_free(z);
}

uint64_t zstd_splice_refused(const struct zstd_splice *z)
{
    return z->refused;
}

/* --- bytes -----------------------------------------------------------------------------------------------------------
 */
/* Source: RFC 8878, section 3.1.1.1. */
static size_t frame_head(unsigned window_log, char *out)
{
    static const char head[FRAME_HEAD_BYTES] = {0x28, (char)0xB5, 0x2F, (char)0xFD, 0};

    memcpy(out, head, sizeof head);
    out[FRAME_HEAD_BYTES - 1] = (char)((window_log - 10) << 3);
    return FRAME_HEAD_BYTES;
}

/* Source: RFC 8878, section 3.1.1.2. */
static size_t block_head(enum block_type type, size_t n, char *out)
{
    size_t bits = n << 3 | (size_t)type << 1;

    for (unsigned i = 0; i < BLOCK_HEAD_BYTES; i++)
        out[i] = (char)(bits >> (8 * i));
    return BLOCK_HEAD_BYTES;
}

static void add_block_head(struct buf *out, enum block_type type, size_t n)
{
    char head[BLOCK_HEAD_BYTES];

    buf_add(out, head, block_head(type, n, head));
}

size_t zstd_splice_head(bool first, struct str text, char *out)
{
    size_t n = first ? frame_head(WINDOW_LOG, out) : 0;

    CHECK(text.n <= ZSTD_SPLICE_WINDOW_BYTES);
    n += block_head(BLOCK_RAW, text.n, out + n);
    memcpy(out + n, text.p, text.n);
    return n + text.n;
}

/* --- trying out ------------------------------------------------------------------------------------------------------
 */
/* A block whose three matches leave the offsets 2^code + 2, + 6 and + 10 behind it. No literals; each symbol of a
 * sequence is one for all (RLE mode), so that the stream holds nothing but the offsets' extra bits, read from its end.
 * Source: RFC 8878, sections 3.1.1.3.1 to 3.1.1.3.2.1. */
static size_t primer(unsigned code, char out[PRIMER_BYTES_MAX])
{
    const char head[] = {0, 3, 0x54, 0, (char)code, 0};
    uint64_t bits = 1;
    size_t n = BLOCK_HEAD_BYTES;

    for (unsigned value = 5; value <= 13; value += 4)
        bits = bits << code | value;
    memcpy(out + n, head, sizeof head);
    n += sizeof head;
    for (; bits; bits >>= 8)
        out[n++] = (char)bits;
    block_head(BLOCK_COMPRESSED, n - BLOCK_HEAD_BYTES, out);
    return n;
}

/* Does the run give the text behind `prefix` bytes of `fill` and offsets that all lead there? What uses one of them
 * reads fill: with two fills the text cannot be right both times. */
static bool decodes_behind(struct zstd_splice *z, struct str run, struct str text, unsigned code, char fill)
{
    char head[FRAME_HEAD_BYTES], primed[PRIMER_BYTES_MAX];
    size_t prefix = ((size_t)1 << code) + 16, all = prefix + PRIMER_TEXT_BYTES + text.n;
    struct buf *in = &z->trial;

    buf_clear(in);
    buf_add(in, head, frame_head(WINDOW_LOG + 3, head));
    for (size_t left = prefix, n; left; left -= n) {
        n = left < BLOCK_BYTES_MAX ? left : BLOCK_BYTES_MAX;
        add_block_head(in, BLOCK_RLE, n);
        buf_addc(in, fill);
    }
    buf_add(in, primed, primer(code, primed));
    buf_add_str(in, run);
    buf_addc(in, 1); /* the last block, empty */
    buf_add(in, "\0", 2);
    buf_clear(&z->text);
    char *to = buf_reserve(&z->text, all);
    return to && !buf_failed(in) && ZSTD_decompressDCtx(z->decompressor, to, all, in->data, in->len) == all &&
           memcmp(to + all - text.n, text.p, text.n) == 0;
}

/* The offsets must be longer than the text, or a use of one could find the right bytes in the text itself. */
static bool decodes_anywhere(struct zstd_splice *z, struct str run, struct str text)
{
    unsigned code = 5;

    while ((size_t)1 << code <= text.n)
        code++;
    return decodes_behind(z, run, text, code, (char)0xFF) && decodes_behind(z, run, text, code, (char)0xFE);
}

/* --- compressing -----------------------------------------------------------------------------------------------------
 */
/* The blocks of a frame, none marked as the last. False: not the frame that was asked for. */
static bool blocks_take(const unsigned char *frame, size_t n, struct buf *out)
{
    char head[FRAME_HEAD_BYTES];

    frame_head(WINDOW_LOG, head);
    /* libzstd may name a smaller window when it knows how little there is */
    if (n < FRAME_HEAD_BYTES || memcmp(frame, head, FRAME_HEAD_BYTES - 1) != 0 ||
        frame[FRAME_HEAD_BYTES - 1] > (unsigned char)head[FRAME_HEAD_BYTES - 1])
        return false;
    for (size_t at = FRAME_HEAD_BYTES; at + BLOCK_HEAD_BYTES <= n;) {
        uint32_t bits = (uint32_t)frame[at] | (uint32_t)frame[at + 1] << 8 | (uint32_t)frame[at + 2] << 16;
        enum block_type type = bits >> 1 & 3;
        size_t bytes = type == BLOCK_RLE ? 1 : bits >> 3;
        if (at + BLOCK_HEAD_BYTES + bytes > n)
            return false;
        add_block_head(out, type, bits >> 3);
        buf_add(out, frame + at + BLOCK_HEAD_BYTES, bytes);
        at += BLOCK_HEAD_BYTES + bytes;
        if (bits & 1)
            return at == n;
    }
    return false;
}

static bool chunk_compress(struct zstd_splice *z, struct str chunk)
{
    size_t room = ZSTD_compressBound(chunk.n);

    if (z->frame_cap < room) {
        z->frame = mem_realloc(z->frame, room);
        z->frame_cap = room;
    }
    size_t n = ZSTD_compress2(z->compressor, z->frame, z->frame_cap, chunk.p, chunk.n);
    buf_clear(&z->blocks);
    return !ZSTD_isError(n) && blocks_take((const unsigned char *)z->frame, n, &z->blocks) &&
           z->blocks.len < BLOCK_HEAD_BYTES + chunk.n;
}

int zstd_splice_run(struct zstd_splice *z, struct str text, struct buf *out)
{
    while (text.n) {
        struct str chunk = {text.p, text.n < ZSTD_SPLICE_WINDOW_BYTES ? text.n : ZSTD_SPLICE_WINDOW_BYTES};
        bool smaller = chunk_compress(z, chunk);
        bool shared = smaller && decodes_anywhere(z, buf_str(&z->blocks), chunk);
        z->refused += smaller && !shared;
        if (!shared)
            add_block_head(out, BLOCK_RAW, chunk.n);
        buf_add_str(out, shared ? buf_str(&z->blocks) : chunk);
        text.p += chunk.n;
        text.n -= chunk.n;
    }
    return buf_failed(out) ? -ENOBUFS : 0;
}
