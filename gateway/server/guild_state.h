/* A guild as a gateway node knows it: the snapshot with every later event applied. It answers who may view which
 * channel, and writes GUILD_CREATE. Entities are kept as the JSON that clients get, beside the few fields that
 * permissions need. Loop thread, no I/O.
 * Limits: members without a session here up to LIMIT_GUILD_MEMBERS_KEPT, and only while members_complete; of larger
 * guilds those that GUILD_CREATE lists, while members_active. */
#pragma once

#include "platform/base/map.h"
#include "platform/model/model.h"
#include "platform/protocol/event.h"

struct state_member {
    uint64_t user_id;
    struct str json; /* owned; with `user`, without guild_id */
    uint64_t *roles; /* without @everyone */
    unsigned role_count;
    unsigned sessions; /* subscriptions of this user here; at 0 it may be forgotten */
};

struct state_channel {
    struct channel channel; /* id (0: free slot), type and overwrites only */
    struct str json;        /* owned; without last_message_id */
    bool has_last_message;
    uint64_t last_message_id;
};

struct guild_state {
    uint64_t id;
    struct guild guild;     /* id and owner_id only */
    struct str json;        /* owned; the guild object without its lists and counts */
    int64_t member_count;   /* every coming and going since the snapshot, but for those it counted already */
    struct map counted;     /* ids of these events; empty again COUNTED_KEEP_MS after the snapshot */
    int64_t loaded_ms;      /* wall clock */
    struct role *roles;     /* id, guild_id and permissions only; roles[0] is @everyone */
    struct str *role_jsons; /* owned, beside roles */
    unsigned role_count, role_cap;
    struct state_channel *channels; /* a channel keeps its slot; slots of deleted ones are used again */
    unsigned channel_count, channel_cap;
    struct map channel_slots; /* id -> slot + 1 */
    struct map members;       /* user id -> struct state_member */
    bool members_complete;    /* every member of the guild is in the map */
    bool members_active;      /* those with a role or a nick are, and others that were read or came since (actives.c) */
    /* While members are being read from the store, what events said meanwhile wins: users that an event touched. */
    struct map touched;
    bool loading_members;
};

/* What applying an event did to visibility. */
enum state_change {
    STATE_SAME,
    STATE_CHANNEL,     /* of ret_slot: new, changed, or gone */
    STATE_MEMBER,      /* what the event's user sees */
    STATE_MEMBER_GONE, /* of a member with sessions here: end their subscriptions, then guild_state_member_drop */
    STATE_EVERYBODY,   /* roles or the owner */
    STATE_GUILD_GONE,  /* GUILD_DELETE */
};

struct guild_state *guild_state_new(uint64_t id);
void guild_state_free(struct guild_state *s); /* NULL is fine */

/* Loads a snapshot into a new state. */
void guild_state_load(struct guild_state *s, const struct guild_snapshot *snap);

/* Applies a dispatch of the guild's topic. Applying what the state holds already changes nothing (the snapshot may be
 * newer than the number it came with). For CHANNEL_DELETE the slot is still there: guild_state_channel_drop it after
 * the dispatch. ret_slot: with STATE_CHANNEL, else unchanged. Data that is not what the event's type promises is
 * ignored. */
enum state_change guild_state_apply(struct guild_state *s, const struct event *e, unsigned *ret_slot);
void guild_state_channel_drop(struct guild_state *s, unsigned slot);

/* The user that a GUILD_MEMBER_* event is about; 0: none. */
uint64_t guild_state_event_user(const struct event *e);
void guild_state_member_drop(struct guild_state *s, uint64_t user_id);

int guild_state_slot(const struct guild_state *s, uint64_t channel_id); /* -1: no such channel */
struct state_member *guild_state_member(const struct guild_state *s, uint64_t user_id);

/* Members read from the store: begin, (await), then put each and end. A member put while an event of the same user was
 * applied in between is dropped. complete: the list was the whole guild. */
void guild_state_members_begin(struct guild_state *s);
void guild_state_member_put(struct guild_state *s, const struct member *m);
void guild_state_members_end(struct guild_state *s, bool complete);
/* Forgets every member without a session here. */
void guild_state_members_forget(struct guild_state *s);

/* --- visibility ------------------------------------------------------------------------------------------------------
 */
/* Words of 64 slots that a bit set over all channel slots needs. */
static inline unsigned guild_state_words(const struct guild_state *s)
{
    return (s->channel_cap + 63) / 64;
}
uint64_t guild_state_guild_permissions(const struct guild_state *s, const struct state_member *m);
uint64_t guild_state_permissions(const struct guild_state *s, const struct state_member *m, unsigned slot);
bool guild_state_visible(const struct guild_state *s, const struct state_member *m, unsigned slot);
/* Sets the bits of all slots that the member may view; clears the others. */
void guild_state_visible_all(const struct guild_state *s, const struct state_member *m, uint64_t *ret_words);

/* --- writing ---------------------------------------------------------------------------------------------------------
 */
/* The channel object. */
void guild_state_write_channel(const struct guild_state *s, unsigned slot, struct buf *out);

enum members_shown { MEMBERS_SELF, MEMBERS_ALL /* of guilds over large_threshold those that are active */ };
struct guild_create_view {
    const struct state_member *self;
    const uint64_t *visible; /* guild_state_words */
    enum members_shown members;
    unsigned large_threshold;
    /* Online or in a voice channel; NULL: nobody is known to be. Members with a role or a nick are active, too. */
    bool (*is_active)(const void *arg, uint64_t user_id);
    const void *active_arg;
    unsigned members_max;               /* of a guild that is too large to be kept as a whole */
    struct str presences, voice_states; /* JSON arrays; STR_NONE: empty */
    struct str voice_members;           /* elements; listed where the others are not */
    bool startup;                       /* writes "unavailable": false, which a live join has not */
};
/* The d of GUILD_CREATE for one session. */
void guild_state_write_create(const struct guild_state *s, const struct guild_create_view *v, struct buf *out);
