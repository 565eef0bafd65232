/* What a connection's query chose: encoding and transport compression. One table; each entry says how the shared part
 * of a dispatch is made from its JSON, and how a frame's head is put before it. Loop thread. */
#pragma once

#include "platform/base/buf.h"

struct ws_conn;
struct ws_shared;
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

/* Queue one dispatch: the sequence number and then the shared part. *begun tells whether this connection's stream has
 * begun; it is set. 0, or ws_send_raw's errors. */
int encoder_send(enum encoder_kind kind, bool *begun, struct ws_conn *ws, uint64_t seq, struct ws_shared *shared);
/* Queue one small payload of this connection only (HELLO, ACK): JSON of at most ENCODER_SMALL_BYTES. */
#define ENCODER_SMALL_BYTES 512
int encoder_send_small(struct encoder_context *c, enum encoder_kind kind, bool *begun, struct ws_conn *ws,
                       struct str json);

/* What a client sent, as JSON: `data` itself, or written into `out` (empty). 0, -EINVAL (not what the encoding says),
 * -E2BIG, -ENOBUFS. */
int encoder_read(enum encoder_kind kind, struct str data, struct buf *out, struct str *ret_json);
