/* A compressor of one connection's own, which remembers what it sent: a better ratio for CPU and memory, where
 * bandwidth is dear (setting `compression_contexts`). The windows are small, since memory counts for each session: zlib
 * 4 KB (37 KB of memory), zstd 16 KB (92 KB). And a packer, which remembers nothing: each message is a zlib stream of
 * its own. Source: Discord API documentation, "Gateway: Encoding and Compression". One thread for a context. */
#pragma once

#include "platform/base/buf.h"

enum stream_kind {
    STREAM_ZLIB, /* zlib-stream: each message ends in 00 00 FF FF */
    STREAM_ZSTD, /* zstd-stream: one open frame, each message ends in a whole block */
    STREAM_PACK, /* payload compression */
};

struct stream_context;

struct stream_context *stream_context_new(enum stream_kind kind);
void stream_context_free(struct stream_context *s); /* NULL is fine */

/* Appends the next message, made of two parts. 0, -ENOBUFS (`out` is over its limit: the stream cannot go on). */
int stream_context_write(struct stream_context *s, struct str head, struct str rest, struct buf *out);
