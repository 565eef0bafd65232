/* An event of the platform, as the API publishes it and gateway nodes receive it. Every event belongs to exactly one
 * topic: a guild, or a user (what happens outside guilds, and what only that user's sessions may see). Within a topic
 * events are numbered from 1 without holes. `data` is the dispatch's `d`, ready to send. */
#pragma once

#include "platform/base/arena.h"
#include "platform/base/buf.h"

/* Dispatch events of Discord's documentation, and a few control events that no client sees. */
enum event_type {
#define EVENT(name, intents, dm_intents, scope, permissions) EVENT_##name,
#include "platform/protocol/events.def"
#undef EVENT
    EVENT_COUNT,
};

/* Who of a topic's sessions may get it, besides the intent. */
enum event_scope {
    EVENT_SCOPE_ALL,     /* every session of the topic */
    EVENT_SCOPE_CHANNEL, /* members that can view event.channel_id (VIEW_CHANNEL) */
    EVENT_SCOPE_USER,    /* sessions of event.user_id */
    EVENT_SCOPE_OWN,     /* made by the gateway for one session; on a topic it goes to nobody */
    EVENT_SCOPE_CONTROL, /* gateway nodes only; never sent to a client */
};

const char *event_name(enum event_type t);                  /* "MESSAGE_CREATE" */
int event_type_find(struct str name, enum event_type *ret); /* 0, -ENOENT */
/* Intent bits of which a session needs at least one; 0: no intent needed. */
uint32_t event_intents(enum event_type t, bool in_guild);
enum event_scope event_scope_of(enum event_type t);
/* Permission bits of which a member needs at least one: in the channel for EVENT_SCOPE_CHANNEL, else in the guild. 0:
 * none needed. */
uint64_t event_permissions(enum event_type t);

#define EVENT_MENTIONS_MAX 128

struct event {
    uint64_t id;    /* snowflake; what receivers drop repetitions by */
    uint64_t topic; /* guild id or user id */
    bool topic_is_user;
    uint64_t number; /* within the topic; set by publishing. 0: an event outside the order (typing), may be lost */
    enum event_type type;
    uint64_t channel_id; /* 0: none */
    uint64_t user_id;    /* author or subject: a message's author sees its content without MESSAGE_CONTENT */
    /* Users mentioned: they see the content too. Of GUILD_MEMBER_UPDATE: the user whose own name, avatar or the like
     * changed, which makes it a presence update as well. */
    const uint64_t *mentions;
    unsigned mention_count;
    struct str data; /* JSON object, the dispatch's d */
};

/* The form on the bus: a fixed little-endian head (version 1), the mentions, then data. */
void event_encode(const struct event *e, struct buf *out);
/* Points into `bytes` (mentions into the arena). 0, -EINVAL. */
int event_decode(struct str bytes, struct arena *a, struct event *ret);

/* Several in one message: a byte that no single event begins with (version 2), then each with its length before it. */
void event_batch_begin(struct buf *out);
void event_batch_add(struct buf *out, const struct event *e);
bool event_is_batch(struct str bytes);
/* The next one's bytes, for event_decode; *at begins at 0. False: there is none, or what is left is damaged. */
bool event_batch_next(struct str bytes, size_t *at, struct str *ret);
