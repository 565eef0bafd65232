/* Standing: what is so in a guild while sessions last, presences and voice states. kv has it (kv.h, "entries"), each
 * node has a copy for the guilds it follows, and a change travels over the bus to those. A change that was lost is told
 * by the versions and the whole is read again, so a copy is wrong for LIMIT_STANDING_CHECK_MS at most; what a dead node
 * had put is dropped by the living ones. Loop thread. */
#pragma once

#include "gateway/server/entries.h"
#include "platform/ports/kv.h"

struct event;
struct gateway;
struct session;
struct sub;
struct topic;
struct buf;
struct json_t;

/* Of a guild's topic. */
struct standing {
    struct topic *topic;
    struct entries kinds[KV_KINDS];
    struct map dirty; /* user id -> struct dirty (presence.c): to be compared with the user's sessions */
    struct list behind_item;
    int64_t behind_due_ms;
};

/* Of a node. */
struct standings {
    char owner[ENTRY_OWNER_CHARS + 1]; /* this run of this node */
    struct smap owners;                /* name -> struct owner: other runs that are met in entries */
    struct list behind;                /* guilds that miss a change */
    struct list soon, later;           /* dirty presences, by when they are due */
    struct list held;                  /* sessions whose last presence waits for its window */
    unsigned flushing;
    bool repairing, checking;
    int64_t scanned_ms, alive_ms, checked_ms;
};

struct standings *standings_new(void);
void standings_free(struct gateway *g);
void standings_tick(struct gateway *g, int64_t now_ms);
void standings_stop(struct gateway *g);        /* coroutine: others may take this run for dead from now on */
void standings_incarnation(struct gateway *g); /* kv forgot */

struct standing *standing_new(struct topic *t);
void standing_free(struct standing *s); /* NULL is fine */
/* Coroutine. Reads both kinds for topics that are being loaded; what cannot be read now is read later. */
void standing_load(struct gateway *g, struct topic **topics, unsigned count);
void standing_begin(struct topic *t);                          /* the topic is live */
void standing_reload(struct topic *t, enum kv_kind kind);      /* the same for one */
void standing_deliver(struct topic *t, const struct event *e); /* EVENT_CONTROL_ENTRY */
/* Coroutine: kv, this node's copy, the other nodes. 0, -EALREADY, -EAGAIN, -EHOSTDOWN as kv_entry_change. The topic is
 * pinned by the caller. */
int standing_change(struct topic *t, const struct kv_change *change);

/* --- presence.c ------------------------------------------------------------------------------------------------------
 */
struct session_presence {
    struct str value, waiting; /* owned; STR_NONE: offline */
    bool waits;
    unsigned char device, updates; /* enum presence_device; op 3 in the window */
    int64_t window_ms;             /* its begin */
    struct list held_item;
};

/* IDENTIFY's. 0 or a close code. */
int presence_begin(struct session *s, const struct json_t *presence, const struct json_t *properties);
/* Op 3. 0 or a close code. */
int presence_update(struct session *s, const struct json_t *d);
void presence_end(struct session *s);
/* The user's sessions in the guild, or what kv has of them, may have changed. */
void presence_mark(struct topic *t, uint64_t user_id, bool later);
void presence_tick(struct gateway *g, int64_t now_ms);
void presence_forget_dirty(struct gateway *g);
/* The user left the guild: nobody is told that it went offline. */
void presence_left(struct topic *t, uint64_t user_id);
/* A member's own name, avatar or the like changed (GUILD_MEMBER_UPDATE): a presence update, too. */
void presence_profile_changed(struct topic *t, const struct event *e);
void presence_changed(struct entries_user *u, struct str old, void *topic);
/* GUILD_CREATE's `presences`, a JSON array. */
void presence_list_write(const struct sub *sub, struct buf *out);
/* One of them, unless the user is offline. */
void presence_add(const struct topic *t, uint64_t user_id, struct buf *array);

/* --- voice.c ---------------------------------------------------------------------------------------------------------
 */
struct session_voice {
    struct list requests; /* op 4 that wait for the one under way */
    bool running;
};

/* Op 4. 0 or a close code. */
int voice_update(struct session *s, const struct json_t *d);
void voice_end(struct session *s);
/* The session came to the guild or left it. */
void voice_sub_changed(struct topic *t, const struct session *s);
/* Entries of this node without a session, or that kv forgot. */
void voice_own_check(struct topic *t);
void voice_changed(struct entries_user *u, struct str old, void *topic);
void voice_channel_gone(struct topic *t, uint64_t channel_id); /* still in the guild's state */
/* GUILD_CREATE's `voice_states`, a JSON array, and the members of them but the session's own, elements of one. */
void voice_lists_write(const struct sub *sub, struct buf *states, struct buf *members);
int64_t voice_start_s(const struct topic *t, uint64_t channel_id);

/* --- voice_status.c --------------------------------------------------------------------------------------------------
 */
/* A JSON string; STR_NONE: none. */
struct str voice_status_of(const struct topic *t, uint64_t channel_id);
/* True: the entry is (was) no user's but a channel's status, and what changed was told. */
bool voice_status_changed(struct topic *t, const struct entries_user *u, struct str old);
/* Nobody is in the channel any more, or it is gone. */
void voice_status_drop(struct topic *t, uint64_t channel_id);
