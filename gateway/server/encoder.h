/* What a connection's query chose: encoding and transport compression. One table; each entry says how the shared part
 * of a dispatch is made from its JSON, and how a frame's head is put before it. Two things stand beside it: a
 * compressor of the connection's own instead of the shared part's compression (setting `compression_contexts`), and
 * payload compression, which IDENTIFY may ask for where the query chose plain JSON. Loop thread. */
#pragma once

#include "platform/base/buf.h"

struct ws_conn;
struct ws_shared;
struct stream_context;
struct zlib_splice;
struct zstd_splice;

enum encoder_kind {
    ENCODER_JSON,
    ENCODER_JSON_ZLIB,
    ENCODER_JSON_ZSTD,
    ENCODER_ETF,
    ENCODER_ETF_ZLIB,
    ENCODER_ETF_ZSTD,
    ENCODER_COUNT,
};

/* Shared by all connections of a node. */
struct encoder_context {
    struct zlib_splice *zlib;
    struct zstd_splice *zstd; /* made when somebody asks for it */
    struct buf scratch;       /* between two calls into the encoder it is free for others */
    struct buf packed;
    struct stream_context *packer; /* as zstd */
    unsigned own_count;            /* compressors of connections */
};
void encoder_context_init(struct encoder_context *c);
void encoder_context_done(struct encoder_context *c);

/* encoding, compress: the query's values, STR_NONE when absent. 0, -EINVAL: not offered. */
int encoder_find(struct str encoding, struct str compress, enum encoder_kind *ret);

/* The words of the query that choose it; compress may be empty. */
void encoder_names(enum encoder_kind kind, struct str *ret_encoding, struct str *ret_compress);

/* The shared part of a dispatch: `tail` (not in the scratch, unless kind is JSON) is its JSON from `"t":` to the
 * closing brace. One reference; NULL: too large. */
struct ws_shared *encoder_share(struct encoder_context *c, enum encoder_kind kind, struct str tail);

/* One connection's direction to its client. */
struct encoder_stream {
    enum encoder_kind kind;
    bool begun;                 /* the compressed stream has */
    bool packs;                 /* payload compression */
    struct stream_context *own; /* NULL: nothing is remembered */
};
/* `own`: with a compressor of its own, where there is a compression and fewer than LIMIT_STREAM_CONTEXTS have one. */
void encoder_stream_init(struct encoder_context *c, struct encoder_stream *s, enum encoder_kind kind, bool own);
void encoder_stream_done(struct encoder_context *c, struct encoder_stream *s);
/* What of encoder_share this stream is fed with. */
enum encoder_kind encoder_stream_form(const struct encoder_stream *s);
/* IDENTIFY's `compress`: without effect unless the stream is plain JSON. */
void encoder_stream_pack(struct encoder_stream *s, bool packs);

/* Queue one dispatch: the sequence number and then the shared part, of the stream's form. 0, ws_send_raw's errors;
 * -EMSGSIZE: too large to be compressed, the connection must end. */
int encoder_send(struct encoder_context *c, struct encoder_stream *s, struct ws_conn *ws, uint64_t seq,
                 struct ws_shared *shared);
/* Queue one small payload of this connection only (HELLO, ACK): JSON of at most ENCODER_SMALL_BYTES. */
#define ENCODER_SMALL_BYTES 512
int encoder_send_small(struct encoder_context *c, struct encoder_stream *s, struct ws_conn *ws, struct str json);

/* What a client sent, as JSON: `data` itself, or written into `out` (empty). 0, -EINVAL (not what the encoding says),
 * -E2BIG, -ENOBUFS. */
int encoder_read(enum encoder_kind kind, struct str data, struct buf *out, struct str *ret_json);
