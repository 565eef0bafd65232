/* The cache's writer: applies a shard's dispatches, in order, to Redis. Everything is guarded by the event's place
 * (epoch, generation, seq), so that an older event never overwrites what a newer one wrote; users span shards, which
 * have no common order: there what was received last wins. Values are the bytes that came from the gateway, or the
 * fields chosen of them. With a full Redis (maxmemory) what cannot be written is removed, and events go on. Loop thread
 * only. */
#pragma once

#include "cache/keys.h"
#include "cache/selection.h"
#include "platform/io/redis.h"

struct cache_writer;

struct cache_writer_options {
    struct redis *redis;
    uint64_t application;
    uint32_t intents;
    const struct cache_selection *selection; /* NULL: all that the intents bring. Borrowed for the writer's life */
    int messages;                            /* kept of a channel; 0: LIMIT_CACHE_MESSAGES */
    int message_ttl_s;                       /* 0: LIMIT_CACHE_MESSAGE_TTL_S */
};
struct cache_writer *cache_writer_new(const struct cache_writer_options *o);
void cache_writer_free(struct cache_writer *w); /* nothing may be under way */

/* Where an event stands. generation: rises with each session of a shard; in it, seq rises. epoch: the lease under which
 * the shard is held; a lower one than the guild has seen is refused. */
struct cache_place {
    uint64_t epoch, generation, seq;
    unsigned shard, shard_count; /* of users: whose place it is */
    int64_t received_ms;         /* wall clock; 0: now */
};

enum cache_result {
    CACHE_DONE = 0,   /* applied, or older than what is there, or nothing to apply */
    CACHE_RETRY = 1,  /* Redis is away or full: nothing is known; the same event may be written again */
    CACHE_FENCED = 2, /* somebody holds the shard under a higher epoch */
};
/* Writes one dispatch. False: the event changes nothing, done is not called. True: done comes later, in the order of
 * the calls but where Redis asked for a script's text. `data` is not kept. */
bool cache_write(struct cache_writer *w, struct str type, struct str data, const struct cache_place *at,
                 void (*done)(enum cache_result r, void *arg), void *arg);

/* So much is under way to Redis that the next event had better wait. */
bool cache_writer_busy(const struct cache_writer *w);

/* Nothing is under way. */
bool cache_writer_idle(const struct cache_writer *w);

/* Everything up to `at` of the shard's session is in the cache: told until Redis has it. An older place than the one
 * marked is ignored. resumed: the session was begun elsewhere, so Redis has a marker of it. Where Redis lost that, or
 * what was marked, it lost entities, too: then nothing is marked until the shard has a new session, and
 * guildhall_cache_lost_total counts it. */
void cache_mark(struct cache_writer *w, struct str session, const struct cache_place *at, bool resumed);
