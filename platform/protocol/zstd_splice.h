/* zstd-stream without a compressor for each connection. A connection's stream is one open frame. An event is compressed
 * once into blocks that all connections share; what differs between them (the sequence number) goes before these in a
 * raw block. None keeps state but "has the frame begun". What a block may take from before it is: the window (a run
 * refers only to itself, and is split into chunks that fit), entropy tables (the first block of a chunk never asks for
 * them), and the last three match offsets. The encoder believes that these are 1, 4 and 8, as at a frame's begin, and
 * seldom, but on purpose as well, uses one. So each run is decoded here under other offsets; where that does not give
 * the same text it is sent in raw blocks. Source: RFC 8878; Discord API documentation, "Gateway: zstd-stream". One
 * thread for a context, which costs 1.5 MB at most. */
#pragma once

#include "platform/base/buf.h"

struct zstd_splice;

/* Of the frame, and so what a client's decompressor keeps; also the longest chunk and block. */
#define ZSTD_SPLICE_WINDOW_BYTES (128u << 10)

struct zstd_splice *zstd_splice_new(void);
void zstd_splice_free(struct zstd_splice *z); /* NULL is fine */

/* Appends the shared blocks of `text`. 0, -ENOBUFS (`out` is over its limit; what was written before stays). */
int zstd_splice_run(struct zstd_splice *z, struct str text, struct buf *out);

/* Bytes that zstd_splice_head adds to `text` at most. */
#define ZSTD_SPLICE_HEAD_BYTES 9
/* Writes `text` (at most ZSTD_SPLICE_WINDOW_BYTES) as one raw block: with the frame's header before it when `first`.
 * Alone it is a whole message, or a shared run follows. Returns the bytes written: at most
 * text.n + ZSTD_SPLICE_HEAD_BYTES. */
size_t zstd_splice_head(bool first, struct str text, char *out);

/* Chunks that were sent raw because they did not decode the same everywhere, since the context was made. */
uint64_t zstd_splice_refused(const struct zstd_splice *z);
