/* The upstream's transport compression: one context for a connection's life. zlib-stream: a message ends with a sync
 * flush. zstd-stream: each WebSocket message holds a whole gateway message. Loop thread.
 * Source: Discord API documentation, "Gateway: Transport Compression". */
#pragma once

#include "platform/base/buf.h"

enum transport {
    TRANSPORT_PLAIN,
    TRANSPORT_ZLIB,
    TRANSPORT_ZSTD,
};

/* What the URL asks for after "&compress="; NULL: nothing. */
const char *transport_name(enum transport t);
/* "off" or a name. 0, -EINVAL. */
int transport_find(const char *name, enum transport *ret);

struct decompress;

/* TRANSPORT_PLAIN: binary messages are refused. */
struct decompress *decompress_new(enum transport t, size_t message_max);
void decompress_free(struct decompress *d); /* NULL is fine */
/* Takes one WebSocket message. 1: *ret is a whole gateway message, good until the next call; 0: more is to come;
 * -EBADMSG: not such a stream; -EMSGSIZE: longer than message_max. After an error the connection is of no use. */
int decompress_feed(struct decompress *d, struct str in, struct str *ret);
