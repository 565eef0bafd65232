/* The events that handlers add to a commit: payloads as documented, on the right topic. Everything is kept in the
 * commit's arena. Source: Discord API documentation, "Gateway Events". */
#pragma once

#include "platform/api/api.h"

/* Moves what a buffer holds into the arena and frees the buffer. */
struct str payload_take(struct arena *a, struct buf *b);

void events_guild_update(struct commit *c, const struct guild *g, const struct role *roles, unsigned role_count);
void events_guild_delete(struct commit *c, uint64_t guild_id);
/* GUILD_ROLE_CREATE or _UPDATE. */
void events_role(struct commit *c, enum event_type type, const struct role *r);
void events_role_delete(struct commit *c, uint64_t guild_id, uint64_t role_id);
/* CHANNEL_CREATE, _UPDATE or _DELETE of a guild's channel. */
void events_channel(struct commit *c, enum event_type type, const struct channel *ch);
/* GUILD_MEMBER_ADD or _UPDATE. */
struct event *events_member(struct commit *c, enum event_type type, const struct member *m);
void events_member_remove(struct commit *c, uint64_t guild_id, const struct user *u);
/* CONTROL_GUILD_JOINED or _LEFT, to the nodes that hold sessions of the user. */
void events_guild_control(struct commit *c, enum event_type type, uint64_t user_id, uint64_t guild_id);
