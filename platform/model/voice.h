/* Voice states: who is in which voice channel. The `value` of an entry in kv (ports/kv.h) is one JSON object, which
 * begins with its owner; clients get part of it. Pure. Source: Discord API documentation, "Voice: Voice State Object".
 */
#pragma once

#include "platform/base/buf.h"

struct voice_state {
    uint64_t user_id, channel_id;
    struct str owner;      /* the run of the gateway node that holds the session */
    struct str session_id; /* the gateway session's */
    struct str token;      /* for the media server; never shown to others */
    struct str member;     /* the member object as JSON */
    bool deaf, mute, self_deaf, self_mute, self_video, suppress;
    int64_t request_to_speak_ms; /* 0: none */
    int64_t start_s;             /* when the channel's voice session began */
};

void voice_value_write(struct buf *out, const struct voice_state *v);
/* Strings point into `value`. 0, -EINVAL. */
int voice_value_read(struct str value, uint64_t user_id, struct voice_state *ret);

/* As clients get it. guild_id 0: without, as in GUILD_CREATE. connected: else channel_id is null. */
void voice_state_write(struct buf *out, uint64_t guild_id, const struct voice_state *v, bool connected,
                       bool with_member);
