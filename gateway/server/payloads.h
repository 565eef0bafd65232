/* Writers of what the gateway itself says: each writes one JSON value. Pure.
 * Source: Discord API documentation, "Gateway Events: Receive Events". */
#pragma once

#include "platform/model/model.h"

/* Whole payloads, small enough for encoder_send_small. */
void payload_hello(struct buf *out, int heartbeat_interval_ms);
void payload_op(struct buf *out, int op); /* {"op":N,"d":null}: 7, 11 */
void payload_invalid_session(struct buf *out, bool resumable);

/* d of dispatches. */
struct ready_view {
    int version;
    const struct user *user;
    const struct application *application; /* NULL for a person */
    const uint64_t *guild_ids;
    unsigned guild_count;
    const struct channel *dms; /* a person's */
    unsigned dm_count;
    const char *session_id, *resume_gateway_url;
    uint32_t shard, shard_count;
};
void payload_ready(struct buf *out, const struct ready_view *v);
void payload_resumed(struct buf *out);
void payload_guild_delete(struct buf *out, uint64_t guild_id, bool unavailable);
