/* What PATCH of a member says about voice. Coroutine. */
#pragma once

#include "platform/api/api.h"

struct voice_change {
    bool wanted, moves;  /* the member must be in a voice channel; channel_id was given */
    uint64_t channel_id; /* 0: disconnected */
    bool suppress;       /* there */
};
/* Reads mute, deaf (into `m`) and channel_id with the permissions they need; held: the caller's in the guild.
 * TARGET_NOT_IN_VOICE when the member is in no voice channel. */
enum api_error voice_change_read(struct api_ctx *x, uint64_t held, struct member *m, struct voice_change *ret);
/* After the member is stored: changes its voice state and tells the gateways. Who left meanwhile is left alone. */
void voice_change_apply(struct api_ctx *x, const struct member *m, const struct voice_change *c);
