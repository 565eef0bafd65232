/* zlib-stream without a compressor for each connection. An event is deflated once into a run of blocks that refers to
 * nothing before it and ends in a sync flush; what differs between connections (the sequence number) goes before it in
 * a stored block. All connections share the run, none keeps state but "has the stream begun".
 * Source: RFC 1950, RFC 1951; Discord API documentation, "Gateway: Transport Compression". One thread for a context. */
#pragma once

#include "platform/base/buf.h"

struct zlib_splice;

struct zlib_splice *zlib_splice_new(void);
void zlib_splice_free(struct zlib_splice *z); /* NULL is fine */

/* Appends the shared run of `text`: raw deflate, ends in 00 00 FF FF. 0, -ENOBUFS (`out` is over its limit; what was
 * written before stays). */
int zlib_splice_run(struct zlib_splice *z, struct str text, struct buf *out);

/* Bytes that zlib_splice_head adds to `text` at most. */
#define ZLIB_SPLICE_HEAD_BYTES 7
/* Writes `text` (at most 65,535 bytes) as one stored block, to be followed by a shared run: with the stream's header
 * before it when `first`. Returns the bytes written: at most text.n + ZLIB_SPLICE_HEAD_BYTES. */
size_t zlib_splice_head(bool first, struct str text, char *out);

/* A whole message of its own, stored: for payloads that are too small to compress. */
#define ZLIB_SPLICE_STORED_BYTES 12
size_t zlib_splice_stored(bool first, struct str text, char *out); /* at most text.n + ZLIB_SPLICE_STORED_BYTES */
