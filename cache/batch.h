/* The guarded part of what one event does to the cache: one script call on the keys of one guild, collected operation
 * by operation. Strings point into the event's data or the batch's arena. The memory is used again for the next event.
 * Loop thread only. */
#pragma once

#include "cache/keys.h"
#include "platform/base/arena.h"
#include "platform/io/redis.h"

struct words {
    struct str *at;
    int count, cap;
};

struct batch {
    uint64_t application;
    uint64_t tag; /* the guild, or what stands for it */
    struct arena arena;
    struct words args; /* the version's key first */
    struct {
        struct str key;
        int count, at; /* the run of batch_set that goes on: its key, its fields, where their number stands */
    } run;
};

void batch_done(struct batch *b);
/* Begins anew; `tag` as in keys.h, the place as in writer.h. */
void batch_begin(struct batch *b, uint64_t tag, uint64_t epoch, uint64_t generation, uint64_t seq);
/* 16 digits, so that places are compared as text. */
struct str batch_place_word(struct batch *b, uint64_t n);
bool batch_is_empty(const struct batch *b);
/* The version, which guards the keys: kept for ttl_s from now; 0: for good; by default it is left as it is. */
void batch_version_keep(struct batch *b, int ttl_s);
/* Answers 1 applied, 2 Redis is full: what the event changes was removed instead, 0 older than what is there, -1 the
 * epoch is an old one; an array whose first is that, and then ids (batch_ids, batch_channels_replace). */
void batch_send(struct batch *b, struct redis *r, int timeout_ms, redis_fn fn, void *arg);

/* Keys: what stands behind the head. */
struct str batch_key(struct batch *b, enum cache_entity e);
struct str batch_key_part(struct batch *b, enum cache_entity e, uint64_t part);
/* The decimal text of an id, as a field's name. */
struct str batch_id(struct batch *b, uint64_t id);

/* Operations on hashes. */
void batch_set(struct batch *b, struct str key, struct str field, struct str value);
/* Only where another field is there. */
void batch_set_where(struct batch *b, struct str key, struct str where, struct str field, struct str value);
void batch_del(struct batch *b, struct str key, struct str field);
void batch_add(struct batch *b, struct str key, struct str field, int by); /* a number, only where it is there */
/* batch_set, and where the field was not there, `by` more in the number `counted` of another hash. */
void batch_set_count(struct batch *b, struct str key, struct str field, struct str value, struct str hash,
                     struct str counted, int by);
/* A member of the JSON object that stands in the field, if one does. value: no object and no array. */
void batch_patch(struct batch *b, struct str key, struct str field, struct str name, struct str value);
void batch_drop(struct batch *b, struct str key); /* the whole key */
/* The same, where the event is of another session than the last one: what was missed in between is not known. */
void batch_drop_missed(struct batch *b, struct str key);

/* Keys of channels and threads ("parts"): the script notes them, so that all of a guild's can be found. */
void batch_part_set(struct batch *b, uint64_t part, struct str key, struct str field, struct str value);
void batch_part_drop(struct batch *b, uint64_t part); /* everything of that channel or thread */
void batch_parts_drop(struct batch *b);               /* of all */
/* Threads whose parent is among these, with their members; count 0: all. */
void batch_threads_drop(struct batch *b, struct str threads, const struct str *parents, int count);
/* The guild has these channels and active threads, which are written next: those of before go; with a channel that is
 * not there any more its messages and those of its threads, whose ids go into the answer. Members of threads that are
 * still there stay within a session. */
void batch_channels_replace(struct batch *b, const struct str *channels, int channel_count, const struct str *threads,
                            int thread_count);
/* The names of the hash's fields go into the answer. */
void batch_ids(struct batch *b, struct str key);

/* --- messages and their reactions; channel: its id --- */

/* The message and its place in the order, the oldest beyond `cap` out; where it is the first one, or `renew`, all
 * living ttl_s from now. */
void batch_message(struct batch *b, uint64_t channel, struct str id, struct str value, int cap, int ttl_s, bool renew);
/* Only where it is there. reactions: JSON array that takes the place of what was there, or STR_NONE. */
void batch_message_update(struct batch *b, uint64_t channel, struct str id, struct str value, struct str reactions);
void batch_message_del(struct batch *b, uint64_t channel, struct str id);
/* One reaction more (by 1) or less (-1), or all of that emoji (0). emoji: JSON. colors: JSON array or STR_NONE. */
void batch_reaction(struct batch *b, uint64_t channel, struct str id, struct str emoji, int by, bool me, bool burst,
                    struct str colors);
