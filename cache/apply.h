/* Private to the writer: one dispatch being applied. The functions that events.def names stand in apply_guild.c,
 * apply_channels.c, apply_people.c and apply_messages.c. Loop thread. */
#pragma once

#include "cache/batch.h"
#include "cache/writer.h"
#include "platform/base/list.h"
#include "platform/base/metrics.h"

struct cache_writer {
    struct cache_writer_options o;
    unsigned entities;
    struct batch batch;
    struct buf scratch;
    struct seen_user *seen;
    struct renewed *renewed; /* channels whose expiry was set lately */
    char run_id[48];         /* of the Redis that saw both */
    uint64_t own_user;
    unsigned pending; /* commands without an answer */
    struct {
        uint64_t tag, seq;
    } healed;        /* the last event whose keys were of another type */
    int64_t full_ms; /* when it was last said that Redis is full */
    struct list marks;
    struct loop_timer *mark_again;
    struct metric *written[CACHE_ENTITY_COUNT]; /* bytes */
};

/* What handlers read of `d`: raw values. Keys of the same names. */
/* clang-format off */
#define CALL_FIELDS(F) \
    F(id) F(guild_id) F(channel_id) F(user_id) F(message_id) F(user) F(author) F(webhook_id) F(role) F(role_id) \
    F(sound_id) F(channels) F(channel_ids) F(threads) F(roles) F(emojis) F(stickers) F(members) F(added_members) \
    F(removed_member_ids) F(presences) F(voice_states) F(stage_instances) F(guild_scheduled_events) \
    F(soundboard_sounds) F(ids) F(unavailable) F(member_count) F(status) F(voice_start_time) F(last_pin_timestamp) \
    F(thread_metadata) F(large) F(reactions) F(emoji) F(burst) F(burst_colors) F(guilds) F(shard)
/* clang-format on */
struct fields {
#define F(name) struct str name;
    CALL_FIELDS(F)
#undef F
};

/* One event's commands under way; it ends with the last answer. */
struct waiting {
    struct cache_writer *w;
    struct cache_place at;
    uint64_t guild, tag, parts[2]; /* parts: the channels or threads that the event names */
    unsigned left;
    enum cache_result r;
    void (*done)(enum cache_result r, void *arg);
    void *arg;
};

struct call {
    struct cache_writer *w;
    struct fields f;
    struct str data;
    const struct cache_place *at;
    uint64_t guild;          /* 0: none */
    struct waiting *waiting; /* NULL: nothing was asked of Redis yet */
};

/* --- writer.c --- */
bool apply_keeps(const struct cache_writer *w, enum cache_entity e);
/* A snowflake as "123" or 123; 0 when it is none. */
uint64_t apply_id_of(struct str raw);
/* The raw value of one member; STR_NONE. */
struct str apply_member_of(struct str object, const char *key);
bool apply_is_true(struct str raw);
/* The fields that are kept of an object; in the arena or the object itself. What is read later by the script (`patch`)
 * begins each member with no blanks before and after its name. without: "|a|b|", members that stand elsewhere, or NULL.
 */
struct str apply_kept(struct call *c, enum cache_entity e, struct str object, const char *without);
/* A command or a script of one key beside the guarded one. */
void apply_plain(struct call *c, int argc, const struct str *argv);
void apply_script(struct call *c, const char *script, int argc, const struct str *argv);
/* Which guild a channel or thread is in. */
void apply_channel_index(struct call *c, uint64_t channel, bool present);

/* For json_elements_scan: each element into the entity's hash by its id. */
struct put {
    struct call *c;
    enum cache_entity e;
    struct str key;
    unsigned count;
};
struct put apply_put_begin(struct call *c, enum cache_entity e);
int apply_put_by_id(struct str value, void *arg);
void apply_put_field(struct put *p, uint64_t id, struct str value, const char *without);
/* The array takes the place of what was there; where none was sent, nothing happens. */
void apply_replace_all(struct call *c, enum cache_entity e, struct str array);
/* One object, by its id. */
void apply_put_one(struct call *c, enum cache_entity e, struct str object);
void apply_del_one(struct call *c, enum cache_entity e, uint64_t id);

/* Sends the batch, where it is not empty. */
void apply_send(struct call *c);

/* --- apply_people.c --- */
void apply_user_put(struct call *c, struct str user);
void apply_members_put(struct call *c, struct str members);
void apply_member_put(struct call *c, struct str key, struct str member, bool with_user);
void apply_presences_put(struct call *c, struct str presences);
void apply_voice_states_put(struct call *c, struct str states);
void apply_users_forget(struct cache_writer *w); /* what was written may not have arrived */

/* --- apply_messages.c --- */
void apply_messages_forget(struct cache_writer *w);

/* --- apply_channels.c --- */
void apply_channels_put(struct call *c, struct str channels);
void apply_threads_put(struct call *c, struct str threads);

/* --- apply_guild.c --- */
void apply_guild_wipe(struct call *c); /* every key of the guild but its version */

/* --- schema.c --- */
/* The application's cache is in this layout: said again to a Redis that forgot it. */
void apply_schema_tell(struct call *c);
/* Keys of the tag, and of the channels and threads given, are of another type than they should be: all go. */
void apply_heal(struct cache_writer *w, uint64_t tag, const uint64_t *parts, int count);

/* --- mark.c --- */
void marks_init(struct cache_writer *w);
void marks_done(struct cache_writer *w);

/* --- ready.c: guilds that were left while nobody listened --- */
void apply_ready_compare(struct call *c);

#define CACHED(event, function, entities) void function(struct call *c);
#include "cache/events.def"
#undef CACHED
