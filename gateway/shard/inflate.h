/* The upstream's zlib-stream: one inflate context for a connection's life, a message ends with a sync flush.
 * Loop thread. Source: Discord API documentation, "Gateway: Transport Compression". */
#pragma once

#include "platform/base/buf.h"

struct inflate;

struct inflate *inflate_new(size_t message_max);
void inflate_free(struct inflate *z);
/* Takes one WebSocket message. 1: *ret is a whole gateway message, good until the next call; 0: more is to come;
 * -EBADMSG: not a zlib stream; -EMSGSIZE: longer than message_max. After an error the connection is of no use. */
int inflate_feed(struct inflate *z, struct str in, struct str *ret);
